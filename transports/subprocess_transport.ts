import { checkProtocol } from "../checks.ts";
import { callProtocol } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import { describeTraffic } from "./describe_stream.ts";
import type { TransportState } from "./inspection.ts";
import { checkCallbacks } from "../check_protocol.ts";
import { describe, ProcessLookupError } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import type { ProcessHandle } from "./process_handle.ts";
import { StreamConnection } from "./stream_connection.ts";
import { StreamTransport } from "./stream_transport.ts";
import type {
  ExtraInfo,
  ReadTransport,
  StreamCallbacks,
  SubprocessCallbacks,
  SubprocessTransport as Interface,
  WriteTransport,
} from "./transport.ts";

let describeChild: (transport: SubprocessTransport, now: number) => TransportState;

/** The transport of a child process. Its pipes are stream transports. */
export class SubprocessTransport implements Interface {
  #loop: LoopContext;
  #process: ProcessHandle;
  #protocol: SubprocessCallbacks;
  #pipes = new Map<number, StreamConnection>();
  /** The descriptors of the pipes that `pipeConnectionLost` was not called for yet. */
  #openPipes = new Set<number>();
  #returncode: number | null = null;
  #closing = false;
  #lost = false;
  /** `connectionLost` has returned. */
  #over = false;

  /** For `loop.leave()`. */
  #entry: object | undefined;

  static {
    describeChild = (transport, now) => {
      const pipes = [...transport.#pipes].map(([fd, pipe]) => ({ fd, ...describeTraffic(pipe, now) }));
      const sum = (key: "bytesReceived" | "bytesSent" | "writeBufferSize") =>
        pipes.reduce((total, pipe) => total + pipe[key], 0);
      return {
        kind: "subprocess",
        protocol: describe(transport.#protocol),
        peername: null,
        sockname: null,
        tls: false,
        bytesReceived: sum("bytesReceived"),
        bytesSent: sum("bytesSent"),
        writeBufferSize: sum("writeBufferSize"),
        closing: transport.#closing,
        readingPaused: null,
        writingPaused: pipes.find(({ fd }) => fd === 0)?.writingPaused ?? null,
        pid: transport.#process.pid,
        pipes,
      };
    };
  }

  constructor(loop: LoopContext, process: ProcessHandle, protocol: SubprocessCallbacks) {
    this.#loop = loop;
    this.#process = process;
    this.#protocol = protocol;
    for (const [fd, handle] of process.pipes) {
      this.#openPipes.add(fd);
      const pipe = new StreamConnection(loop, handle, this.#pipeProtocol(fd), {
        owner: { lost: () => this.#pipeClosed(fd) },
      });
      this.#pipes.set(fd, pipe);
      new StreamTransport(pipe, { extra: {} });
      pipe.start(false);
    }
    if (loop.debug) loop.watch(this);
    this.#entry = loop.enter?.(this, describeChild);
    callProtocol(loop, this, protocol, "connectionMade", this);
    // In the next turn, so that the caller's `await` of this transport returns before the first bytes are delivered.
    loop.callSoon(() => {
      for (const pipe of this.#pipes.values()) pipe.startReading();
      process.exited.then((returncode) => this.#exited(returncode));
    });
  }

  getPid(): number {
    return this.#process.pid;
  }

  getReturncode(): number | null {
    return this.#returncode;
  }

  getPipeTransport(fd: 0): WriteTransport | null;
  getPipeTransport(fd: 1 | 2): ReadTransport | null;
  getPipeTransport(fd: number): ReadTransport | WriteTransport | null {
    return this.#pipes.get(fd)?.transport ?? null;
  }

  sendSignal(signal: Deno.Signal | number): void {
    if (typeof signal !== "string" && !Number.isInteger(signal)) {
      throw new TypeError(`sendSignal(): signal must be a name such as "SIGHUP" or a number, got ${describe(signal)}`);
    }
    this.#send("sendSignal()", signal);
  }

  terminate(): void {
    this.#send("terminate()", "SIGTERM");
  }

  kill(): void {
    this.#send("kill()", "SIGKILL");
  }

  #send(method: string, signal: Deno.Signal | number): void {
    // As in CPython: a child that has ended is an error only after connectionLost has returned.
    if (this.#over) throw new ProcessLookupError(`${method}: process ${this.#process.pid} has ended`);
    if (this.#returncode === null) this.#process.kill(signal);
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    // Aborted, not closed: a child that is killed does not read its standard input.
    for (const pipe of this.#pipes.values()) pipe.abort();
    try {
      if (this.#returncode === null) this.kill();
    } catch {
      // Not permitted: the child has changed its user.
    }
  }

  isClosing(): boolean {
    return this.#closing;
  }

  getExtraInfo<K extends keyof ExtraInfo, D = null>(name: K, defaultValue?: D): ExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo({ subprocess: this.#process.subprocess }, name, defaultValue);
  }

  setProtocol(protocol: SubprocessCallbacks): void {
    checkProtocol("setProtocol()", "protocol", protocol);
    checkCallbacks(this.#loop, "setProtocol()", protocol, "subprocess");
    this.#protocol = protocol;
  }

  getProtocol(): SubprocessCallbacks {
    return this.#protocol;
  }

  ref(): void {
    this.#process.ref?.();
  }

  unref(): void {
    this.#process.unref?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Passes the callbacks of a pipe on. Flow control of standard input reaches the child's protocol, as in asyncio. */
  #pipeProtocol(fd: number): StreamCallbacks {
    return {
      dataReceived: (data) => callProtocol(this.#loop, this, this.#protocol, "pipeDataReceived", fd, data),
      pauseWriting: () => callProtocol(this.#loop, this, this.#protocol, "pauseWriting"),
      resumeWriting: () => callProtocol(this.#loop, this, this.#protocol, "resumeWriting"),
      connectionLost: (error) => callProtocol(this.#loop, this, this.#protocol, "pipeConnectionLost", fd, error),
    };
  }

  /** The pipe has called its protocol, which can be another one by now. */
  #pipeClosed(fd: number): void {
    this.#openPipes.delete(fd);
    this.#finishIfDone();
  }

  #exited(returncode: number): void {
    this.#returncode = returncode;
    callProtocol(this.#loop, this, this.#protocol, "processExited");
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#lost || this.#returncode === null) return;
    if (this.#openPipes.size === 1) this.#closeUnreadInput();
    if (this.#openPipes.size > 0) return;
    this.#lost = true;
    this.#closing = true;
    this.#loop.callSoon(() => {
      callProtocol(this.#loop, this, this.#protocol, "connectionLost", null);
      this.#over = true;
      this.#loop.unwatch(this);
      this.#loop.leave?.(this.#entry);
    });
  }

  /**
   * Closes standard input if it is the last open pipe: otherwise `connectionLost` would never be called, because Deno
   * reports that a reader is gone only when something is written. A grandchild may still read: probably if it holds
   * another pipe, certainly if it takes what is buffered.
   */
  #closeUnreadInput(): void {
    if (this.#openPipes.has(0)) this.#pipes.get(0)!.closeWhenEmpty();
  }
}
