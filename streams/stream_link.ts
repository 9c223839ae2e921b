import { type EventLoop, getRunningLoop, type StartTlsOptions } from "../loop/mod.ts";
import type { StreamCallbacks, SubprocessTransport, Transport } from "../transports/mod.ts";
import { ChildTransport } from "./child_transport.ts";
import { DirectProtocol } from "./direct_protocol.ts";
import { IncompleteReadError, LimitOverrunError } from "./errors.ts";
import { ReadSide } from "./read_side.ts";
import { WriteSide } from "./write_side.ts";

/** One connection: what its reader, its writer and its web streams share. */
export class StreamLink {
  readonly read: ReadSide;
  readonly write: WriteSide = new WriteSide();
  #loop: EventLoop | undefined;
  #protocol: StreamCallbacks;
  #serverSide: boolean;
  /** The protocol of the transport is the one for BYOB readers. */
  #direct = false;
  /** `readable` was cancelled. */
  #cancelled = false;
  /** The child whose pipes the pair has: they are transports of their own, and end by themselves. */
  #child: SubprocessTransport | null = null;

  /** Aborted by `drain()`. Created when the program asks for its signal. */
  #draining: AbortController | null = null;

  constructor(protocol: StreamCallbacks, limit: number, loop: EventLoop | undefined, serverSide: boolean) {
    this.read = new ReadSide(limit);
    this.#protocol = protocol;
    this.#loop = loop;
    this.#serverSide = serverSide;
  }

  get loop(): EventLoop {
    return this.#loop ?? getRunningLoop();
  }

  get transport(): Transport {
    return this.write.transport;
  }

  attach(transport: Transport): void {
    this.read.transport = this.write.transport = transport;
  }

  /** Uses another transport from now on, after `startTls()`: that one calls the protocol. */
  replaceTransport(transport: Transport): void {
    this.write.transport = transport;
    // startTls() has set the other protocol.
    this.#direct = false;
    this.read.replaceTransport(transport);
  }

  /** Attaches the pipes of a child. Returns the reading half of its standard error; `null` if that is no pipe. */
  attachChild(child: SubprocessTransport): ReadSide | null {
    this.#child = child;
    this.attach(new ChildTransport(child));
    const { read, write } = this;
    const [stdin, stdout, stderr] = [child.getPipeTransport(0), child.getPipeTransport(1), child.getPipeTransport(2)];
    stdin?.setProtocol({
      pauseWriting: () => write.pause(),
      resumeWriting: () => write.resume(),
      connectionLost: (error) => write.cut(error),
    });
    if (stdin === null) write.cut(null);
    if (stdout === null) read.end();
    else stdout.setProtocol(readInto(read));
    if (stderr === null) return null;
    const errors = new ReadSide(read.limit);
    errors.transport = stderr;
    stderr.setProtocol(readInto(errors));
    return errors;
  }

  /** The peer has ended its side. Without a side that is open, nothing would ever close the connection. */
  endReading(): void {
    this.read.end();
    if (this.write.ended) this.transport.close();
  }

  /** Ends the writing half, and the connection if the other half has ended. */
  endWriting(): void {
    this.write.end();
    if ((this.read.ended || this.#cancelled) && this.#child === null) this.transport.close();
  }

  /** Reads into memory that is used again, from now on: the bytes are copied to the buffers of a BYOB reader. */
  readDirectly(): void {
    if (this.#direct || this.#child !== null) return;
    this.#direct = this.read.direct = true;
    this.transport.setProtocol(new DirectProtocol(this.read, this.#protocol));
  }

  /** `readable` is not read any more. */
  cancelReading(): void {
    this.#cancelled = true;
    this.read.discard();
    if (this.#child !== null) this.#child.getPipeTransport(1)?.close();
    else if (this.write.ended) this.transport.close();
  }

  /** Aborted when the server of the connection ends soon. */
  get draining(): AbortSignal {
    return (this.#draining ??= new AbortController()).signal;
  }

  /** The server ends soon. A program that has not asked for the signal could not know. */
  drain(): void {
    if (this.#draining === null) this.transport.close();
    else this.#draining.abort(new DOMException("the server ends soon", "AbortError"));
  }

  /** Reports whether a peer can cause an error whenever it likes: by what it sends, or by the end of the connection. */
  isOfPeer(error: Error): boolean {
    const { read, write } = this;
    return error === read.error || error === write.error || error instanceof IncompleteReadError ||
      error instanceof LimitOverrunError || (write.lost && error instanceof Deno.errors.ConnectionReset);
  }

  lose(error: Error | null): void {
    if (error === null) this.read.end();
    else this.read.fail(error);
    this.write.lose(error);
  }

  /** Upgrades to TLS, which gets the bytes that were read ahead: the loop takes them by `takeUnread()`. */
  async startTls(options: Omit<StartTlsOptions, "readAhead">): Promise<void> {
    // The loop rejects what is no object.
    const isObject = typeof options === "object" && options !== null && !Array.isArray(options);
    const settings = isObject && options.serverSide === undefined
      ? { ...options, serverSide: this.#serverSide }
      : options;
    this.replaceTransport(await this.loop.startTls(this.transport, this.#protocol, settings));
  }
}

/** Makes the protocol of a pipe that is read. */
function readInto(side: ReadSide): StreamCallbacks {
  return {
    dataReceived: (data) => side.feed(data),
    connectionLost: (error) => error === null ? side.end() : side.fail(error),
  };
}
