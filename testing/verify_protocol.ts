import { checkOptions, namesOf } from "../check_options.ts";
import { checkBytes, checkFunction, checkInteger } from "../checks.ts";
import { describe, toError } from "../errors.ts";
import type { StreamCallbacks } from "../transports/mod.ts";
import { formatBytes, joinBytes, toBytes } from "./format_bytes.ts";
import { type MemoryPair, memoryPair } from "./memory_pair.ts";
import { MemoryLoop } from "./memory_loop.ts";
import { drawSeed, makeRandom } from "./random.ts";
import { recorder, type Recording } from "./recorder.ts";
import { ScriptedPeer } from "./scripted_peer.ts";
import { checkMs } from "./virtual_clock.ts";

/** A part of a conversation: what the peer sends, and the answer. */
export interface Exchange {
  /** What the peer sends, as text or bytes. */
  send: string | Uint8Array;
  /**
   * The answer.
   *
   * @default {undefined} what the protocol answers if the bytes arrive whole
   */
  expect?: string | Uint8Array | undefined;
}

/** The options of {@linkcode verifyProtocol}. */
export interface VerifyOptions {
  /**
   * The virtual time that an answer may take, in milliseconds.
   *
   * @default {0}
   */
  within?: number | undefined;
  /**
   * The pause between pieces in the runs with pauses, in milliseconds of virtual time.
   *
   * @default {10}
   */
  pause?: number | undefined;
  /**
   * The most places at which an exchange is split and cut off. A longer exchange is cut at places that are spread evenly.
   *
   * @default {500}
   */
  splits?: number | undefined;
  /**
   * The number of runs with random pieces, and of those with pauses.
   *
   * @default {20}
   */
  randomRuns?: number | undefined;
  /**
   * The most bytes that may wait to be sent while the peer does not read.
   *
   * @default {1_048_576}
   */
  maxBuffer?: number | undefined;
  /**
   * Decides what is random. Copy it from the message of a failure.
   *
   * @default {undefined} drawn at random
   */
  seed?: number | undefined;
}

const OPTIONS = namesOf<VerifyOptions>({
  within: true,
  pause: true,
  splits: true,
  randomRuns: true,
  maxBuffer: true,
  seed: true,
});
const EXCHANGE = namesOf<Exchange>({ send: true, expect: true });
const METHOD = "verifyProtocol()";

/** An exchange, as bytes. */
interface ReadExchange {
  send: Uint8Array;
  expect: Uint8Array | undefined;
}

/** What a protocol has answered, exchange by exchange. */
type Answers = (Uint8Array | undefined)[];

/** Sends an exchange in pieces. `settle` lets a piece arrive. */
type Sender = (bytes: Uint8Array, index: number) => Iterable<Uint8Array>;

/**
 * Verifies that a protocol does not depend on how its bytes arrive. It holds the conversation many times, each time with a
 * new protocol, and sends each exchange
 *
 * - whole, byte by byte, split at each place, in random pieces, and in random pieces with pauses between them: the answer
 *   must be the same each time;
 * - cut off after each byte, by the end of the stream and by a reset: the answer so far must be the beginning of the whole
 *   answer;
 * - again and again to a protocol whose peer does not read: its write buffer must stay below `maxBuffer`.
 *
 * No callback may throw, and `connectionLost` must be called once.
 *
 * @param factory Creates the protocol. It gets the loop, whose clock is virtual.
 * @param conversation What the peer sends, and what it expects. Each exchange begins after the answer to the one before.
 * @param options Times, limits and the seed.
 * @throws {Error} If the protocol fails. The message says in which run, and names the seed.
 *
 * @example A protocol of lines
 * ```ts
 * import { Protocol, type Transport } from "@tandem/io";
 * import { verifyProtocol } from "@tandem/io/testing";
 *
 * class Lengths extends Protocol {
 *   #transport!: Transport;
 *   #rest = "";
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *   override dataReceived(data: Uint8Array) {
 *     const lines = (this.#rest + new TextDecoder().decode(data)).split("\n");
 *     this.#rest = lines.pop()!;
 *     for (const line of lines) this.#transport.write(new TextEncoder().encode(`${line.length}\n`));
 *   }
 *   override pauseWriting() {
 *     this.#transport.pauseReading();
 *   }
 *   override resumeWriting() {
 *     this.#transport.resumeReading();
 *   }
 * }
 *
 * await verifyProtocol(() => new Lengths(), { send: "four\nseven\n", expect: "4\n5\n" });
 * ```
 */
