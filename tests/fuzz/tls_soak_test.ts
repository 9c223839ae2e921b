/** A thousand handshakes, a third of them failing, over one server: nothing leaks and nothing goes unheard. */
import { connect as connectNode } from "node:net";
import { TlsContext, TlsError, type TlsOptions } from "../../mod.ts";
import { assert, assertEquals, assertMatch } from "../std.ts";
import { bytes, captureExceptions, loop, portOf, Recorder, turn } from "../kit.ts";
import { countFiles } from "../open_files.ts";
import { readAll, resetNode, writeAll } from "../streams/kit.ts";
import {
  CA,
  CLIENT,
  createConnection,
  createServer,
  Echo,
  type EitherTls,
  ENGINES,
  EXPIRED,
  FUTURE,
  hangUp,
  HOST,
  SERVER,
  STRANGER,
  TRUSTING,
} from "../tls/kit.ts";

const HANDSHAKES = 1000;
const AT_ONCE = 48;

/** One connection that comes to nothing; tells what its client hears of it, where that is one of ours. */
type Failing = (port: number) => Promise<unknown>;

/** A Tandem client that fails, at the latest when it has been told what the server thinks of it. */
function client(tls: TlsOptions): Failing {
  return async (port) => {
    try {
      const [, protocol] = await loop.createConnection(() => new Recorder(), { hostname: "localhost", port, tls });
      await protocol.untilLost();
      await turn();
      return protocol.error;
    } catch (error) {
      return error;
    }
  };
}

const calledOff: Failing = async (port) => {
  const controller = new AbortController();
  const tls = { ...TRUSTING };
  const connecting = loop.createConnection(() => new Recorder(), {
    hostname: HOST,
    port,
    tls,
    signal: controller.signal,
  });
  // Another connection has been through all of TCP: this one is in its handshake.
  (await Deno.connect({ hostname: HOST, port })).close();
  controller.abort();
  await connecting.then(([transport]) => transport.abort(), () => {});
  await turn();
};

/** A client that speaks no TLS, and waits for the server to hang up. */
function raw(data: Uint8Array, { half = false } = {}): Failing {
  return async (port) => {
    using conn = await Deno.connect({ hostname: HOST, port });
    await writeAll(conn, data);
    if (half) await conn.closeWrite();
    await readAll(conn).catch(() => {});
  };
}

const HALF = new Uint8Array([22, 3, 1, 0, 200, 1]);

const reset: Failing = async (port) => {
  const socket = connectNode(port, HOST);
  await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
  socket.write(HALF);
  await resetNode(socket);
};

/** What a good client of both servers says. */
const GOOD = { ...TRUSTING, ...CLIENT, alpnProtocols: ["echo"] };
/** What a bad one hears of the servers' `sni`. */
const named = (serverHostname: string) => client({ ...GOOD, serverHostname });

/** Each way to fail, with the code that a client of ours hears. */
const BOTH: [Failing, code?: string][] = [
  [client({ ...GOOD, caCerts: [STRANGER] }), "UNKNOWN_ISSUER"],
  [client({ ...GOOD, serverHostname: "wrong.test" }), "WRONG_NAME"],
  [client({ ...GOOD, alpnProtocols: ["other"] }), "NO_SHARED_PROTOCOL"],
  [raw(bytes("GET / HTTP/1.1\r\n\r\n"))],
  [raw(new Uint8Array([22, 3, 1, 255, 255, 1]))],
  [raw(HALF, { half: true })],
  [raw(new Uint8Array(), { half: true })],
  [reset],
  [calledOff],
];
const COMPLETE: typeof BOTH = [
  ...BOTH,
  [raw(HALF)], // handshakeTimeout
  [client({ ...TRUSTING, alpnProtocols: ["echo"] }), "NO_CLIENT_CERTIFICATE"],
  [client({ ...GOOD, ciphers: "TLS_NOT_THERE" }), "NO_SHARED_VERSION"],
  [client({ ...GOOD, serverHostname: "old.test", minVersion: "TLSv1.3" }), "NO_SHARED_VERSION"],
  [named("expired.test"), "CERTIFICATE_EXPIRED"],
  [named("future.test"), "CERTIFICATE_NOT_YET_VALID"],
];
/** What the servers hear, whichever of these comes first. */
const HEARD = ["ALERT", "ConnectionReset", "NOT_TLS", "NO_SHARED_PROTOCOL", "UnexpectedEof"];

const CONTEXTS = new Map([
  ["expired.test", new TlsContext(EXPIRED)],
  ["future.test", new TlsContext(FUTURE)],
  ["old.test", new TlsContext({ ...SERVER, maxVersion: "TLSv1.2" })],
]);

/** One good connection: what is sent comes back, and it ends cleanly. */
async function good(port: number, native: boolean, i: number): Promise<void> {
  const [transport, protocol] = await createConnection(() => new Recorder(), {
    hostname: "localhost",
    port,
    tls: { ...GOOD, native },
  });
  transport.write(bytes(`hello ${i}`));
  await protocol.untilReceived(6 + String(i).length);
  await hangUp([transport, protocol]);
  assertEquals([protocol.text, protocol.error], [`hello ${i}`, null]);
}

for (const { name, native } of ENGINES) {
  Deno.test(`createServer() outlives a thousand TLS handshakes, a third of them failing, and leaks nothing (${name} engine)`, async () => {
    const rejections: unknown[] = [];
    const onRejection = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      rejections.push(event.reason);
    };
    addEventListener("unhandledrejection", onRejection);
    using captured = captureExceptions();
    const tls: EitherTls = native ? { native } : {
      caCerts: [CA],
      requestCert: true,
      sni: (name) => CONTEXTS.get(name) ?? null,
      handshakeTimeout: 3000,
    };
    const server = await createServer(() => new Echo(), {
      hostname: HOST,
      port: 0,
      tls: { ...SERVER, alpnProtocols: ["echo"], ...tls },
    });
    const port = portOf(server);
    // What is loaded and opened once is not counted.
    await good(port, native, 0);
    const openFiles = () => countFiles() ?? 0;
    const before = openFiles();
    const failures = native ? BOTH : COMPLETE;
    let next = 0;
    let failed = 0;
    const work = async () => {
      for (let i = next++; i < HANDSHAKES; i = next++) {
        if (i % 3 !== 0) {
          await good(port, native, i);
          continue;
        }
        const [failing, code] = failures[failed++ % failures.length]!;
        const error = await failing(port);
        if (code === undefined) continue;
        assert(error instanceof TlsError, String(error));
        assertEquals(error.code, code, error.message);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    assertEquals(failed, Math.ceil(HANDSHAKES / 3));
    await good(port, native, HANDSHAKES);
    // Nothing tells when Deno has given the last sockets back.
    for (let i = 0; i < 500 && openFiles() > before; i++) await new Promise((r) => setTimeout(r, 5));
    const after = openFiles();
    server.close();
    server.abortClients();
    await server.waitClosed();
    removeEventListener("unhandledrejection", onRejection);
    assert(after <= before, `${before} files were open, and are ${after}`);
    assertEquals(rejections, []);
    const heard = new Set(captured.contexts.map(({ message, error }) => {
      assertMatch(message, /^TLS handshake with 127\.0\.0\.1 port \d+ failed$/);
      return error instanceof TlsError ? error.code : (error as Error).name;
    }));
    const more = native ? [] : ["NO_CLIENT_CERTIFICATE", "NO_SHARED_VERSION", "TimeoutError"];
    assertEquals([...heard].sort(), [...HEARD, ...more].sort());
  });
}
