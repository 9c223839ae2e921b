import { checkOptions, namesOf } from "../check_options.ts";
import { checkFunction, checkInteger } from "../checks.ts";
import { toError } from "../errors.ts";
import type { EventLoop, ProtocolFactory } from "../loop/mod.ts";
import { toPromise } from "../promises.ts";
import { Protocol } from "../protocols/mod.ts";
import { markLibraryClass } from "../protocols/library_class.ts";
import { addTaker } from "../unread_bytes.ts";
import type { SubprocessTransport, Transport } from "../transports/mod.ts";
import { wrongArgument } from "./errors.ts";
import { StreamLink } from "./stream_link.ts";
import { StreamPair } from "./stream_pair.ts";
import { StreamReader } from "./stream_reader.ts";

/** Handles a connection. What it throws goes to the loop's exception handler, and closes the connection. */
export type StreamHandler = (pair: StreamPair) => unknown;

/** The options of all pairs. */
export interface StreamsOptions {
  /**
   * The default limit of `readUntil()` and `readLine()`, in bytes. Reading is paused while twice as many bytes wait to be read.
   *
   * @default {65536}
   */
  limit?: number | undefined;
  /**
   * The loop of the connection.
   *
   * @default {getRunningLoop()}
   */
  loop?: EventLoop | undefined;
}

/** The options of {@linkcode toStreams}. */
export interface ToStreamsOptions extends StreamsOptions {
  /**
   * Called with each pair, when its connection is made.
   *
   * @default {undefined}
   */
  handler?: StreamHandler | undefined;
}

const OWN_OPTIONS = namesOf<ToStreamsOptions>({ limit: true, loop: true, handler: true });
const LIMIT = 64 * 1024;

/** The protocol of a {@linkcode StreamPair}. */
export class StreamProtocol extends Protocol {
  static {
    markLibraryClass(this);
    addTaker((protocol) => #link in protocol ? (protocol as StreamProtocol).#link.read.takeUnread() : null);
  }

  /** The connection. Of a child, the writer is its standard input, and the reader its standard output. */
  readonly pair: StreamPair;
  /** Reads the standard error of a child; `null` if that is no pipe. */
  stderr: StreamReader | null = null;
  #link: StreamLink;
  #handler: StreamHandler | undefined;

  /** Called by the factories of {@linkcode toStreams}. */
  constructor(options: ToStreamsOptions) {
    super();
    const { limit = LIMIT, loop, handler } = options;
    this.#link = new StreamLink(this, limit, loop, handler !== undefined);
    this.#handler = handler;
    this.pair = new StreamPair(this.#link);
  }

  /**
   * Calls the handler. Call this yourself if you have passed the protocol to `startTls()` of the loop, with the transport that
   * it returns: the pair then goes on with that. `pair.writer.startTls()` does it for you.
   *
   * @param transport The transport.
   */
  override connectionMade(transport: Transport | SubprocessTransport): void {
    if (this.#link.read.transport !== null) {
      this.#link.replaceTransport(transport as Transport);
      return;
    }
    if ("getPipeTransport" in transport) {
      const errors = this.#link.attachChild(transport);
      this.stderr = errors && new StreamReader(errors);
    } else {
      this.#link.attach(transport);
    }
    const handler = this.#handler;
    if (handler !== undefined) this.#handle(handler);
  }

  /** Keeps the bytes for the reader. */
  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#link.read.feed(data);
  }

  /** Ends the reader, and keeps the transport open for writing. */
  override eofReceived(): boolean {
    this.#link.endReading();
    return true;
  }

  /** Makes `drain()` wait. */
  override pauseWriting(): void {
    this.#link.write.pause();
  }

  /** Ends the wait of `drain()`. */
  override resumeWriting(): void {
    this.#link.write.resume();
  }

  /** Aborts `draining`, or closes the connection. */
  override drain(): void {
    this.#link.drain();
  }

  /** Settles `closed`. */
  override connectionLost(error: Error | null): void {
    this.#link.lose(error);
  }

  #handle(handler: StreamHandler): void {
    const { pair } = this;
    const failed = (thrown: unknown) => {
      const { loop, transport } = this.#link;
      const message = "Exception in the handler of a connection";
      const error = toError(thrown);
      // With it, the default handler prints a line, and no more than a few of a flood.
      const peername = this.#link.isOfPeer(error) ? transport.getExtraInfo("peername") : null;
      loop.callExceptionHandler({ message, error, transport, protocol: this, ...peername && { peername } });
      transport.close();
    };
    try {
      toPromise(handler(pair)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

/**
 * Makes a factory for any method of the loop that creates a stream: the protocol's `pair` is the connection.
 *
 * @param options A handler, a limit and a loop.
 * @returns The factory.
 *
 * @example A Unix socket
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 * import { toStreams } from "@tandem/io/streams";
 *
 * const [, { pair }] = await getRunningLoop().createUnixConnection(toStreams(), { path: "/run/app.sock" });
 * pair.writer.write(new TextEncoder().encode("hello\n"));
 * console.log(await pair.reader.readLine());
 * ```
 */
export function toStreams(options: ToStreamsOptions = {}): ProtocolFactory<StreamProtocol> {
  checkOptions("toStreams()", options, OWN_OPTIONS);
  checkStreamsOptions("toStreams()", options);
  if (options.handler !== undefined) checkFunction("toStreams()", "handler", options.handler);
  const own = { ...options };
  return () => new StreamProtocol(own);
}

/** Checks the options of pairs. */
export function checkStreamsOptions(method: string, { limit, loop }: StreamsOptions): void {
  if (limit !== undefined) checkInteger(method, "limit", limit, 1, undefined, "bytes");
  if (loop !== undefined && typeof loop?.createConnection !== "function") {
    throw wrongArgument(method, "loop", "an EventLoop", loop);
  }
}