export async function verifyProtocol(
  factory: (loop: MemoryLoop) => StreamCallbacks,
  conversation: Exchange | readonly Exchange[],
  options: VerifyOptions = {},
): Promise<void> {
  checkFunction(METHOD, "factory", factory, "a function that returns a protocol");
  checkOptions(METHOD, options, OPTIONS);
  const { within = 0, pause = 10, splits = 500, randomRuns = 20, maxBuffer = 2 ** 20, seed = drawSeed() } = options;
  checkMs(METHOD, "within", within);
  checkMs(METHOD, "pause", pause);
  checkInteger(METHOD, "splits", splits, 0);
  checkInteger(METHOD, "randomRuns", randomRuns, 0);
  checkInteger(METHOD, "maxBuffer", maxBuffer, 0);
  checkInteger(METHOD, "seed", seed, 0, 2 ** 32 - 1);
  const exchanges = readConversation(conversation);
  const verifier = new Verifier(factory, exchanges, within);
  try {
    await verifier.holdWhole();
    await verifier.hold("byte by byte", (bytes) => pieces(bytes, () => 1));
    for (const [index, { send }] of exchanges.entries()) {
      for (const at of places(send.length, splits)) {
        await verifier.hold(`split at ${at} of exchange ${index}`, function* (bytes, i) {
          if (i !== index) return yield bytes;
          yield bytes.subarray(0, at);
          yield bytes.subarray(at);
        });
      }
    }
    for (let i = 0; i < randomRuns; i++) {
      for (const ms of [0, pause]) {
        const random = makeRandom(seed + i);
        const cut: Sender = (bytes) => pieces(bytes, () => 1 + Math.floor(random() * random() * bytes.length));
        await verifier.hold(`in random pieces (${i})${ms > 0 ? " with pauses" : ""}`, cut, ms);
      }
    }
    for (const [index, { send }] of exchanges.entries()) {
      for (const at of [0, ...places(send.length, splits), send.length]) {
        for (const by of ["end", "reset"] as const) await verifier.cutOff(index, at, by);
      }
    }
    await verifier.flood(maxBuffer);
  } catch (thrown) {
    const { message } = toError(thrown);
    throw new Error(`${METHOD}: ${verifier.run}: ${message}\nreplay with { seed: ${seed} }`, { cause: thrown });
  }
}

class Verifier {
  /** What runs now, for messages. */
  run = "";
  #factory: (loop: MemoryLoop) => StreamCallbacks;
  #exchanges: readonly ReadExchange[];
  #within: number;
  #answers: Answers = [];
  /** The exceptions that the loop has reported in this run. */
  #exceptions: string[] = [];

  constructor(factory: (loop: MemoryLoop) => StreamCallbacks, exchanges: readonly ReadExchange[], within: number) {
    this.#factory = factory;
    this.#exchanges = exchanges;
    this.#within = within;
  }

  /** Finds the answers that all other runs must give. */
  async holdWhole(): Promise<void> {
    this.#answers = this.#exchanges.map(({ expect }) => expect);
    await this.hold("whole", (bytes) => [bytes]);
  }

