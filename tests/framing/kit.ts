/** Frames, how they are sent, and protocols that record them. */
import {
  type Framer,
  LengthPrefixedProtocol,
  type LengthPrefixedProtocolOptions,
  LineProtocol,
  type LineProtocolOptions,
} from "../../framing/mod.ts";
import type { Transport } from "../../mod.ts";
import { EventLog, text } from "../kit.ts";

/** A frame in a form that can be compared and kept. */
export function keep(frame: unknown): string {
  return frame instanceof Uint8Array ? `bytes ${frame.join(" ")}` : `text ${JSON.stringify(frame)}`;
}

/** What a framer makes of pieces: its frames, the frames that were too long, and the error that ended it. */
export function feed<F>(framer: Framer<F>, pieces: Iterable<Uint8Array>, show = keep): string[] {
  const seen: string[] = [];
  if (framer.onTooLong !== undefined) framer.onTooLong = (error) => seen.push(`skipped ${error.length}`);
  try {
    for (const piece of pieces) {
      framer.push(piece);
      for (const frame of framer) seen.push(show(frame));
    }
  } catch (error) {
    seen.push(`${(error as Error).name}: ${(error as Error).message}`);
  }
  return seen;
}

/** The same by `getBuffer()` and `bufferUpdated()`, as a transport does it. */
export function feedBuffers<F>(framer: Framer<F>, pieces: Iterable<Uint8Array>, show = keep): string[] {
  const seen: string[] = [];
  if (framer.onTooLong !== undefined) framer.onTooLong = (error) => seen.push(`skipped ${error.length}`);
  try {
    for (let piece of pieces) {
      while (piece.length > 0) {
        const memory = framer.getBuffer(65536);
        const count = Math.min(memory.length, piece.length);
        memory.set(piece.subarray(0, count));
        framer.bufferUpdated(count);
        piece = piece.subarray(count);
        for (const frame of framer) seen.push(show(frame));
      }
    }
  } catch (error) {
    seen.push(`${(error as Error).name}: ${(error as Error).message}`);
  }
  return seen;
}

/** Each byte on its own. */
export function* byteByByte(data: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < data.length; i++) yield data.slice(i, i + 1);
}

/** Records lines, raw bytes and the end. */
export class Lines extends LineProtocol {
  readonly log = new EventLog();
  error: Error | null | undefined;
  onFrame: (line: string) => void = () => {};
  onRaw: (data: Uint8Array, remaining: number) => void = () => {};

  constructor(options: LineProtocolOptions & { text?: true } = {}) {
    super(options);
  }

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.log.add("connectionMade");
  }

  override frameReceived(line: string): void {
    this.log.add(`line ${line}`);
    this.onFrame(line);
  }

  override rawReceived(data: Uint8Array, remaining: number): void {
    const content = text(data);
    this.onRaw(data, remaining);
    this.log.add(`raw ${content} ${remaining}`);
  }

  override frameTooLong(): void {
    this.log.add("frameTooLong");
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    this.error = error;
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }
}

/** Records frames that begin with their length. */
export class Frames extends LengthPrefixedProtocol {
  readonly log = new EventLog();
  readonly frames: Uint8Array[] = [];
  error: Error | null | undefined;
  onFrame: (frame: Uint8Array) => void = () => {};

  constructor(options: LengthPrefixedProtocolOptions = {}) {
    super(options);
  }

  override frameReceived(frame: Uint8Array): void {
    this.frames.push(frame.slice());
    this.onFrame(frame);
    this.log.add(`frame ${frame.length}`);
  }

  override frameTooLong(): void {
    this.log.add("frameTooLong");
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    this.error = error;
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }
}
