import { toError } from "../../errors.ts";
import { closeQuietly } from "../../promises.ts";
import type { TcpSettings } from "../../transports/engine.ts";
import type { AcceptSink, ListenHandle } from "../../transports/listen_handle.ts";
import type { ExtraInfo } from "../../transports/transport.ts";
import { adoptConn } from "./adopt.ts";
import { startSignalThread } from "./signal_thread.ts";

/** A listen handle over a `Deno.Listener`: TCP, TLS or Unix. */
export class ListenerHandle implements ListenHandle {
  readonly addr: Deno.Addr;
  readonly socket: object;
  readonly hasTls: boolean;
  #listener: Deno.Listener;
  #settings: TcpSettings | null;
  #addresses: Partial<ExtraInfo> | undefined;
  #removeFile: (() => void) | undefined;
  /** `null` before `acceptStart()` and after `closed()`. */
  #sink: AcceptSink | null = null;
  #wanted = false;
  #accepting = false;
  #closed = false;

  /** Of a Unix socket, `bound` is the path to report, and the function that removes the socket file. */
  constructor(
    listener: Deno.Listener,
    settings: TcpSettings | null,
    bound?: { path: string; removeFile: (() => void) | undefined },
  ) {
    this.#listener = this.socket = listener;
    // Deno exports no class to compare with.
    this.hasTls = listener.constructor?.name === "TlsListener";
    this.#settings = settings;
    this.addr = bound === undefined ? listener.addr : { transport: "unix", path: bound.path };
    // Not Deno's path: the socket was bound under another name. See bindUnixPath().
    if (this.addr.transport === "unix") this.#addresses = { sockname: this.addr };
    this.#removeFile = bound?.removeFile;
  }

  acceptStart(sink: AcceptSink): void {
    startSignalThread();
    this.#sink = sink;
    this.#wanted = true;
    if (!this.#accepting) this.#accept();
  }

  acceptStop(): void {
    this.#wanted = false;
  }

  ref(): void {
    this.#listener.ref?.();
  }

  unref(): void {
    this.#listener.unref?.();
  }

  close(): void {
    this.#wanted = false;
    this.#closed = true;
    this.#removeFile?.();
    this.#removeFile = undefined;
    closeQuietly(this.#listener);
    if (!this.#accepting) this.#end();
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.closed();
  }

  async #accept(): Promise<void> {
    this.#accepting = true;
    let over = false;
    while (this.#wanted && !over) {
      try {
        const conn = await this.#listener.accept();
        this.#sink!.accepted(adoptConn(conn, this.#settings, this.#addresses));
      } catch (error) {
        over = this.#closed || isGone(error);
        if (!over) this.#sink!.failed(toError(error));
      }
    }
    this.#accepting = false;
    if (over || this.#closed) this.#end();
  }
}

/** Reports whether the listener itself is closed. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}
