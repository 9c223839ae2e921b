/** A peer that sends TLS messages without data, in floods: KeyUpdates, tickets, requests to renegotiate, tiny records. */
import { BufferedProtocol, type Protocol, TlsError, type TlsOptions } from "../../mod.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import type { TlsEngine, TlsEngineSink } from "../../transports/tls_provider.ts";
import { TlsHandle } from "../../tls/tls_handle.ts";
import { openLibssl, type Pointer } from "../../tls/openssl/libssl.ts";
import { MAX_MESSAGES } from "../../tls/openssl/messages.ts";
import { hasFewPaths } from "../../tls/openssl/peer_verifier.ts";
import { assert, assertEquals, assertInstanceOf } from "../std.ts";
import { bytes, loop as defaultLoop, pattern, portOf, Recorder } from "../kit.ts";
import { CA, HOST, SERVER, TRUSTING } from "./kit.ts";
import { hasOpenssl, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

/** What a hostile peer calls. Opened outside of the tests, because Deno's sanitizer reports a library that a test opens. */
const extra = hasOpenssl
  ? Deno.dlopen("libssl.so.3", {
    SSL_key_update: { parameters: ["pointer", "i32"], result: "i32" },
    SSL_new_session_ticket: { parameters: ["pointer"], result: "i32" },
    SSL_renegotiate: { parameters: ["pointer"], result: "i32" },
    SSL_clear_options: { parameters: ["pointer", "u64"], result: "u64" },
  }).symbols
  : null;
const SSL_KEY_UPDATE_NOT_REQUESTED = 0;
const SSL_KEY_UPDATE_REQUESTED = 1;
const SSL_OP_NO_RENEGOTIATION = 1n << 30n;

/** Messages of a peer, which it sends with its next data. */
const MESSAGES = {
  KeyUpdate: (ssl: Pointer) => extra!.SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED),
  NewSessionTicket: (ssl: Pointer) => extra!.SSL_new_session_ticket(ssl),
  HelloRequest: (ssl: Pointer) => {
    extra!.SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
    return extra!.SSL_renegotiate(ssl);
  },
};

/** A pair, and the connections that OpenSSL has. */
interface Pair extends AsyncDisposable {
  client: Recorder;
  server: Recorder;
  clientSsl: Pointer;
  serverSsl: Pointer;
}

/** Connects. `inner`: by TLS in TLS, which goes by memory. */
async function connect(tls: TlsOptions = {}, inner = false): Promise<Pair> {
  const made: Pointer[] = [];
  using _new = replaceSsl("SSL_new", (real, ctx) => {
    const ssl = real(ctx);
    made.push(ssl!);
    return ssl;
  });
  const loop = opensslLoop();
  const accepted = Promise.withResolvers<Recorder>();
  const factory = () => {
    const protocol = new Recorder();
    protocol.log.has("connectionMade").then(() => accepted.resolve(protocol));
    return protocol as unknown as Protocol;
  };
  const listening = await loop.createServer(factory, { hostname: HOST, port: 0, tls: { ...SERVER, ...tls } });
  const client = new Recorder();
  await loop.createConnection(() => client, { hostname: HOST, port: portOf(listening), tls: { ...TRUSTING, ...tls } });
  const server = await accepted.promise;
  if (inner) {
    [server.transport, client.transport] = await Promise.all([
      loop.startTls(server.transport, server as unknown as Protocol, { ...SERVER, ...tls, serverSide: true }),
      loop.startTls(client.transport, client, { ...TRUSTING, ...tls }),
    ]);
  }
  listening.close();
  const [serverSsl, clientSsl] = made.slice(-2).sort((a, b) =>
    openLibssl().SSL_is_server(b) - openLibssl().SSL_is_server(a)
  );
  return {
    client,
    server,
    clientSsl: clientSsl!,
    serverSsl: serverSsl!,
    async [Symbol.asyncDispose]() {
      for (const side of [client, server]) {
        side.transport.abort();
        await side.untilLost();
      }
      await listening.waitClosed();
      await new Promise<void>((resolve) => void loop.callSoon(resolve));
    },
  };
}

