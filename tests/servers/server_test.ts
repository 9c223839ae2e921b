import { InvalidStateError, Protocol, type Transport } from "../../mod.ts";
import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "../std.ts";
import { bytes, freePort, hasIpv6, loop, portOf, Recorder, text } from "../kit.ts";
import { readAll } from "../streams/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;
const linux = Deno.build.os === "linux";

class Echo extends Protocol {
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.#transport.write(data);
  }
}

/** Sends a word to an echo server and gives back what returns. */
async function echo(addr: Deno.Addr, word: string): Promise<string> {
  const { hostname, port } = addr as Deno.NetAddr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(bytes(word));
  await conn.closeWrite();
  return text(await readAll(conn));
}

Deno.test("createServer() with a list of hostnames and port 0 serves each at a port of its own", {
  // Only Linux answers on all of 127.0.0.0/8 without being told to.
  ignore: !linux,
}, async () => {
  const hostnames = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  await using server = await loop.createServer(() => new Echo(), { hostname: hostnames, port: 0 });
  const addresses = server.addresses as Deno.NetAddr[];
  assertEquals(addresses.map(({ hostname }) => hostname), hostnames);
  for (const addr of addresses) {
    assertNotEquals(addr.port, 0);
    assertEquals(await echo(addr, `to ${addr.hostname}`), `to ${addr.hostname}`);
  }
});

Deno.test("createServer() serves IPv6", { ignore: !hasIpv6() }, async () => {
  await using server = await loop.createServer(() => new Echo(), { hostname: ["::1", "127.0.0.1"], port: 0 });
  assertEquals((server.addresses as Deno.NetAddr[]).map(({ hostname }) => hostname), ["::1", "127.0.0.1"]);
  for (const addr of server.addresses) assertEquals(await echo(addr, "hello"), "hello");
  const client = new Recorder();
  const [transport] = await loop.createConnection(() => client, { hostname: "::1", port: portOf(server) });
  assertEquals((transport.getExtraInfo("peername") as Deno.NetAddr).hostname, "::1");
  transport.close();
  await client.untilLost();
});

Deno.test("createServer() on a port that is taken rejects with AddrInUse and closes what it had opened", {
  ignore: !linux,
}, async () => {
  const port = freePort();
  using _taken = Deno.listen({ hostname: "127.0.0.3", port });
  const hostname = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
  const error = await assertRejects(
    () => loop.createServer(() => new Echo(), { hostname, port }),
    Deno.errors.AddrInUse,
  );
  assertEquals((error as Error & { code: string }).code, "EADDRINUSE");
  for (const name of ["127.0.0.1", "127.0.0.2"]) Deno.listen({ hostname: name, port }).close();
});

Deno.test("Server.serveForever() refuses what is no AbortSignal, and changes nothing", async () => {
  const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
  const serveForever = (options: unknown) => server.serveForever(options as { signal: AbortSignal });
  for (const signal of [{}, null, "signal", new AbortController(), new EventTarget()]) {
    await assertRejects(() => serveForever({ signal }), TypeError, "signal must be an AbortSignal, got ");
  }
  await assertRejects(() => serveForever({ signal: {} }), TypeError, "got Object");
  await assertRejects(() => serveForever(null), TypeError, "options must be a plain object, got null");
  assertEquals(server.isServing(), false);
  const forever = server.serveForever();
  await assertRejects(() => serveForever({ signal: {} }), TypeError, "signal");
  assertEquals(server.isServing(), true);
  server.close();
  await forever;
  await server.waitClosed();
});

for (const broken of ["addEventListener", "aborted"] as const) {
  Deno.test(`Server.serveForever() with a signal whose ${broken} throws rejects with that, and can be called again`, async () => {
    const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
    const { signal } = new AbortController();
    Object.defineProperty(signal, broken, {
      get() {
        throw new EvalError(broken);
      },
    });
    await assertRejects(() => server.serveForever({ signal }), EvalError, broken);
    assertEquals(server.isServing(), false);
    const forever = server.serveForever();
    assertEquals(server.isServing(), true);
    server.close();
    await forever;
    await server.waitClosed();
  });
}

Deno.test("Server.serveForever() with a signal whose removeEventListener throws leaves nothing running", async () => {
  const server = await loop.createServer(() => new Echo(), LOCAL);
  const { signal } = new AbortController();
  signal.removeEventListener = () => {
    throw new EvalError("removeEventListener");
  };
  const forever = server.serveForever({ signal });
  server.close();
  await assertRejects(() => forever, EvalError, "removeEventListener");
  // Not "already running".
  await assertRejects(() => server.serveForever(), InvalidStateError, "closed server");
  await server.waitClosed();
});

