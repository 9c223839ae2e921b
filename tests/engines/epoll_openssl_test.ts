/** OpenSSL on the descriptor of a socket: when it takes that way, what comes through it, and that it leaves nothing behind. */
import { BufferedProtocol, type Protocol, type Transport } from "../../mod.ts";
import { openLibssl, type Pointer } from "../../tls/openssl/libssl.ts";
import { assert, assertEquals, assertLess, assertRejects } from "../std.ts";
import { assertBytes, bytes, pattern, portOf, Recorder, tempPath, turn } from "../kit.ts";
import { HOST, SERVER, TRUSTING } from "../tls/kit.ts";
import { hasOpenssl, opensslLoop, opensslTest, replaceSsl } from "../tls/openssl_kit.ts";

/** Asks the peer for new keys. Opened outside of the tests, because Deno's sanitizer reports a library that a test opens. */
const extra = hasOpenssl
  ? Deno.dlopen("libssl.so.3", { SSL_key_update: { parameters: ["pointer", "i32"], result: "i32" } }).symbols
  : null;
const SSL_KEY_UPDATE_REQUESTED = 1;

/** A pair over a loop of its own, and the connections that OpenSSL has: the client's, and then the server's. */
interface Pair extends AsyncDisposable {
  client: Recorder;
  server: Recorder;
  upgrade(): Promise<void>;
}

async function connect(
  makeServer: () => Recorder = () => new Recorder(),
  { path, tls = true }: { path?: string; tls?: boolean } = {},
): Promise<Pair> {
  const loop = opensslLoop();
  loop.setExceptionHandler(() => {});
  const accepted = Promise.withResolvers<Recorder>();
  const factory = () => {
    const protocol = makeServer();
    protocol.log.until(() => protocol.log.entries.length > 0).then(() => accepted.resolve(protocol));
    return protocol as unknown as Protocol;
  };
  const [ours, theirs] = tls ? [{ tls: SERVER }, { tls: TRUSTING }] : [{}, {}];
  const server = path === undefined
    ? await loop.createServer(factory, { hostname: HOST, port: 0, ...ours })
    : await loop.createUnixServer(factory, { path, ...ours });
  const client = new Recorder();
  if (path === undefined) {
    await loop.createConnection(() => client, { hostname: HOST, port: portOf(server), ...theirs });
  } else await loop.createUnixConnection(() => client, { path, ...theirs });
  const serverSide = await accepted.promise;
  return {
    client,
    server: serverSide,
    async upgrade() {
      [serverSide.transport, client.transport] = await Promise.all([
        loop.startTls(serverSide.transport, serverSide as unknown as Protocol, { ...SERVER, serverSide: true }),
        loop.startTls(client.transport, client, TRUSTING),
      ]);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const side of [client, serverSide]) {
        side.transport.abort();
        await side.untilLost();
      }
      await server.waitClosed();
      await new Promise<void>((resolve) => void loop.callSoon(resolve));
    },
  };
}