function say(ssl: Pointer, message: keyof typeof MESSAGES, times: number): void {
  for (let i = 0; i < times; i++) {
    assertEquals(MESSAGES[message](ssl), 1);
    assertEquals(openLibssl().SSL_do_handshake(ssl), 1);
  }
}

const FLOODS = [
  // The client sends Finished in TLS 1.3, so that the two tickets of a server may be in the same read.
  ["server", "KeyUpdate", {}, MAX_MESSAGES],
  ["client", "KeyUpdate", {}, MAX_MESSAGES],
  ["client", "NewSessionTicket", {}, 100],
  // Each is answered by an alert, which counts as well.
  ["client", "HelloRequest", { maxVersion: "TLSv1.2" }, MAX_MESSAGES / 2],
] as const;

for (const inner of [false, true]) {
  const way = inner ? "by memory" : "on a descriptor";
  for (const [victim, message, tls, most] of FLOODS) {
    // So many tickets by memory come in several reads, none of which takes long.
    if (inner && message === "NewSessionTicket") continue;
    opensslTest(`a ${victim} takes ${most} messages ${message} ${way}, and is lost by a flood of them`, async () => {
      await using pair = await connect({ ...tls, sessionTickets: message === "NewSessionTicket" }, inner);
      const [near, far] = victim === "server" ? [pair.server, pair.client] : [pair.client, pair.server];
      const ssl = victim === "server" ? pair.clientSsl : pair.serverSsl;
      const before = near.received;
      say(ssl, message, most);
      far.transport.write(bytes("still here"));
      await near.untilReceived(before + 10);
      say(ssl, message, 2 * MAX_MESSAGES);
      far.transport.write(bytes("and no more"));
      await near.untilLost();
      assertInstanceOf(near.error, TlsError);
      assertEquals(near.error.message, "TLS: the peer has sent more than 128 messages at once without data");
      assertEquals([near.error.code, near.received], ["FAILED", before + 10]);
    });
  }
}

opensslTest("a peer that asks for new keys and never reads the answers is lost before they take memory", async () => {
  await using pair = await connect({ sessionTickets: false });
  const { client, server } = pair;
  client.transport.pauseReading();
  server.transport.write(pattern(16_000_000));
  await server.log.has("pauseWriting");
  let asked = 0;
  for (; asked < 10_000 && server.error === undefined && !server.transport.isClosing(); asked += 50) {
    // With its answer, each counts twice.
    for (let i = 0; i < 50; i++) {
      extra!.SSL_key_update(pair.clientSsl, SSL_KEY_UPDATE_REQUESTED);
      openLibssl().SSL_do_handshake(pair.clientSsl);
    }
    const before = server.received;
    client.transport.write(bytes("!"));
    await Promise.race([server.untilReceived(before + 1), server.untilLost()]);
  }
  await server.untilLost();
  assertInstanceOf(server.error, TlsError);
  assertEquals(
    server.error.message,
    "TLS: the peer does not read the answers to its KeyUpdates or requests to renegotiate",
  );
  // An answer has 27 bytes, and at most 128 KiB of ciphertext wait.
  assert(asked * 27 < 256 * 1024, String(asked));
});

Deno.test("TlsHandle fails if what its engine sends by itself waits without end", async () => {
  let sink!: TlsEngineSink;
  const engine = { start() {}, destroy() {}, session: () => null, sslObject: {} } as unknown as TlsEngine;
  const lower = {
    memory: { reset() {} },
    ...{ readStart() {}, readStop() {}, close() {} },
    write: () => new Promise(() => {}),
  } as unknown as StreamHandle;
  const handle = new TlsHandle(defaultLoop as never, lower, (given) => (sink = given, engine), 1000);
  const done = handle.handshake(1000);
  sink.ready();
  await done;
  const failed = Promise.withResolvers<Error>();
  const ignore = () => {};
  handle.readStart({ allocate: () => null, filled: ignore, chunk: ignore, end: ignore, failed: failed.resolve });
  for (let i = 0; i < 1000; i++) sink.ciphertext(new Uint8Array(27));
  await Promise.resolve();
  let error: Error | null = null;
  failed.promise.then((given) => error = given);
  await Promise.resolve();
  assertEquals(error, null);
  for (let i = 0; i < 100; i++) sink.ciphertext(new Uint8Array(27));
  assertEquals(`${await failed.promise}`, "TlsError: TLS: the peer does not read the answers to its messages");
  handle.close(true);
});

