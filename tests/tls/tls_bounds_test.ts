/** What strangers may hold of a TLS server: handshakes, and lines of its log. */
import { type Server, TimeoutError, TlsContext, TlsError, type TlsOptions, type Transport } from "../../mod.ts";
import { systemClock } from "../../loop/clock.ts";
import { Exceptions } from "../../loop/exceptions.ts";
import { MAX_HANDSHAKES } from "../../tls/tls_options.ts";
import { bytes, captureExceptions, loop, portOf, Recorder } from "../kit.ts";
import { assertEquals, assertInstanceOf, assertRejects } from "../std.ts";
import { ANSWERING } from "../start_tls/kit.ts";
import { clientTls, dial, HOST, SECOND, serve, SERVER, serverTls } from "./kit.ts";

/** Asks for TLS with more replies than the peer takes. */
class Flooded extends Recorder {
  upgraded!: Promise<unknown>;
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(new Uint8Array(20_000_000));
    transport.pauseReading();
    this.upgraded = loop.startTls(transport, this, { ...ANSWERING, handshakeTimeout: 100 });
    this.upgraded.catch(() => {});
  }
}

Deno.test("startTls() whose peer does not read ends within handshakeTimeout, counted from the call", async () => {
  const made = Promise.withResolvers<Flooded>();
  const server = await loop.createServer(() => {
    const protocol = new Flooded();
    loop.callSoon(() => made.resolve(protocol));
    return protocol;
  }, { hostname: HOST, port: 0 });
  using _conn = await Deno.connect({ hostname: HOST, port: portOf(server) });
  const protocol = await made.promise;
  const error = await assertRejects(() => protocol.upgraded, TimeoutError);
  await protocol.untilLost();
  assertEquals(protocol.error, error);
  assertEquals(error.message, "handshakeTimeout: the TLS handshake did not complete within 100 ms");
  server.close();
  await server.waitClosed();
});

async function stall(server: Server, count: number): Promise<AsyncDisposable> {
  const conns = await Promise.all(
    Array.from({ length: count }, () => Deno.connect({ hostname: HOST, port: portOf(server) })),
  );
  return {
    [Symbol.asyncDispose]: () => {
      for (const conn of conns) conn.close();
      return Promise.resolve();
    },
  };
}

Deno.test("maxHandshakes lets a client in at once though others stall, and gives up the oldest", async () => {
  using captured = captureExceptions();
  await using served = await serve(() => new Recorder(), serverTls({ maxHandshakes: 3 }));
  await using _stalled = await stall(served.server, 5);
  await captured.log.until(() => captured.contexts.length === 2);
  const [transport, client] = await dial(served.port);
  await captured.log.until(() => captured.contexts.length === 3);
  for (const { error, peername } of captured.contexts) {
    assertInstanceOf(error, TlsError);
    assertEquals(error.message, "TLS: the handshake was aborted for newer ones (maxHandshakes: 3)");
    assertEquals((peername as Deno.NetAddr).hostname, HOST);
  }
  transport.close();
  await client.untilLost();
  assertEquals(client.error, null);
});

Deno.test("maxHandshakes is 1,000 where nothing is said, and a whole number from 1", async () => {
  assertEquals(MAX_HANDSHAKES, 1000);
  const create = (maxHandshakes: unknown) => {
    const tls = { ...SERVER, maxHandshakes } as TlsOptions;
    return loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, tls });
  };
  for (const count of [0, -1, 1.5, NaN, Infinity]) {
    await assertRejects(() => create(count), RangeError, "maxHandshakes");
  }
  for (const count of ["5", null]) await assertRejects(() => create(count), TypeError, "maxHandshakes");
});

/** What the default handler prints, for so many handshakes that fail at such times. */
function printed(times: number[]): string[] {
  const lines: string[] = [];
  const { error } = console;
  console.error = (_format, line) => void lines.push(line);
  try {
    let now = 0;
    const exceptions = new Exceptions({ ...systemClock, now: () => now });
    const peername = { transport: "tcp", hostname: "127.0.0.1", port: 7 } as const;
    for (const time of times) {
      now = time;
      const failure = new TlsError("NOT_TLS", "TLS: two\nlines\x1b[2J");
      exceptions.report({ message: "TLS handshake with 127.0.0.1 port 7 failed", error: failure, peername });
    }
  } finally {
    console.error = error;
  }
  return lines;
}

Deno.test("a failed handshake is one line of the default handler, whatever its error says", () => {
  assertEquals(printed([0]), ["TLS handshake with 127.0.0.1 port 7 failed: TlsError: TLS: two lines [2J"]);
});

Deno.test("a flood of failed handshakes is summed up by the default handler, and over after a minute", () => {
  const flood = printed(Array.from({ length: 2700 }, (_, i) => i));
  const sums = flood.slice(10).map((line) => /\((\d+) failures of peers; most are no longer printed\)$/.exec(line)![1]);
  assertEquals(sums, ["20", "40", "80", "160", "320", "640", "1280", "2560"]);
  assertEquals(printed([...Array.from({ length: 15 }, () => 0), 60_001, 60_002]).length, 12);
});

/** The version that a client gets which asks for a name and offers no more than TLS 1.2. */
async function oldest(tls: TlsOptions): Promise<string | undefined> {
  using _captured = captureExceptions();
  await using served = await serve(() => new Recorder(), tls);
  const client = { ...clientTls(), serverHostname: "second.test", maxVersion: "TLSv1.2" } as const;
  try {
    const [transport, protocol] = await dial(served.port, client);
    const version = transport.getExtraInfo("cipher")?.version;
    transport.close();
    await protocol.untilLost();
    return version;
  } catch (error) {
    return (error as TlsError).code;
  }
}

Deno.test("sni with a context that sets no minVersion keeps the server's", async () => {
  const chosen = new TlsContext(SECOND);
  assertEquals(await oldest({ ...SERVER, sni: () => chosen }), "TLSv1.2");
  assertEquals(await oldest({ ...SERVER, minVersion: "TLSv1.3", sni: () => chosen }), "NO_SHARED_VERSION");
  const lower = new TlsContext({ ...SECOND, minVersion: "TLSv1.2" });
  assertEquals(await oldest({ ...SERVER, minVersion: "TLSv1.3", sni: () => lower }), "TLSv1.2");
  // None is left: the handshake fails at once.
  const older = new TlsContext({ ...SECOND, maxVersion: "TLSv1.2" });
  assertEquals(await oldest({ ...SERVER, minVersion: "TLSv1.3", sni: () => older }), "ALERT");
});

Deno.test("sni that does not answer delays no other handshake", async () => {
  const answer = Promise.withResolvers<null>();
  let asked = 0;
  const sni = () => ++asked === 1 ? answer.promise : null;
  await using served = await serve(() => new Recorder(), serverTls({ sni }));
  const slow = dial(served.port);
  while (asked === 0) await new Promise<void>((resolve) => void loop.callSoon(resolve));
  const [quick, protocol] = await dial(served.port);
  quick.write(bytes("hello"));
  quick.close();
  await protocol.untilLost();
  answer.resolve(null);
  const [late, last] = await slow;
  late.close();
  await last.untilLost();
});
