/** Peers that break an established connection, or flood it, at every moment at which they can. */
import { type AddressInfo, connect as connectNode, createServer as createNodeServer, type Socket } from "node:net";
import type { Server as NodeServer } from "node:net";
import { setImmediate } from "node:timers";
import { TlsError, type TlsOptions } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertLess, assertMatch } from "../std.ts";
import { bytes, concat, EventLog, loop, pattern, portOf, Recorder, turn } from "../kit.ts";
import { closeQuietly, resetNode, writeAll } from "../streams/kit.ts";
import {
  CA,
  createConnection,
  createServer,
  type EitherTls,
  ENGINES,
  HOST,
  roundTrip,
  same,
  SERVER,
  TRUSTING,
} from "./kit.ts";

const MIB = 1024 * 1024;
/** The header of a record has its type, its version and its length. */
const HEADER = 5;

/** What becomes of one record on its way to the victim. */
type Meddling = (record: Uint8Array, victim: Socket) => void | Promise<void>;

/** Stands between two peers, and does to the records of one of them what it is told. */
class Meddler implements AsyncDisposable {
  /** For the records to come; `null` passes them on. */
  meddling: Meddling | null = null;
  #towards: "server" | "client";
  #server: NodeServer;
  #sockets: Socket[] = [];

  /** @param port Where the server is. @param towards Who is the victim. */
  constructor(port: number, towards: "server" | "client") {
    this.#towards = towards;
    this.#server = createNodeServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const server = connectNode({ port, host: HOST, allowHalfOpen: true, noDelay: true });
      this.#carry(client, server, this.#towards === "server");
      this.#carry(server, client, this.#towards === "client");
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => void this.#server.listen(0, HOST, resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  #carry(from: Socket, to: Socket, meddled: boolean): void {
    this.#sockets.push(from);
    let rest: Uint8Array = new Uint8Array();
    let work = Promise.resolve();
    from.on("data", (data: Uint8Array) => {
      if (!meddled) return void to.write(data);
      rest = concat([rest, data]);
      while (rest.length >= HEADER) {
        const size = HEADER + rest[3]! * 256 + rest[4]!;
        if (rest.length < size) break;
        const record = rest.slice(0, size);
        rest = rest.slice(size);
        work = work.then(() => this.meddling === null ? void to.write(record) : this.meddling(record, to));
      }
    });
    from.on("end", () => void work.then(() => to.end()));
    from.on("error", () => to.destroy());
    from.on("close", () => void work.then(() => to.end()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sockets.map(resetNode));
    await new Promise((resolve) => void this.#server.close(resolve));
  }
}

/** Lets what was sent arrive by itself. */
const arrived = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** A Tandem transport whose TLS peer is Deno's, with a meddler between. */
interface Met extends AsyncDisposable {
  victim: Recorder;
  peer: Deno.TlsConn;
  meddler: Meddler;
}

/** Connects them; both sides have heard of each other then. */
async function meet(
  side: "server" | "client",
  native: boolean,
  options: { closeTimeout?: number; tls?: TlsOptions; meddling?: Meddling; direct?: boolean } = {},
): Promise<Met> {
  const stack = new AsyncDisposableStack();
  const log = new EventLog();
  let victim!: Recorder;
  let peer!: Deno.TlsConn;
  let port: number;
  const tls: EitherTls = { ...native && { native }, ...options.tls };
  const { closeTimeout } = options;
  if (side === "server") {
    const factory = () => (loop.callSoon(() => log.add("made")), victim = new Recorder());
    const server = await createServer(factory, { hostname: HOST, port: 0, closeTimeout, tls: { ...SERVER, ...tls } });
    stack.defer(async () => {
      server.close();
      server.abortClients();
      await server.waitClosed();
    });
    port = portOf(server);
  } else {
    const listener = stack.use(Deno.listenTls({ hostname: HOST, port: 0, ...SERVER }));
    port = listener.addr.port;
    listener.accept().then(async (conn) => {
      peer = conn;
      await conn.handshake();
      log.add("made");
    });
  }
  const meddler = stack.use(new Meddler(port, side));
  meddler.meddling = options.meddling ?? null;
  const meddled = await meddler.listen();
  if (!options.direct) port = meddled;
  if (side === "server") {
    peer = await Deno.connectTls({ hostname: "localhost", port, caCerts: [CA] });
  } else {
    const [transport] = await createConnection(() => victim = new Recorder(), {
      hostname: HOST,
      port,
      closeTimeout,
      tls: { ...TRUSTING, ...tls },
    });
    stack.defer(async () => {
      transport.abort();
      await victim.untilLost();
      await turn();
    });
  }
  stack.defer(() => closeQuietly(peer));
  // With TLS 1.3 one side is done before the other.
  if (side === "server") await peer.handshake();
  await log.has("made");
  await turn();
  await writeAll(peer, bytes("before"));
  await victim.untilReceived(6);
  return { victim, peer, meddler, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What is done to a record of an established connection, and what the victim hears of it. */
const HARM: { what: string; meddling: Meddling; error: typeof TlsError | typeof Deno.errors.UnexpectedEof }[] = [
  {
    what: "a bit flipped in a record",
    meddling: (record, victim) => {
      record[record.length - 20]! ^= 1;
      victim.write(record);
    },
    error: TlsError,
  },
  { what: "garbage", meddling: (_, victim) => void victim.write(pattern(1000, 99)), error: TlsError },
  {
    what: "a record that is longer than records may be",
    meddling: (_, victim) => void victim.write(concat([new Uint8Array([23, 3, 3, 0x48, 1]), pattern(0x4801)])),
    error: TlsError,
  },
  {
    what: "an alert that is not encrypted",
    meddling: (_, victim) => void victim.write(new Uint8Array([21, 3, 3, 0, 2, 2, 40])),
    error: TlsError,
  },
  {
    what: "FIN in the middle of a record",
    meddling: (record, victim) => void victim.end(record.subarray(0, record.length - 1)),
    error: Deno.errors.UnexpectedEof,
  },
  {
    what: "FIN in the middle of a record's header",
    meddling: (record, victim) => void victim.end(record.subarray(0, 3)),
    error: Deno.errors.UnexpectedEof,
  },
  {
    what: "RST in the middle of a record",
    meddling: async (record, victim) => {
      victim.write(record.subarray(0, 10));
      await arrived();
      victim.resetAndDestroy();
    },
    error: Deno.errors.ConnectionReset,
  },
];

for (const { name, native } of ENGINES) {
  for (const side of ["server", "client"] as const) {
    for (const { what, meddling, error } of HARM) {
      Deno.test(`connectionLost() of a ${side} tells of ${what} (${name} engine)`, async () => {
        await using met = await meet(side, native);
        const { victim, peer, meddler } = met;
        meddler.meddling = meddling;
        await writeAll(peer, bytes("after"));
        await victim.untilLost();
        assertInstanceOf(victim.error, error);
        assertEquals(victim.text, "before");
        assertEquals(victim.log.entries.includes("eofReceived"), false);
      });
    }

    for (const size of [4, 300_000]) {
      Deno.test(`a ${side} that answers ${size} bytes is lost if garbage came behind what it answers, and once (${name} engine)`, async () => {
        await using met = await meet(side, native);
        const { victim, peer, meddler } = met;
        const received = victim.dataReceived;
        victim.dataReceived = (data: Uint8Array) => {
          received.call(victim, data);
          victim.transport.write(pattern(size));
        };
        // In one segment: when the answer is encrypted, OpenSSL has already seen the garbage.
        meddler.meddling = (record, victim) => void victim.write(concat([record, pattern(1000, 99)]));
        await writeAll(peer, bytes("after"));
        await victim.untilLost();
        assertInstanceOf(victim.error, TlsError);
        assertEquals(victim.log.entries.filter((entry) => entry.startsWith("connectionLost")).length, 1);
      });
    }

    Deno.test(`a ${side} takes a handshake and data that come byte by byte (${name} engine)`, async () => {
      const meddling: Meddling = async (record, victim) => {
        for (let i = 0; i < record.length; i++) {
          victim.write(record.subarray(i, i + 1));
          await arrived();
        }
      };
      await using met = await meet(side, native, { meddling });
      assertEquals(met.victim.text, "before");
    });

    Deno.test(`a ${side} takes records that are split in every place (${name} engine)`, async () => {
      await using met = await meet(side, native);
      const { victim, peer, meddler } = met;
      let at = 0;
      let size = 0;
      meddler.meddling = async (record, victim) => {
        size = record.length;
        at++;
        victim.write(record.subarray(0, at));
        await arrived();
        victim.write(record.subarray(at));
      };
      for (let i = 1; i <= 40; i++) await writeAll(peer, pattern(16, i));
      await victim.untilReceived(6 + 40 * 16);
      assertEquals(victim.data.subarray(6), concat(Array.from({ length: 40 }, (_, i) => pattern(16, i + 1))));
      assertLess(size, 41);
    });

    Deno.test(`a ${side} takes thousands of tiny records (${name} engine)`, async () => {
      await using met = await meet(side, native);
      const { victim, peer } = met;
      const data = pattern(2000);
      for (let i = 0; i < data.length; i++) await peer.write(data.subarray(i, i + 1));
      await victim.untilReceived(6 + data.length);
      assertEquals(victim.data.subarray(6), data);
    });

    Deno.test(`pauseReading() of a ${side} bounds what a flood takes, and loses nothing (${name} engine)`, async () => {
      await using met = await meet(side, native, { direct: true });
      const { victim, peer } = met;
      victim.transport.pauseReading();
      const flood = pattern(32 * MIB);
      let written = 0;
      const writing = (async () => {
        while (written < flood.length) written += await peer.write(flood.subarray(written, written + 65536));
      })();
      // Nothing more has left after a hundred turns of another connection: it waits for the reader.
      for (let before = -1; before !== written;) {
        before = written;
        for (let i = 0; i < 100; i++) await roundTrip();
      }

      assertLess(written, 16 * MIB);
      assertEquals(victim.received, 6);
      victim.transport.resumeReading();
      await writing;
      await victim.untilReceived(6 + flood.length);
      assert(same(victim.data.subarray(6), flood));
    });

    Deno.test(`close() of a ${side} ends in time though the peer sends for ever (${name} engine)`, async () => {
      // Deno's TLS has a shutdownTimeout of 30 s.
      const limit = native ? { closeTimeout: 50 } : { tls: { shutdownTimeout: 50 } };
      await using met = await meet(side, native, { direct: true, ...limit });
      const { victim, peer } = met;
      const sent = (async () => {
        for (const piece = pattern(16 * 1024);;) await writeAll(peer, piece);
      })();
      await victim.untilReceived(6 + MIB);
      victim.transport.close();
      const { length } = victim.log.entries;
      await victim.untilLost();
      assertEquals(victim.error?.name, "TimeoutError");
      assertMatch(victim.error!.message, native ? /^closeTimeout: / : /^shutdownTimeout: /);
      assertEquals(victim.log.entries.slice(length), ["connectionLost TimeoutError"]);
      await sent.catch((error) => error).then((error) => assertInstanceOf(error, Error));
    });

    Deno.test(`abort() of a ${side} ends a close() that waits for a peer that never reads (${name} engine)`, async () => {
      await using met = await meet(side, native, { direct: true });
      const { victim } = met;
      victim.transport.write(new Uint8Array(64 * MIB));
      assertEquals(victim.log.entries.at(-1), "pauseWriting");
      victim.transport.close();
      await arrived();
      assert(victim.transport.getWriteBufferSize() > 0);
      victim.transport.abort();
      await victim.untilLost();
      assertEquals(victim.error, null);
    });

    Deno.test(`a ${side} takes RST while it says goodbye for the goodbye (${name} engine)`, async () => {
      await using met = await meet(side, native);
      const { victim, peer, meddler } = met;
      // The peer answers nothing but this, which becomes a reset.
      meddler.meddling = (_, victim) => void victim.resetAndDestroy();
      victim.transport.close();
      await writeAll(peer, bytes("after"));
      await victim.untilLost();
      assertEquals([victim.error, victim.text], [null, "before"]);
    });
  }
}