opensslTest("messages behind close_notify, which TLS 1.2 ignores, do not keep a connection that closes", async () => {
  await using pair = await connect({ maxVersion: "TLSv1.2", sessionTickets: false });
  const reads: [count: number, isMore: number][] = [];
  using _read = replaceSsl("SSL_read", (real, ssl, memory, size) => {
    const count = real(ssl, memory, size);
    const isClient = Deno.UnsafePointer.equals(ssl, pair.clientSsl);
    if (isClient) reads.push([count, openLibssl().SSL_has_pending(ssl)]);
    return count;
  });
  say(pair.serverSsl, "HelloRequest", 200);
  pair.server.transport.write(bytes("!"));
  pair.client.transport.close();
  await pair.client.untilLost();
  // It returns behind each message, and skips a few in one event.
  assertEquals(reads.slice(0, 9), new Array(9).fill([-1, 1]));
});

/** Reads into memory of 64 KiB. */
class Reader extends BufferedProtocol {
  readonly memory = new Uint8Array(64 * 1024);
  readonly counts: number[] = [];
  received = 0;
  wanted = Infinity;
  done = Promise.withResolvers<void>();

  override getBuffer(): Uint8Array {
    return this.memory;
  }

  override bufferUpdated(count: number): void {
    this.counts.push(count);
    this.received += count;
    if (this.received >= this.wanted) this.done.resolve();
  }
}

opensslTest(
  "a flood of records of one byte each is read in small parts, between which others have their turn",
  async () => {
    await using pair = await connect();
    const reader = new Reader();
    reader.wanted = 600;
    pair.server.transport.setProtocol(reader);
    const lib = openLibssl();
    for (let i = 0; i < 600; i++) lib.SSL_write(pair.clientSsl, bytes("x"), 1);
    pair.client.transport.write(bytes("!"));
    await reader.done.promise;
    assertEquals([Math.max(...reader.counts), reader.counts.length], [64, 10]);
    pair.server.transport.setProtocol(pair.server as unknown as Protocol);
  },
);

opensslTest(
  "a server has nothing of OpenSSL for a client until it has sent its ClientHello, of 64 KiB at most",
  async () => {
    let made = 0;
    using _new = replaceSsl("SSL_new", (real, ctx) => (made++, real(ctx)));
    const loop = opensslLoop();
    const failures: unknown[] = [];
    const failed = Promise.withResolvers<void>();
    loop.setExceptionHandler(({ error }) => failures.push(`${error}`) === 2 && failed.resolve());
    const server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
    const dial = async (announced: number) => {
      const conn = await Deno.connect({ hostname: HOST, port: portOf(server) });
      await conn.write(new Uint8Array([22, 3, 1, 0, 6, 1, announced >> 16, announced >> 8, announced, 3, 3]));
      return conn;
    };
    const [short, long] = [await dial(0xfffb), await dial(0xfffc)];
    const alert = new Uint8Array(16);
    assertEquals([...alert.subarray(0, (await long.read(alert))!)], [21, 3, 3, 0, 2, 2, 70]);
    short.close();
    long.close();
    await failed.promise;
    assertEquals([made, failures.sort()], [0, [
      "TlsError: TLS: the peer does not speak TLS (its ClientHello is too long)",
      "UnexpectedEof: TLS: the peer closed the connection during the handshake",
    ]]);
    server.close();
    await server.waitClosed();
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
  },
);

Deno.test("hasFewPaths() reports whether Deno may be asked: not with many certificates of one name, or one that is none", () => {
  const [ca, server] = [CA, SERVER.cert].map((pem) => Uint8Array.fromBase64(pem.replaceAll(/-----[^-]+-----/g, "")));
  assertEquals(hasFewPaths([server!, ca!, ca!, ca!]), true);
  assertEquals(hasFewPaths([server!, ca!, ca!, ca!, ca!]), false);
  assertEquals(hasFewPaths([server!, new Uint8Array([1, 2, 3])]), false);
});
