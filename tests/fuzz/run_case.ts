/** Runs a case, and tells what is wrong. */
import { setImmediate } from "node:timers";
import { TlsError } from "../../mod.ts";
import type { Case } from "./cases.ts";
import { Delivery } from "./delivery.ts";
import { Dice } from "./dice.ts";
import { type OtherSide, Peer } from "./peer.ts";
import { Hostile } from "./hostile.ts";
import type { Graveyard } from "./leaks.ts";
import { type Piece, Tamperer } from "./records.ts";
import type { AttackedServer } from "./servers.ts";
import { describeError, isProper, Watch } from "./victim.ts";
import { connectVictim, type Stage } from "./ways.ts";
import type { Wire } from "./wires.ts";

/** What must have happened by then, has hung: far more than all limits together. */
const PATIENCE = 8000;
/** It is waited for in steps of so many milliseconds. */
const STEP = 100;
/** So many turns without news, and nothing more will come. */
const QUIET = 6;

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** One run of a case. */
class Run implements Stage {
  readonly problems: string[] = [];
  readonly tested: Case;
  readonly watch: Watch;
  readonly server: (tcp: boolean) => Promise<AttackedServer>;
  readonly #dice: Dice;
  readonly #tamperer: Tamperer;
  readonly #delivery: Delivery;
  #wire: Wire | null = null;
  #isOpen = false;
  /** What the victim cannot be told yet. */
  #waiting: Piece[] = [];
  #peer: OtherSide | null = null;
  #skipped = 0;
  /** Counts whatever happens. */
  #news = 0;
  #refusal: unknown = null;

  constructor(tested: Case, server: (tcp: boolean) => Promise<AttackedServer>) {
    this.tested = tested;
    this.server = server;
    this.#dice = new Dice(tested.seed ^ 0x5eed, tested.index);
    this.watch = new Watch(tested.index % 251);
    this.#tamperer = new Tamperer(tested.tampering, this.#dice);
    this.#delivery = new Delivery(tested.delivery, this.#dice, (piece) => this.#tell(piece));
  }

  /** What became of it, in a word. */
  get outcome(): string {
    const { made, error, phase } = this.watch;
    const what = made && phase === "secure" ? "connected, then " : "refused: ";
    const cause = error ?? this.#refusal;
    return what + (cause instanceof TlsError ? cause.code : cause instanceof Error ? cause.name : "a clean end");
  }

