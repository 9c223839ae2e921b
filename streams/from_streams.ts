import { checkOptions, namesOf } from "../check_options.ts";
import { type EventLoop, type ExistingConnOptions, getRunningLoop, type ProtocolFactory } from "../loop/mod.ts";
import type { StreamCallbacks, Transport } from "../transports/mod.ts";
import { wrongArgument } from "./errors.ts";
import { type StreamProtocol, toStreams } from "./to_streams.ts";

/** Two web streams that are the directions of one connection: a `Deno.Conn`, a `WebSocketStream`, two `TransformStream`s. */
export interface WebStreams {
  /** What arrives. Its chunks must be `Uint8Array`s. */
  readable: ReadableStream<Uint8Array>;
  /** What is sent. */
  writable: WritableStream<Uint8Array<ArrayBuffer>> | WritableStream<BufferSource>;
}

/** The options of {@linkcode fromStreams}. */
export interface FromStreamsOptions {
  /**
   * The loop of the transport.
   *
   * @default {getRunningLoop()}
   */
  loop?: EventLoop | undefined;
}

const OPTIONS = namesOf<FromStreamsOptions>({ loop: true });
/** The address of a socket that has none. */
const NO_ADDRESS: Deno.UnixAddr = { transport: "unix", path: "" };

/**
 * Makes a transport and a protocol of two web streams. The transport owns the streams from now on.
 *
 * @typeParam P The type of the protocol.
 * @param streams The streams. Both are locked.
 * @param factory Creates the protocol. Without it, the protocol is that of {@linkcode toStreams}.
 * @param options A loop.
 * @returns The transport and the protocol.
 * @throws {TypeError} If a stream is locked.
 *
 * @example A protocol over a compressed connection
 * ```ts
 * import { Protocol } from "@tandem/io";
 * import { fromStreams, openConnection } from "@tandem/io/streams";
 *
 * const { readable, writable } = await openConnection({ port: 8000 });
 * const compressor = new CompressionStream("gzip");
 * compressor.readable.pipeTo(writable);
 * const [transport] = await fromStreams({
 *   readable: readable.pipeThrough(new DecompressionStream("gzip")),
 *   writable: compressor.writable,
 * }, () => new Protocol());
 * transport.write(new TextEncoder().encode("hello"));
 * ```
 */
export function fromStreams(
  streams: WebStreams,
  factory?: undefined,
  options?: FromStreamsOptions,
): Promise<[Transport, StreamProtocol]>;
/** Does the same with a protocol of your own. */
export function fromStreams<P extends StreamCallbacks>(
  streams: WebStreams,
  factory: ProtocolFactory<P>,
  options?: FromStreamsOptions,
): Promise<[Transport, P]>;
export async function fromStreams(
  streams: WebStreams,
  factory?: ProtocolFactory<StreamCallbacks>,
  options: FromStreamsOptions = {},
): Promise<[Transport, StreamCallbacks]> {
  const method = "fromStreams()";
  checkOptions(method, options, OPTIONS);
  const { loop = getRunningLoop() } = options;
  if (typeof streams !== "object" || streams === null) {
    throw wrongArgument(method, "streams", "an object with readable and writable", streams);
  }
  const { readable, writable } = streams;
  if (!(readable instanceof ReadableStream)) throw wrongArgument(method, "readable", "a ReadableStream", readable);
  if (!(writable instanceof WritableStream)) throw wrongArgument(method, "writable", "a WritableStream", writable);
  if (readable.locked) throw new TypeError(`${method}: readable is locked`);
  if (writable.locked) throw new TypeError(`${method}: writable is locked`);
  const conn = new WebStreamsConn(readable, writable);
  // What the loop uses of a Deno.Conn is there.
  const given = conn as unknown as ExistingConnOptions["conn"];
  const make: ProtocolFactory<StreamCallbacks> = factory ?? toStreams({ loop });
  try {
    return await loop.createConnection(make, { conn: given });
  } catch (error) {
    conn.release();
    throw error;
  }
}

/** Web streams as a `Deno.Conn`. */
class WebStreamsConn {
  readonly localAddr = NO_ADDRESS;
  readonly remoteAddr = NO_ADDRESS;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** What was read and not yet returned. */
  #rest = new Uint8Array(0);
  #writing = 0;
  #ended = false;
  #failed = false;
  #closed = false;

  constructor(readable: ReadableStream<Uint8Array>, writable: WritableStream) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    // read() and write() reject with the same errors. Unhandled, these rejections would end the process.
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#next();
      if (done) return null;
      if (!(value instanceof Uint8Array)) {
        throw wrongArgument("fromStreams()", "a chunk of readable", "a Uint8Array", value);
      }
      this.#rest = value as Uint8Array<ArrayBuffer>;
    }
    const count = Math.min(buffer.length, this.#rest.length);
    buffer.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  async #next(): Promise<ReadableStreamReadResult<Uint8Array>> {
    try {
      return await this.#reader.read();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  async write(data: Uint8Array): Promise<number> {
    this.#writing++;
    try {
      await this.#writer.ready;
      // A copy, because the sink may keep the chunk, and the transport reuses the memory.
      await this.#writer.write(data.slice());
    } finally {
      this.#writing--;
    }
    return data.length;
  }

  closeWrite(): Promise<void> {
    this.#ended = true;
    return this.#writer.close();
  }

  /** Gives the streams back, if the loop has not taken them. */
  release(): void {
    if (this.#closed) return;
    this.#reader.releaseLock();
    this.#writer.releaseLock();
  }

  close(): void {
    this.#closed = true;
    this.#reader.cancel().catch(() => {});
    // The far end of writable must not take what was cut off for a whole.
    if (this.#writing > 0 || this.#failed) this.#writer.abort().catch(() => {});
    else if (!this.#ended) this.#writer.close().catch(() => {});
  }
}
