/**
 * The transport of a child process: its pipes are stream transports, its end is an event among theirs.
 *
 * @module
 */
import { checkProtocol } from "../checks.ts";
import { callProtocol } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import { describe, ProcessLookupError } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import type { StreamHandle } from "./stream_handle.ts";
import { StreamTransport } from "./stream_transport.ts";
import type {
  ExtraInfo,
  ReadTransport,
  StreamCallbacks,
  SubprocessCallbacks,
  SubprocessTransport as Interface,
  WriteTransport,
} from "./transport.ts";

/** What signals are added to in the exit code of a shell, and of Deno: 128 + N. */
const SIGNAL_BASE = 128;

/** A child process and the handles of the pipes to it. */
export interface ChildPipes {
  /** The child. */
  readonly child: Deno.ChildProcess;
  /** The handles of its pipes by descriptor; what is not piped is missing. */
  readonly handles: ReadonlyMap<number, StreamHandle>;
}

/** A transport over a `Deno.ChildProcess`. */
export class SubprocessTransport implements Interface {
  #loop: LoopContext;
  #child: Deno.ChildProcess;
  #protocol: SubprocessCallbacks;
  #pipes = new Map<number, StreamTransport>();
  /** The descriptors of the pipes whose end the protocol has not been told. */
  #openPipes = new Set<number>();
  #returncode: number | null = null;
  #closing = false;
  #lost = false;

  constructor(loop: LoopContext, { child, handles }: ChildPipes, protocol: SubprocessCallbacks) {
    this.#loop = loop;
    this.#child = child;
    this.#protocol = protocol;
    for (const [fd, handle] of handles) {
      this.#openPipes.add(fd);
      this.#pipes.set(fd, new StreamTransport(loop, handle, this.#pipeProtocol(fd), { extra: {} }));
    }
    if (loop.debug) loop.watch(this);
  }

  /** Tells the protocol that the child runs. Called once, by the loop, before {@linkcode startReading}. */
  connected(): void {
    callProtocol(this.#loop, this, this.#protocol, "connectionMade", this);
  }

  /** Starts to read the pipes and to wait for the child's end. Called once, by the loop. */
  startReading(): void {
    for (const pipe of this.#pipes.values()) pipe.startReading();
    this.#child.status.then(
      ({ code, signal }) => this.#exited(signal === null ? code : SIGNAL_BASE - code),
      // Deno has no name for a real-time signal, and tells of it like this.
      (error: Error) => this.#exited(-Number(/Invalid signal: (\d+)/.exec(error.message)?.[1] ?? 1)),
    );
  }

  getPid(): number {
    return this.#child.pid;
  }

  getReturncode(): number | null {
    return this.#returncode;
  }

  getPipeTransport(fd: 0): WriteTransport | null;
  getPipeTransport(fd: 1 | 2): ReadTransport | null;
  getPipeTransport(fd: number): ReadTransport | WriteTransport | null {
    return this.#pipes.get(fd) ?? null;
  }

  sendSignal(signal: Deno.Signal | number): void {
    if (typeof signal !== "string" && !Number.isInteger(signal)) {
      throw new TypeError(`sendSignal(): signal must be a name such as "SIGHUP" or a number, got ${describe(signal)}`);
    }
    if (this.#returncode !== null) {
      throw new ProcessLookupError(`sendSignal(): process ${this.#child.pid} has ended`);
    }
    try {
      this.#child.kill(signal as Deno.Signal);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || (error as Error).message.includes("already terminated")) {
        throw new ProcessLookupError(`sendSignal(): process ${this.#child.pid} has ended`, { cause: error });
      }
      throw error;
    }
  }

  terminate(): void {
    this.sendSignal("SIGTERM");
  }

  kill(): void {
    this.sendSignal("SIGKILL");
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    // Aborted, not closed: a child that is about to be killed will not drain its standard input.
    for (const pipe of this.#pipes.values()) pipe.abort();
    try {
      if (this.#returncode === null) this.kill();
    } catch {
      // It ended first, which is what was wanted.
    }
  }

  isClosing(): boolean {
    return this.#closing;
  }

  getExtraInfo<K extends keyof ExtraInfo, D = null>(name: K, defaultValue?: D): ExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo({ subprocess: this.#child }, name, defaultValue);
  }

  setProtocol(protocol: SubprocessCallbacks): void {
    checkProtocol(protocol, "setProtocol(): protocol");
    this.#protocol = protocol;
  }

  getProtocol(): SubprocessCallbacks {
    return this.#protocol;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Hands on what happens on one pipe. Pauses of standard input reach the child's protocol, as in asyncio. */
  #pipeProtocol(fd: number): StreamCallbacks {
    return {
      dataReceived: (data) => callProtocol(this.#loop, this, this.#protocol, "pipeDataReceived", fd, data),
      pauseWriting: () => callProtocol(this.#loop, this, this.#protocol, "pauseWriting"),
      resumeWriting: () => callProtocol(this.#loop, this, this.#protocol, "resumeWriting"),
      connectionLost: (error) => {
        callProtocol(this.#loop, this, this.#protocol, "pipeConnectionLost", fd, error);
        this.#openPipes.delete(fd);
        this.#finishIfDone();
      },
    };
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
      this.#loop.unwatch(this);
    });
  }

  /**
   * Ends standard input if it is the last pipe, for `connectionLost` must come, and Deno tells of a reader that has gone
   * only when something is written. A child of the child's may still read it: most probably where it holds another pipe,
   * certainly where it takes what waits.
   */
  #closeUnreadInput(): void {
    if (this.#openPipes.has(0)) this.#pipes.get(0)!.closeWhenEmpty();
  }
}
