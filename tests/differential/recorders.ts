/** Protocols that log each callback and then run the scenario's hook for it; the twins of those in recorders.py. */
import {
  type BaseCallbacks,
  BaseProtocol,
  type BaseTransport,
  type DatagramTransport,
  type SubprocessTransport,
  type Transport,
} from "../../mod.ts";
import { concat } from "../kit.ts";
import { errorName, type Log, showData } from "./log.ts";

/** What a scenario does in the callbacks that all protocols share. */
interface BaseHooks<P> {
  connectionMade?(protocol: P): void;
  connectionLost?(protocol: P, error: Error | null): void;
  pauseWriting?(protocol: P): void;
  resumeWriting?(protocol: P): void;
}

/** What it does in those of a stream. */
export interface StreamHooks<P> extends BaseHooks<P> {
  dataReceived?(protocol: P, data: Uint8Array): void;
  eofReceived?(protocol: P): boolean | void;
}

/** What it does in those of a stream that owns its memory. */
export interface BufferedHooks extends StreamHooks<BufferedRecorder> {
  getBuffer?(protocol: BufferedRecorder, sizeHint: number): Uint8Array;
  bufferUpdated?(protocol: BufferedRecorder, nbytes: number): void;
}

/** What it does in those of datagrams. */
export interface DatagramHooks extends BaseHooks<DatagramRecorder> {
  datagramReceived?(protocol: DatagramRecorder, data: Uint8Array, addr: Deno.Addr): void;
  errorReceived?(protocol: DatagramRecorder, error: Error): void;
}

/** What it does in those of a child process. */
export interface ProcessHooks extends BaseHooks<ProcessRecorder> {
  pipeDataReceived?(protocol: ProcessRecorder, fd: number, data: Uint8Array): void;
  pipeConnectionLost?(protocol: ProcessRecorder, fd: number, error: Error | null): void;
  processExited?(protocol: ProcessRecorder): void;
}

abstract class BaseRecorder<T extends BaseTransport, H extends BaseHooks<never>> extends BaseProtocol {
  readonly actor: string;
  transport!: T;
  lost = false;
  paused = false;
  protected output: Log;
  protected hooks: H;
  #pieces: Uint8Array[] = [];
  #count = 0;

  constructor(log: Log, actor: string, hooks: H) {
    super();
    this.output = log;
    this.actor = actor;
    this.hooks = hooks;
  }

  /** All that was received. */
  get data(): Uint8Array {
    return concat(this.#pieces);
  }

  log(text: string): void {
    this.output.line(this.actor, text);
  }

  /** Waits until so many bytes have come in all. */
  received(count: number): Promise<void> {
    return this.output.until(() => this.#count >= count);
  }

  /** Waits for so many lines of this actor that start so. */
  until(prefix: string, count = 1): Promise<void> {
    return this.output.until(() => this.output.count(this.actor, prefix) >= count);
  }

  untilLost(): Promise<void> {
    return this.output.until(() => this.lost);
  }

  /** Sets another recorder as the transport's protocol. */
  handOver(other: { transport: T } & BaseCallbacks): void {
    other.transport = this.transport;
    this.transport.setProtocol(other);
    // The rest is the other's, cleaning up too.
    this.lost = true;
  }

  override connectionMade(transport: BaseTransport): void {
    this.transport = transport as T;
    this.log("connection_made");
    this.hooks.connectionMade?.(this as never);
  }

  override connectionLost(error: Error | null): void {
    this.log(`connection_lost ${errorName(error)}`);
    this.lost = true;
    this.output.changed();
    this.hooks.connectionLost?.(this as never, error);
  }

  override pauseWriting(): void {
    this.log("pause_writing");
    this.paused = true;
    this.hooks.pauseWriting?.(this as never);
  }

  override resumeWriting(): void {
    this.log("resume_writing");
    this.paused = false;
    this.hooks.resumeWriting?.(this as never);
  }

  protected keep(data: Uint8Array): void {
    this.#pieces.push(data);
    this.#count += data.length;
  }
}

/** A `Protocol`, or, for a pipe, as much of one as it needs. */
export class Recorder extends BaseRecorder<Transport, StreamHooks<Recorder>> {
  dataReceived(data: Uint8Array): void {
    this.keep(data);
    this.output.data(this.actor, "data_received", data);
    this.hooks.dataReceived?.(this, data);
  }

  eofReceived(): boolean | void {
    this.log("eof_received");
    return this.hooks.eofReceived?.(this);
  }
}

/** A `BufferedProtocol`. Its getBuffer logs only where a hook does, for when and how often it is asked differs. */
export class BufferedRecorder extends BaseRecorder<Transport, BufferedHooks> {
  buffer = new Uint8Array(65536);

  getBuffer(sizeHint: number): Uint8Array {
    if (this.hooks.getBuffer !== undefined) this.buffer = this.hooks.getBuffer(this, sizeHint) as typeof this.buffer;
    return this.buffer;
  }

  bufferUpdated(nbytes: number): void {
    const data = this.buffer.slice(0, nbytes);
    this.keep(data);
    this.output.data(this.actor, "buffer_updated", data);
    this.hooks.bufferUpdated?.(this, nbytes);
  }

  eofReceived(): boolean | void {
    this.log("eof_received");
    return this.hooks.eofReceived?.(this);
  }
}

/** A `DatagramProtocol`. */
export class DatagramRecorder extends BaseRecorder<DatagramTransport, DatagramHooks> {
  datagramReceived(data: Uint8Array, addr: Deno.Addr): void {
    this.log(`datagram_received ${showData(data)}`);
    this.keep(data);
    this.output.changed();
    this.hooks.datagramReceived?.(this, data, addr);
  }

  errorReceived(error: Error): void {
    this.log(`error_received ${errorName(error)}`);
    this.hooks.errorReceived?.(this, error);
  }
}

/** A `SubprocessProtocol`. Each pipe is an actor of its own: the order between pipes is the kernel's. */
export class ProcessRecorder extends BaseRecorder<SubprocessTransport, ProcessHooks> {
  pipeDataReceived(fd: number, data: Uint8Array): void {
    this.keep(data);
    this.output.data(`pipe ${fd}`, `pipe_data_received ${fd}`, data);
    this.hooks.pipeDataReceived?.(this, fd, data);
  }

  pipeConnectionLost(fd: number, error: Error | null): void {
    this.output.line(`pipe ${fd}`, `pipe_connection_lost ${fd} ${errorName(error)}`);
    this.hooks.pipeConnectionLost?.(this, fd, error);
  }

  processExited(): void {
    this.log(`process_exited ${this.transport.getReturncode()}`);
    this.hooks.processExited?.(this);
  }
}