  readonly hear = (data: Uint8Array): void => {
    this.#news++;
    const skipped = Math.min(this.#skipped, data.length);
    this.#skipped -= skipped;
    if (skipped < data.length) this.#peer?.receive(data.subarray(skipped));
  };

  readonly onClosed = (): void => void this.#news++;

  skip(count: number): void {
    this.#skipped += count;
  }

  plain(wire: Wire): void {
    this.#wire = wire;
  }

  open(wire: Wire): void {
    this.#wire = wire;
    this.#isOpen = true;
    for (const piece of this.#waiting.splice(0)) wire.tell(piece);
  }

  makePeer(): void {
    const { side, version, name, mutual, alpn, index, identity, hostile } = this.tested;
    const Class = hostile ? Hostile : Peer;
    this.#peer ??= new Class(
      {
        serverSide: side === "client",
        version,
        name,
        mutual,
        alpn: alpn ? ["fuzz"] : [],
        tag: index % 251,
        identity,
      },
      this.#dice,
      (data) => this.#delivery.push(this.#tamperer.push(data)),
    );
  }

  async run(): Promise<string[]> {
    const { inMade, inData } = this.tested;
    const { watch, problems } = this;
    watch.onMade = () => watch.act(inMade, this.#wire?.conn ?? null);
    watch.onData = () => {
      watch.onData = null;
      watch.act(inData, this.#wire?.conn ?? null);
    };
    if (this.tested.early) {
      this.makePeer();
      // Until its first message, if it has one to begin with.
      for (let i = 0; i < 8; i++) await null;
    }
    const attempt = connectVictim(this);
    const quiet = this.#untilQuiet().then(() => null);
    const outcome = await within("the handshake's end", Promise.race([attempt, quiet]), problems);
    if (outcome === null) this.#finish();
    const settled = outcome ?? await within("the attempt's end", attempt, problems);
    if (settled !== undefined && "transport" in settled) await this.#play();
    else if (settled !== undefined) this.#checkRefusal(settled.error);
    if (watch.made) {
      if (!watch.isLost) await this.#lose();
      await turn();
      await turn();
    }
    this.#check();
    return [...problems, ...watch.problems];
  }

  #checkRefusal(error: unknown): void {
    this.#refusal = error;
    if (!isProper(error)) this.problems.push(`it failed with ${describeError(error)}`);
  }

  #check(): void {
    const { said, received } = this.watch;
    const peer = this.#peer;
    if (peer === null) return;
    if (received > peer.said) this.problems.push(`it was given ${received} bytes of ${peer.said}`);
    if (peer.misheard || peer.heard > said) this.problems.push("its peer was given what was never said");
    if (this.#wire?.conn?.closed === false) this.problems.push("the connection is not closed");
  }

  #tell(piece: Piece): void {
    this.#news++;
    if (this.#isOpen) this.#wire!.tell(piece);
    else this.#waiting.push(piece);
  }

  /** Waits until nothing is under way any more. */
  async #untilQuiet(): Promise<void> {
    for (let quiet = 0, seen = this.#news; quiet < QUIET;) {
      if (this.tested.way === "tcp" || this.tested.way === "dial") await new Promise((r) => void setTimeout(r, 3));
      else await turn();
      quiet = seen === this.#news && this.#delivery.idle ? quiet + 1 : 0;
      seen = this.#news;
    }
  }

  /** Ends what has come to a standstill. */
  #finish(): void {
    const { ending } = this.tested;
    const { transport } = this.watch;
    if (ending.startsWith("leave")) this.#peer?.end();
    if (ending === "leave and end" || ending === "end") this.#delivery.push(["end"]);
    if (ending === "reset") this.#delivery.push(["reset"]);
    if (ending === "alert") this.#delivery.push([new Uint8Array([21, 3, 3, 0, 2, 2, 80]), "end"]);
    if (ending === "close") transport?.close();
    if (ending === "abort") transport?.abort();
    this.#wire?.conn?.release();
  }

  /** What both do once they are connected. */
  async #play(): Promise<void> {
    const { watch } = this;
    for (const { victim, peer } of this.tested.turns) {
      if (watch.isLost) return;
      watch.act(victim, this.#wire?.conn ?? null);
      if (peer > 0) this.#peer?.say(peer);
      await turn();
    }
    await this.#untilQuiet();
  }

  /** Ends the connection, in the end by force. */
  async #lose(): Promise<void> {
    const { watch } = this;
    watch.act("resume", null);
    this.#wire?.conn?.release();
    this.#finish();
    await this.#untilQuiet();
    if (watch.isLost) return;
    if (this.tested.ending === "wait") watch.transport.close();
    else if (!watch.transport.isClosing()) watch.transport.abort();
    await within("connectionLost", watch.lost.promise, this.problems);
  }

  /** Leaves nothing behind. */
  async dispose(graveyard: Graveyard): Promise<void> {
    const conn = this.#wire?.conn;
    if (conn) graveyard.bury(conn);
    this.#peer?.destroy();
    await this.#delivery.stop();
    await this.#wire?.dispose();
  }
}

/** Fails where something does not happen in time. */
async function within<T>(what: string, promise: Promise<T>, problems: string[]): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    // In small steps: where all of the process is held up, that counts as one.
    const wait = (left: number) => {
      timer = setTimeout(() => {
        if (left > 0) return wait(left - STEP);
        problems.push(`${what} did not happen within ${PATIENCE} ms`);
        resolve(undefined);
      }, STEP);
    };
    wait(PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs a case.
 *
 * @param tested The case.
 * @param server Finds the server that it attacks.
 * @param graveyard Where connections go that are over.
 * @returns What is wrong, and what became of it.
 */
export async function runCase(
  tested: Case,
  server: (tcp: boolean) => Promise<AttackedServer>,
  graveyard: Graveyard,
): Promise<{ problems: string[]; outcome: string }> {
  const run = new Run(tested, server);
  try {
    return { problems: await run.run(), outcome: run.outcome };
  } catch (error) {
    return { problems: [...run.problems, `the case itself failed: ${describeError(error)}`], outcome: "failed" };
  } finally {
    await run.dispose(graveyard);
  }
}