/** Counts the connections that OpenSSL reads from a descriptor. */
function watchDescriptors(): Disposable & { count: number } {
  const replaced = replaceSsl("SSL_set0_rbio", (real, ssl, bio) => {
    watched.count++;
    real(ssl, bio);
  });
  const watched = { count: 0, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
  return watched;
}

/** Keeps what `SSL_new` returns: the client's connection is made first. */
function watchConnections(): Disposable & { made: Pointer[] } {
  const made: Pointer[] = [];
  const replaced = replaceSsl("SSL_new", (real, ctx) => {
    const ssl = real(ctx);
    made.push(ssl!);
    return ssl;
  });
  return { made, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

async function exchange({ client, server }: Pair): Promise<void> {
  const [before, after] = [client.received, server.received];
  client.transport.write(pattern(100_000, 1));
  server.transport.write(pattern(100_000, 2));
  await client.untilReceived(before + 100_000);
  await server.untilReceived(after + 100_000);
  assertBytes(client.data.subarray(before), pattern(100_000, 2));
  assertBytes(server.data.subarray(after), pattern(100_000, 1));
}

for (const [medium, unix] of [["TCP", false], ["a Unix socket", true]] as const) {
  opensslTest(`OpenSSL reads the descriptor of ${medium}, whether TLS begins at once or by startTls()`, async () => {
    using temp = tempPath("s");
    const path = unix ? { path: temp.path } : {};
    for (const tls of [true, false]) {
      using descriptors = watchDescriptors();
      await using pair = await connect(undefined, { ...path, tls });
      if (!tls) await pair.upgrade();
      assertEquals(descriptors.count, 2);
      await exchange(pair);
      // TLS in TLS goes by memory, above.
      await pair.upgrade();
      assertEquals(descriptors.count, 2);
      await exchange(pair);
    }
  });
}

opensslTest("a connection is read by OpenSSL alone: what comes never meets recv()", async () => {
  const read: number[] = [];
  await using pair = await connect();
  using _writes = replaceSsl("BIO_write", () => {
    throw new Error("ciphertext went by memory");
  });
  using _reads = replaceSsl("SSL_read", (real, ssl, memory, size) => {
    const count = real(ssl, memory, size);
    if (count > 0) read.push(count);
    return count;
  });
  pair.client.transport.write(bytes("hello"));
  await pair.server.untilReceived(5);
  assertEquals([pair.server.text, read], ["hello", [5]]);
});

/** Reads into memory of few bytes, and pauses after each. */
class Sipping extends BufferedProtocol {
  readonly recorder = new Recorder();
  #buffer = new Uint8Array(0);
  #size: number;
  #pauses: boolean;

  constructor(size: number, pauses: boolean) {
    super();
    this.#size = size;
    this.#pauses = pauses;
  }

  override getBuffer(): Uint8Array {
    return this.#buffer = new Uint8Array(this.#size);
  }

  override bufferUpdated(count: number): void {
    const { recorder } = this;
    recorder.dataReceived(this.#buffer.slice(0, count));
    if (!this.#pauses) return;
    recorder.transport.pauseReading();
    queueMicrotask(() => recorder.transport.resumeReading());
  }
}

for (const [size, total, pauses] of [[7, 70_000, false], [700, 70_000, true], [20_000, 400_000, true]] as const) {
  opensslTest(
    `what OpenSSL has decrypted arrives without an event, in memory of ${size} bytes${pauses ? ", paused" : ""}`,
    async () => {
      await using pair = await connect();
      const { client, server } = pair;
      const sipping = new Sipping(size, pauses);
      sipping.recorder.transport = server.transport;
      server.transport.setProtocol(sipping);
      client.transport.write(pattern(total));
      await sipping.recorder.untilReceived(total);
      assertBytes(sipping.recorder.data, pattern(total));
      server.transport.setProtocol(server as unknown as Protocol);
    },
  );
}

opensslTest("a stream of many records lets other connections have their turn", async () => {
  await using busy = await connect();
  await using other = await connect();
  const sipping = new Sipping(64, false);
  sipping.recorder.transport = busy.server.transport;
  busy.server.transport.setProtocol(sipping);
  busy.client.transport.write(pattern(1_000_000));
  await sipping.recorder.untilReceived(1);
  // In the first event: 64 reads, each of which counts as 1 KiB.
  assertLess(sipping.recorder.received, 66 * 64);
  other.client.transport.write(bytes("!"));
  await other.server.untilReceived(1);
  assert(sipping.recorder.received < 1_000_000);
  busy.server.transport.setProtocol(busy.server as unknown as Protocol);
});

opensslTest("a peer that asks for new keys gets them, also while it does not read", async () => {
  using connections = watchConnections();
  await using pair = await connect();
  const { client, server } = pair;
  const ask = () => assertEquals(extra!.SSL_key_update(connections.made[0]!, SSL_KEY_UPDATE_REQUESTED), 1);
  ask();
  await exchange(pair);
  // The server's socket is full of half a record, behind which the answer has to wait.
  client.transport.pauseReading();
  const [before, asked] = [client.received, server.received];
  server.transport.write(pattern(16_000_000, 3));
  await server.log.has("pauseWriting");
  for (let i = 0; i < 20; i++) {
    ask();
    client.transport.write(bytes("new keys"));
    await server.untilReceived(asked + 8 * (i + 1));
  }
  client.transport.resumeReading();
  await client.untilReceived(before + 16_000_000);
  assertBytes(client.data.subarray(before), pattern(16_000_000, 3));
  await exchange(pair);
});

opensslTest(
  "the read buffer of OpenSSL is large while a peer sends more than a record at once, and not for ever",
  async () => {
    const sizes: bigint[] = [];
    using _sizes = replaceSsl("SSL_set_default_read_buffer_len", (real, ssl, size) => {
      sizes.push(size as bigint);
      real(ssl, size);
    });
    await using pair = await connect();
    const { client, server } = pair;
    const say = async (size: number) => {
      const before = server.received;
      client.transport.write(pattern(size));
      await server.untilReceived(before + size);
    };
    // A record.
    await say(16 * 1024);
    assertEquals(sizes, []);
    for (let i = 0; i < 2; i++) {
      await say(100_000);
      assertEquals(sizes.splice(0), [120n * 1024n]);
      for (let j = 0; j < 80; j++) await say(16);
      assertEquals(sizes.splice(0), [0n]);
    }
  },
);

/** How connections end. */
const ENDINGS: Record<string, (client: Transport, server: Transport) => void> = {
  "close() of the client": (client) => client.close(),
  "close() of both": (client, server) => [client, server].forEach((side) => side.close()),
  "close() behind megabytes": (client) => (client.write(pattern(3_000_000)), client.close()),
  "abort()": (_, server) => server.abort(),
  "a reset": (client) => client.abort({ reset: true }),
  "abort() behind megabytes": (client, server) => {
    server.pauseReading();
    client.write(pattern(16_000_000));
    client.abort();
    server.abort();
  },
  "an exception": (client, server) => {
    (server.getProtocol() as Recorder).dataReceived = () => {
      throw new Error("no");
    };
    client.write(bytes("!"));
    client.close();
  },
};

for (const [ending, end] of Object.entries(ENDINGS)) {
  opensslTest(`${ending} frees what OpenSSL has of a connection, once, and closes its descriptor`, async () => {
    const lib = openLibssl();
    const live = new Set<bigint>();
    let made = 0;
    using _new = replaceSsl("SSL_new", (real, ctx) => {
      const ssl = real(ctx);
      live.add(Deno.UnsafePointer.value(ssl));
      made++;
      return ssl;
    });
    using _free = replaceSsl("SSL_free", (real, ssl) => {
      assert(live.delete(Deno.UnsafePointer.value(ssl)), "freed twice");
      real(ssl);
    });
    const used = (["SSL_read", "SSL_write", "SSL_shutdown", "SSL_has_pending"] as const).map((name) =>
      replaceSsl(
        name,
        ((real: (...args: unknown[]) => number, ssl: Pointer, ...args: unknown[]) => {
          assert(live.has(Deno.UnsafePointer.value(ssl)), `${name} after SSL_free`);
          return real(ssl, ...args);
        }) as never,
      )
    );
    const files = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const before = files();
    for (let i = 0; i < 10; i++) {
      await using pair = await connect();
      const { client, server } = pair;
      end(client.transport, server.transport);
      await client.untilLost();
    }
    await turn();
    for (const replaced of used) replaced[Symbol.dispose]();
    assertEquals([made, live.size, files() - before], [20, 0, 0]);
    assertEquals(lib.ERR_get_error(), 0n);
  });
}

opensslTest("a connection fails, and nothing is left, if OpenSSL has no memory for the descriptor", async () => {
  const live = { made: 0, freed: 0 };
  using _new = replaceSsl("SSL_new", (real, ctx) => (live.made++, real(ctx)));
  using _free = replaceSsl("SSL_free", (real, ssl) => (live.freed++, real(ssl)));
  using _fail = replaceSsl("BIO_new_socket", () => null);
  const loop = opensslLoop();
  const errors: unknown[] = [];
  loop.setExceptionHandler((context) => void errors.push(context.error));
  const server = await loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, tls: SERVER });
  const where = { hostname: HOST, port: portOf(server) };
  const connecting = () => loop.createConnection(() => new Recorder(), { ...where, tls: TRUSTING });
  const error = await assertRejects(connecting, Error);
  assertEquals(error.message, "OpenSSL is out of memory");
  server.close();
  await server.waitClosed();
  await new Promise<void>((resolve) => void loop.callSoon(resolve));
  assertEquals([live, errors.length], [{ made: 2, freed: 2 }, 1]);
});