  async hold(run: string, cut: Sender, pause = 0): Promise<void> {
    this.run = run;
    const { pair, peer, recording } = await this.#connect();
    for (const [index, { send }] of this.#exchanges.entries()) {
      for (const piece of cut(send, index)) {
        peer.send(piece);
        await pair.loop.clock.advance(pause);
      }
      await pair.loop.clock.advance(this.#within);
      const answer = peer.takeUnread();
      const expected = this.#answers[index] ??= answer;
      if (!isEqual(answer, expected)) {
        throw new Error(
          `exchange ${index}: ${formatBytes(send)} was answered by ${formatBytes(answer)}, not ${
            formatBytes(expected)
          }`,
        );
      }
    }
    await this.#finish(pair, recording, () => peer.end());
  }

  /** Ends the connection within an exchange. */
  async cutOff(index: number, at: number, by: "end" | "reset"): Promise<void> {
    this.run = `cut off by ${by === "end" ? "the end" : "a reset"} after byte ${at} of exchange ${index}`;
    const { pair, peer, recording } = await this.#connect();
    for (const { send } of this.#exchanges.slice(0, index)) {
      peer.send(send);
      await pair.loop.clock.advance(this.#within);
      peer.takeUnread();
    }
    peer.send(this.#exchanges[index]!.send.subarray(0, at));
    await pair.loop.clock.advance(this.#within);
    const answer = peer.takeUnread();
    const whole = this.#answers[index]!;
    if (!isEqual(answer, whole.subarray(0, answer.length))) {
      throw new Error(`the answer so far, ${formatBytes(answer)}, is not the beginning of ${formatBytes(whole)}`);
    }
    await this.#finish(pair, recording, () => peer[by]());
  }

  /** Sends the conversation again and again, and does not read. */
  async flood(maxBuffer: number): Promise<void> {
    this.run = "again and again to a peer that does not read";
    const { pair, peer, recording } = await this.#connect();
    pair.loop.engine.inject({ downstream: { neverReads: true } });
    const round = joinBytes(this.#exchanges.map(({ send }) => send));
    if (round.length === 0) return this.#finish(pair, recording, () => peer.end());
    const input = joinBytes(Array(Math.ceil(16 * 1024 / round.length)).fill(round));
    // Until the protocol does not read any more, or more than enough was sent.
    for (let sent = 0; sent < 4 * maxBuffer + 2 ** 18; sent += input.length) {
      if (peer.transport.isClosing() || pair.transportB.isClosing() || peer.transport.getWriteBufferSize() > 0) break;
      peer.send(input);
      await pair.loop.clock.advance(this.#within);
      const size = pair.transportB.getWriteBufferSize();
      if (size > maxBuffer) {
        throw new Error(
          `${size} bytes wait to be sent, more than maxBuffer (${maxBuffer}): pause reading, in pauseWriting()`,
        );
      }
    }
    await this.#finish(pair, recording, () => peer.reset());
  }

  async #connect() {
    const loop = new MemoryLoop({ seed: 0 });
    this.#exceptions = [];
    loop.setExceptionHandler(({ message, error }) => {
      this.#exceptions.push(error === undefined ? message : `${message} ${error.name}: ${error.message}`);
    });
    const recording = recorder(this.#factory(loop));
    const peer = new ScriptedPeer({ clock: loop.clock });
    const pair = await memoryPair(peer, recording.protocol, { loop });
    await pair.settle();
    return { pair, peer, recording };
  }

  async #finish(
    pair: MemoryPair<ScriptedPeer, StreamCallbacks>,
    recording: Recording<StreamCallbacks>,
    end: () => void,
  ): Promise<void> {
    if (!pair.transportA.isClosing()) end();
    await pair.settle();
    // A protocol may stay half open.
    pair.transportA.abort();
    await pair.settle();
    pair.transportB.abort();
    await pair.settle();
    if (this.#exceptions.length > 0) throw new Error(this.#exceptions.join("; "));
    const lost = recording.calls.filter((line) => line.startsWith("connectionLost"));
    if (lost.length !== 1 || recording.calls.at(-1) !== lost[0]) {
      throw new Error(`connectionLost must be called once, last; the callbacks were:\n${recording}`);
    }
  }
}

function readConversation(conversation: unknown): ReadExchange[] {
  const list: unknown[] = Array.isArray(conversation) ? conversation : [conversation];
  if (list.length === 0) throw new RangeError(`${METHOD}: conversation must have at least one exchange, got none`);
  return list.map((exchange, i) => {
    const name = Array.isArray(conversation) ? `conversation[${i}]` : "conversation";
    if (typeof exchange !== "object") {
      throw new TypeError(`${METHOD}: ${name} must be { send, expect }, got ${describe(exchange)}`);
    }
    checkOptions(METHOD, exchange, EXCHANGE, { prefix: `${name}.`, name });
    const { send, expect } = exchange as Exchange;
    const bytes = { send: toBytes(send), expect: expect === undefined ? undefined : toBytes(expect) };
    checkBytes(METHOD, `${name}.send`, bytes.send);
    if (bytes.expect !== undefined) checkBytes(METHOD, `${name}.expect`, bytes.expect);
    return bytes;
  });
}

function* pieces(bytes: Uint8Array, size: () => number): Generator<Uint8Array> {
  for (let offset = 0; offset < bytes.length;) {
    const piece = bytes.subarray(offset, offset + size());
    yield piece;
    offset += piece.length;
  }
}

/** Returns the places within `length` bytes, at most `most`, spread evenly. */
function places(length: number, most: number): number[] {
  const count = Math.min(most, Math.max(0, length - 1));
  return Array.from({ length: count }, (_, i) => 1 + Math.floor(i * (length - 1) / count));
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
