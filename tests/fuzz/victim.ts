/** What is attacked: protocols that insist on the order of their callbacks, and on the bytes that they are given. */
import { Buffer } from "node:buffer";
import { BufferedProtocol, Protocol, TlsError, type Transport } from "../../mod.ts";
import { pattern } from "../kit.ts";
import type { Action } from "./cases.ts";
import type { MemoryConn } from "./memory_conn.ts";
import { VICTIM } from "./peer.ts";

/** Ends the command that begins TLS. */
export const NEWLINE = 10;

/** What happens to a victim, and what is wrong with it. */
export class Watch {
  readonly problems: string[] = [];
  readonly lost = Promise.withResolvers<void>();
  made = false;
  isLost = false;
  error: Error | null = null;
  received = 0;
  said = 0;
  transport!: Transport;
  /** Plain until the command has come, then nothing, then TLS. */
  phase: "plain" | "upgrading" | "secure" = "secure";
  onCommand: (() => void) | null = null;
  onMade: ((transport: Transport) => void) | null = null;
  onData: (() => void) | null = null;
  #tag: number;
  #paused = false;
  #ended = false;

  /** @param tag Tells the pattern of its peer from others. */
  constructor(tag: number) {
    this.#tag = tag;
  }

  connectionMade(transport: Transport): void {
    if (this.made) this.problems.push("connectionMade ran twice");
    this.made = true;
    this.transport = transport;
    this.onMade?.(transport);
  }

  data(data: Uint8Array): void {
    if (!this.made || this.isLost || this.#ended) this.problems.push("data came out of turn");
    if (this.#paused) this.problems.push("data came while reading was paused");
    if (this.phase === "upgrading") this.problems.push("data came during startTls()");
    if (this.phase === "plain") {
      if (data.includes(NEWLINE)) this.onCommand?.();
      return;
    }
    const expected = pattern(data.length, this.#tag + 7 * (this.received % 251));
    if (Buffer.compare(data, expected) !== 0) this.problems.push(`what came at ${this.received} was never said`);
    this.received += data.length;
    this.onData?.();
  }

  eofReceived(): void {
    if (!this.made || this.isLost || this.#ended) this.problems.push("eofReceived came out of turn");
    this.#ended = true;
  }

  connectionLost(error: Error | null): void {
    if (!this.made || this.isLost) this.problems.push("connectionLost came out of turn");
    this.isLost = true;
    this.error = error;
    if (error !== null && !isProper(error)) this.problems.push(`connectionLost was given ${describeError(error)}`);
    this.lost.resolve();
  }

  /** Does something. */
  act(action: Action | null, conn: MemoryConn | null): void {
    const { transport } = this;
    const say = (length: number) => {
      const data = pattern(length, this.#tag + VICTIM + 7 * (this.said % 251));
      if (!transport.isClosing()) this.said += length;
      return data;
    };
    // startTls() is at work: writes are refused.
    if (this.phase === "upgrading" && action?.startsWith("write")) return;
    if (action === "write") transport.write(say(700));
    else if (action === "write much") transport.write(say(200_000));
    else if (action === "writeOwned") transport.writeOwned(say(5000));
    else if (action === "writelines") transport.writelines([say(10), say(20_000), say(1)]);
    else if (action === "close") transport.close();
    else if (action === "abort") transport.abort();
    else if (action === "pause") {
      transport.pauseReading();
      this.#paused = this.phase === "secure";
    } else if (action === "resume") {
      this.#paused = false;
      transport.resumeReading();
    } else if (action === "hold writes") conn?.hold();
    else if (action === "release writes") conn?.release();
  }
}

/** The callbacks of a Protocol. */
export class Victim extends Protocol {
  readonly watch: Watch;
  constructor(watch: Watch) {
    super();
    this.watch = watch;
  }
  override connectionMade(transport: Transport): void {
    this.watch.connectionMade(transport);
  }
  override dataReceived(data: Uint8Array): void {
    this.watch.data(data);
  }
  override eofReceived(): void {
    this.watch.eofReceived();
  }
  override connectionLost(error: Error | null): void {
    this.watch.connectionLost(error);
  }
}

/** Those of a BufferedProtocol, which reads a command byte by byte. */
export class BufferedVictim extends BufferedProtocol {
  readonly watch: Watch;
  #memory = new Uint8Array(3000);
  constructor(watch: Watch) {
    super();
    this.watch = watch;
  }
  override connectionMade(transport: Transport): void {
    this.watch.connectionMade(transport);
  }
  override getBuffer(): Uint8Array {
    return this.watch.phase === "plain" ? this.#memory.subarray(0, 1) : this.#memory;
  }
  override bufferUpdated(count: number): void {
    this.watch.data(this.#memory.subarray(0, count));
  }
  override eofReceived(): void {
    this.watch.eofReceived();
  }
  override connectionLost(error: Error | null): void {
    this.watch.connectionLost(error);
  }
}

/** Whether an error is one that users are promised: a slip of Tandem's, or of node:tls, is not. */
export function isProper(error: unknown): boolean {
  // Of the program's own making.
  if (error instanceof Error && error.message.startsWith("sni must return a TlsContext")) return true;
  const { TypeError, RangeError, ReferenceError, SyntaxError } = globalThis;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ([TypeError, RangeError, ReferenceError, SyntaxError].some((Class) => cause instanceof Class)) return false;
  }
  const ofDeno = Object.values(Deno.errors).some((Class) => error instanceof Class);
  return error instanceof TlsError || ofDeno || (error instanceof Error && error.name === "TimeoutError");
}

/** An error, with its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `, caused by ${describeError(error.cause)}`;
  return `${error.stack ?? `${error.name}: ${error.message}`}${cause}`;
}