Deno.test("Server.serveForever() on a closed server does not listen to the signal", async () => {
  const server = await loop.createServer(() => new Echo(), LOCAL);
  server.close();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await assertRejects(() => server.serveForever({ signal }), InvalidStateError, "closed server");
  assertEquals(listeners, 0);
  await server.waitClosed();
});

Deno.test("a server whose listener the program closes is closed, too", async () => {
  const listener = Deno.listen(LOCAL);
  const server = await loop.createServer(() => new Recorder(), { listener });
  listener.close();
  await server.waitClosed();
  assertEquals(server.isServing(), false);
});

Deno.test("createServer() with reusePort lets two servers share one port", { ignore: !linux }, async () => {
  const counts = [0, 0];
  const factory = (i: number) => () => {
    counts[i]!++;
    return new Echo();
  };
  const port = freePort();
  await using first = await loop.createServer(factory(0), { ...LOCAL, port, reusePort: true });
  await using second = await loop.createServer(factory(1), { hostname: "127.0.0.1", port, reusePort: true });
  assertEquals(portOf(second), port);
  // The system deals connections out by a hash of the client's port: 64 on one side only is once in 2 ** 63.
  for (let i = 0; i < 64; i++) assertEquals(await echo(first.addresses[0]!, "shared"), "shared");
  assertEquals(counts[0]! + counts[1]!, 64);
  assertNotEquals(counts[0], 0);
  assertNotEquals(counts[1], 0);
  second.close();
  await second.waitClosed();
  for (let i = 0; i < 8; i++) assertEquals(await echo(first.addresses[0]!, "alone"), "alone");
});

Deno.test("createServer() takes a listener that exists, and owns it", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = await loop.createServer(() => new Echo(), { listener });
  assertEquals(server.addresses, [listener.addr]);
  assertEquals(await echo(listener.addr, "given"), "given");
  server.close();
  await server.waitClosed();
  assertThrows(() => listener.close(), Deno.errors.BadResource);
});

Deno.test("createServer() refuses bad options with an error that names them", async () => {
  const create = (options: unknown) => loop.createServer(() => new Echo(), options as { port: number });
  for (const port of [-1, 65_536, 1.5, NaN, "80", null, undefined, 80n]) {
    const Class = typeof port === "number" ? RangeError : TypeError;
    await assertRejects(() => create({ port }), Class, "port must be a whole number from 0 to 65535, got ");
  }
  await assertRejects(() => create({ port: "80" }), TypeError, 'got string "80"');
  await assertRejects(() => create({ port: 80n }), TypeError, "bigint 80");
  await assertRejects(() => create({ port: NaN }), RangeError, "number NaN");
  await assertRejects(() => create({ port: 0, hostname: [] }), RangeError, "hostname");
  await assertRejects(() => create({ port: 0, closeTimeout: -1 }), RangeError, "closeTimeout");
  await assertRejects(() => create({ port: 0, tls: {} }), TypeError, "a TLS server requires tls.cert and tls.key");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await assertRejects(() => create({ port: 0, listener }), TypeError, "listener and port");
  await assertRejects(() => create({ listener, tls: {} }), TypeError, "a TLS server requires tls.cert and tls.key");
  const factory = new Echo() as unknown as () => Echo;
  await assertRejects(() => loop.createServer(factory, LOCAL), TypeError, "factory must be a function");
});

Deno.test("createServer() on an address that is not this machine's rejects with Deno's own error", async () => {
  await assertRejects(
    () => loop.createServer(() => new Echo(), { hostname: ["127.0.0.1", "192.0.2.123"], port: 0 }),
    Deno.errors.AddrNotAvailable,
  );
});

Deno.test("createServer() binds nothing if it rejects because a getter of its options throws, at any reading", async () => {
  const first = await loop.createServer(() => new Echo(), LOCAL);
  const port = portOf(first);
  first.close();
  await first.waitClosed();
  for (const name of ["startServing", "noDelay", "keepAlive", "closeTimeout", "tls", "reusePort", "backlog"]) {
    for (let failing = 1, rejected = true; rejected; failing++) {
      let reads = 0;
      const options = { hostname: "127.0.0.1", port };
      const get = () => {
        if (++reads === failing) throw new EvalError(name);
      };
      Object.defineProperty(options, name, { get, enumerable: true });
      try {
        const server = await loop.createServer(() => new Echo(), options);
        server.close();
        await server.waitClosed();
        rejected = false;
      } catch (error) {
        if (!(error instanceof EvalError)) throw error;
        Deno.listen(options).close();
      }
    }
  }
});
