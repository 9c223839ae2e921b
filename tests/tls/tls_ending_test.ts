/** What abort() drops the peer never takes for a whole stream, and what close() sends arrives, whatever the peer sends. */
import { TimeoutError, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertLess, assertMatch } from "../std.ts";
import { bytes, connect, pattern, Recorder } from "../kit.ts";
import { connectTls, Echo, same, WAYS } from "./kit.ts";

const MB = 1_000_000;

/** Aborts in one of its callbacks. */
class Aborting extends Recorder {
  readonly when: string;
  /** How much waited when it did. */
  waited = 0;
  constructor(when: string) {
    super();
    this.when = when;
  }
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.#in("connectionMade");
  }
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.#in("dataReceived");
  }
  override pauseWriting(): void {
    super.pauseWriting();
    this.#in("pauseWriting");
  }
  override resumeWriting(): void {
    super.resumeWriting();
    this.#in("resumeWriting");
  }
  #in(callback: string): void {
    if (callback !== this.when || this.transport.isClosing()) return;
    this.waited = this.transport.getWriteBufferSize();
    this.transport.abort();
  }
}

/** When abort() may be called, and how that comes about; the peer sends one byte where it is waited for. */
const MOMENTS: Record<string, (side: Aborting, peer: Recorder) => Promise<void> | void> = {
  "in connectionMade": () => {},
  "in dataReceived": (_, peer) => peer.transport.write(bytes("!")),
  "in dataReceived, with bytes of before": (side, peer) => {
    side.transport.write(pattern(10 * MB));
    peer.transport.write(bytes("!"));
  },
  "in pauseWriting": (side) => side.transport.write(pattern(10 * MB)),
  "in resumeWriting": (side) => {
    // The kernel may take some of it at once, but not half.
    side.transport.setWriteBufferLimits({ high: 20 * MB, low: 20 * MB });
    side.transport.write(pattern(40 * MB));
  },
  "while close() flushes": (side) => {
    side.transport.write(pattern(20 * MB));
    side.transport.close();
    side.transport.abort();
  },
  "while close() flushes, some turns later": async (side, peer) => {
    peer.transport.pauseReading();
    side.transport.write(pattern(20 * MB));
    side.transport.close();
    await new Promise((resolve) => setTimeout(resolve));
    side.transport.abort();
    peer.transport.resumeReading();
  },
  "with nothing to send": (side) => side.transport.abort(),
  "behind a small write": (side) => {
    side.transport.write(bytes("the last word"));
    side.transport.abort();
  },
};

for (const way of WAYS.filter(({ native }) => !native)) {
  for (const [moment, come] of Object.entries(MOMENTS)) {
    for (const aborts of ["server", "client"] as const) {
      if (moment === "in connectionMade" && aborts === "client") continue;
      Deno.test(`abort() of a ${aborts} ${moment} looks like a truncated stream over ${way.name}`, async () => {
        const when = /\w+(?=$|, with)/.exec(moment)![0];
        const make = (side: string) => () => side === aborts ? new Aborting(when) : new Recorder();
        await using pair = await connectTls(make("server"), make("client"), way);
        const side = (aborts === "server" ? pair.serverSide : pair.clientSide) as Aborting;
        const peer = aborts === "server" ? pair.clientSide : pair.serverSide;
        await come(side, peer);
        await Promise.all([side.untilLost(), peer.untilLost()]);
        assertEquals(side.error, null);
        if (when.endsWith("Writing")) assertLess(3 * MB - 1, side.waited);
        const { ConnectionReset, UnexpectedEof } = Deno.errors;
        assert(peer.error instanceof UnexpectedEof || peer.error instanceof ConnectionReset, `${peer.error}`);
        assertEquals(peer.log.entries.includes("eofReceived"), false);
      });
    }
  }
}

/** What closes connections, and what it goes over; Deno's own TLS has a say in how. */
for (const way of WAYS) {
  Deno.test(`close() sends 30 MB to an echo that stops until its answers are taken, over ${way.name}`, async () => {
    await using pair = await connectTls(() => new Echo(), () => new Recorder(), way);
    const { serverSide, clientSide } = pair;
    const data = pattern(30 * MB);
    // Deno's own TLS takes more at a time.
    if (!way.native) clientSide.transport.pauseReading();
    clientSide.transport.write(data);
    if (!way.native) await serverSide.log.has("pauseWriting");
    clientSide.transport.resumeReading();
    // What comes before close() is told, and nothing after.
    await clientSide.untilReceived(1);
    clientSide.transport.close();
    const { received } = clientSide;
    await Promise.all([serverSide.untilLost(), clientSide.untilLost()]);
    assertEquals([serverSide.error, clientSide.error, clientSide.received], [null, null, received]);
    assert(same(serverSide.data, data));
  });

  Deno.test(`close() of both sides with megabytes to send is a clean end for both over ${way.name}`, async () => {
    await using pair = await connectTls(() => new Recorder(), () => new Recorder(), way);
    const sides = [pair.serverSide, pair.clientSide];
    for (const { transport } of sides) transport.write(pattern(20 * MB));
    for (const { transport } of sides) transport.close();
    await Promise.all(sides.map((side) => side.untilLost()));
    assertEquals(sides.map(({ error, received }) => [error, received]), [[null, 0], [null, 0]]);
  });
}

Deno.test("close() over plain TCP stops reading, and an echo that waits for its answers to be taken stalls", async () => {
  await using pair = await connect(() => new Echo(), () => new Recorder(), { client: { closeTimeout: 200 } });
  const { clientSide } = pair;
  clientSide.transport.write(pattern(100 * MB));
  clientSide.transport.close();
  await clientSide.untilLost();
  assertInstanceOf(clientSide.error, TimeoutError);
  assertMatch(clientSide.error.message, /^closeTimeout: \d+ bytes were not sent within 200 ms$/);
});
