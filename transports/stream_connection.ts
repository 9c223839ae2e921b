/**
 * The state machine of every byte stream: TCP, Unix sockets, pipes and TLS, over any handle.
 *
 * ```text
 * open --close(), end of file--> flushing --all is written--> shutting down --the peer has answered--> lost
 *   \---- abort(), a fatal error, closeTimeout: from any state --------------------------------------->/
 *
 * its writing half: open --writeEof()--> ending --all is written--> ended
 * ```
 *
 * A handle without `shutdown()` goes from flushing to lost. `connectionLost` is called in the turn after that.
 */
import { InvalidStateError, toError } from "../errors.ts";
import { checkProtocol } from "../checks.ts";
import { callProtocol } from "./callbacks.ts";
import { limitClose } from "./close_limit.ts";
import type { StreamConnectionOptions } from "./connection_owner.ts";
import { ConnectionState } from "./connection_state.ts";
import type { DenoFile, FileSource } from "./file_source.ts";
import type { LoopContext } from "./loop_context.ts";
import { describeStream } from "./describe_stream.ts";
import { checkCallbacks } from "../check_protocol.ts";
import type { StreamHandle, StreamSink } from "./stream_handle.ts";
import type { ReceiverHost } from "./receiver_host.ts";
import { SendingHalf } from "./sending_half.ts";
import { isBuffered, StreamReceiver } from "./stream_receiver.ts";
import type { StreamCallbacks, Transport } from "./transport.ts";

/** One byte stream: its handle, its protocol and its state. */
export class StreamConnection extends SendingHalf implements ReceiverHost {
  /** The transport that the protocol has. `startTls()` replaces it. */
  transport!: Transport;
  readonly loop: LoopContext;
  #options: StreamConnectionOptions<StreamConnection>;
  #receiver: StreamReceiver;

  #state: "open" | "flushing" | "shutting down" | "lost" = "open";
  #writingHalf: "open" | "ending" | "ended" = "open";
  /** `startReading()` was called. */
  #started = false;
  /** Created on demand, to keep idle connections small. */
  #rare: ConnectionState | null = null;
  /** Where the list of its server has it. */
  place = -1;
  /** For `loop.leave()`. */
  #entry: object | undefined;
  /** Whether the stream keeps the process alive. */
  #holds = true;

  constructor(
    loop: LoopContext,
    handle: StreamHandle,
    protocol: StreamCallbacks,
    options: StreamConnectionOptions<StreamConnection>,
    buffered: boolean = isBuffered(protocol),
  ) {
    super(handle);
    this.loop = loop;
    this.#options = options;
    this.#receiver = new StreamReceiver(this, protocol, handle.memory, buffered);
  }

  /** What only some connections need. */
  get rare(): ConnectionState {
    return this.#rare ??= new ConnectionState();
  }

  /** `startTls()` runs, and waits for what was written before. */
  get upgrading(): boolean {
    return this.#rare !== null && this.#rare.upgrading;
  }

  get readable(): boolean {
    return this.handle.readable;
  }

  get writable(): boolean {
    return this.handle.writable;
  }

  get protocol(): StreamCallbacks {
    return this.#receiver.protocol;
  }

  set protocol(protocol: StreamCallbacks) {
    this.#receiver.protocol = protocol;
  }

  /** Throws unless `setProtocol()` can take a protocol. */
  checkProtocol(protocol: StreamCallbacks): void {
    checkProtocol("setProtocol()", "protocol", protocol);
    checkCallbacks(this.loop, "setProtocol()", protocol, "stream");
  }

  get isClosing(): boolean {
    return this.#state !== "open";
  }

  /** `connectionLost` is called, or will be in the next turn. */
  get isLost(): boolean {
    return this.#state === "lost";
  }

  get isReading(): boolean {
    return this.#state === "open" && !this.#receiver.paused;
  }

  get receiver(): StreamReceiver {
    return this.#receiver;
  }

  get dispatching(): boolean {
    return this.#receiver.dispatching;
  }

  /** Calls `connectionMade`. Called once, before `startReading()`. Not `listed`: its owner describes it. */
  start(listed = true): void {
    if (listed) this.#entry = this.loop.enter?.(this, describeStream);
    if (this.loop.debug) this.loop.watch(this.transport);
    callProtocol(this.loop, this.transport, this.protocol, "connectionMade", this.transport);
  }

  /** Starts reading, unless the protocol has paused or closed. Called once. */
  startReading(): void {
    this.#started = true;
    if (!this.handle.readable) this.handle.watchReader?.(() => this.close());
    else if (this.isReading) {
      this.#options.owner?.resumed?.(this);
      this.handle.readStart(this.#receiver);
    }
  }

  /**
   * Starts reading in the next turn, so that the caller's `await` returns before the first bytes are delivered. If
   * `startTls()` has taken over by then, it starts reading itself, after the handshake. `handle`: what takes the handle's place.
   */
  startReadingSoon(handle: StreamHandle | null = null): void {
    if (handle !== null) this.handle = handle;
    const { transport } = this;
    this.loop.callSoon(() => {
      if (this.transport === transport) this.startReading();
    });
  }

  /** Reports whether bytes that are written now would be sent. Throws if writing is an error. */
  acceptsWrites(method: string, transport: unknown): boolean {
    if (!this.handle.writable) throw new InvalidStateError(`${method} cannot be called on a read-only transport`);
    if (this.upgrading || transport !== this.transport) {
      throw new InvalidStateError(`${method}: startTls() has taken over the connection`);
    }
    if (this.#writingHalf !== "open") throw new InvalidStateError(`${method} cannot be called after writeEof()`);
    return this.#state === "open";
  }

  /** Whether `openFile()` can be called. */
  get sendsFiles(): boolean {
    return this.handle.openFile !== undefined;
  }

  /** Prepares a file that is sent without a copy. */
  openFile(file: DenoFile): Promise<FileSource> {
    return this.handle.openFile!(file);
  }

  /** Stops reading and writing for an upgrade to TLS. Returns a function that undoes it. */
  beginUpgrade(transport: unknown): () => void {
    if (this.upgrading || transport !== this.transport) {
      throw new InvalidStateError("startTls() has already taken over the connection");
    }
    if (this.#state !== "open") throw new InvalidStateError("startTls(): the transport is closing");
    if (this.#writingHalf !== "open") throw new InvalidStateError("startTls(): the transport is half closed");
    const { rare } = this;
    if (rare.sendingFile) throw new InvalidStateError("startTls() cannot be called during sendfile()");
    const paused = this.#receiver.paused;
    this.pauseReading();
    rare.wasPaused = paused;
    rare.upgrading = true;
    return () => {
      rare.upgrading = false;
      if (!rare.wasPaused) this.resumeReading();
    };
  }

  /**
   * Puts a new handle over the handle, after `beginUpgrade()` and once the write buffer is empty. What the old handle has
   * read goes to the new one, behind `early`: bytes that the protocol has received.
   */
  upgrade(
    makeHandle: (handle: StreamHandle) => [StreamHandle, StreamSink],
    protocol: StreamCallbacks,
    buffered: boolean,
    makeTransport: () => unknown,
    early: Uint8Array | null = null,
  ): void {
    let sink: StreamSink;
    this.rare.upgrading = this.#started = false;
    try {
      [this.handle, sink] = makeHandle(this.handle);
    } catch (error) {
      this.#forceClose(toError(error));
      throw error;
    }
    this.loop.unwatch(this.transport);
    makeTransport();
    if (this.loop.debug) this.loop.watch(this.transport);
    const former = this.#receiver;
    this.renewSender();
    this.#receiver = new StreamReceiver(this, protocol, this.handle.memory, buffered);
    this.#receiver.received = former.received;
    if (early !== null && early.length > 0) sink.chunk(early);
    former.divert(this.#receiver, sink);
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#beginClosing();
    this.currentSender?.interruptFile();
    this.handle.discard?.();
    const limits = { closeTimeout: this.#options.closeTimeout, shutdownTimeout: this.handle.shutdownTimeout };
    const timer = limitClose(this.loop, limits, () => this.#stuckAt(), (error) => this.#forceClose(error));
    if (timer !== undefined) this.rare.closeTimer = timer;
    if (!this.#holds) timer?.unref();
    if (this.unsent === 0) this.#flushed();
  }

  /** Closes once the write buffer has been empty for a turn, in which async writers can write more. */
  closeWhenEmpty(): void {
    this.rare.closesWhenEmpty = true;
    if (this.unsent > 0) return;
    this.loop.callSoon(() => {
      if (this.unsent === 0) this.close();
    });
  }

  abort(reset = false): void {
    if (reset && this.#state !== "lost") this.#reset();
    this.#forceClose(null);
  }

  /** Ends the connection with an error of the handle, which goes to `connectionLost` but is not reported. */
  fail(error: Error): void {
    this.#forceClose(this.handle.explain?.(error) ?? error);
  }

  pauseReading(): void {
    this.rare.wasPaused = true;
    if (this.#state !== "open" || this.#receiver.paused) return;
    this.#receiver.paused = true;
    this.#receiver.pausedAt = this.loop.time();
    this.#options.owner?.paused?.(this);
    this.handle.readStop();
  }

  resumeReading(): void {
    const { rare } = this;
    rare.wasPaused = false;
    if (this.#state !== "open" || this.upgrading || !this.#receiver.paused) return;
    this.#receiver.paused = false;
    this.#options.owner?.resumed?.(this);
    if (rare.resuming) return;
    // In a later turn, so that no callback is called inside resumeReading().
    rare.resuming = true;
    this.loop.callSoon(() => {
      rare.resuming = false;
      this.readAgain();
    });
  }

  writeEof(): void {
    if (this.handle.halfCloses === false) {
      throw new Deno.errors.NotSupported("writeEof(): TLS cannot end one direction alone; close() ends both");
    }
    if (this.upgrading) throw new InvalidStateError("writeEof(): startTls() has taken over the connection");
    if (!this.handle.writable) throw new InvalidStateError("writeEof() cannot be called on a read-only transport");
    if (this.#state !== "open" || this.#writingHalf !== "open") return;
    this.#writingHalf = "ending";
    this.currentSender?.interruptFile();
    if (!this.handle.readable) this.close();
    else if (this.unsent === 0) this.#endWriting();
  }

  get canWriteEof(): boolean {
    return this.handle.writable && this.handle.halfCloses !== false && !this.upgrading;
  }

  ref(): void {
    this.#holds = true;
    this.handle.ref?.();
    this.#rare?.closeTimer?.ref();
  }

  unref(): void {
    this.#holds = false;
    this.handle.unref?.();
    this.#rare?.closeTimer?.unref();
  }

  callFlowControl(name: "pauseWriting" | "resumeWriting"): void {
    if (name === "pauseWriting") this.sender.pausedAt = this.loop.time();
    callProtocol(this.loop, this.transport, this.protocol, name);
  }

  emptied(): void {
    if (this.#state === "flushing") this.#flushed();
    else if (this.#rare !== null && this.#rare.closesWhenEmpty) this.closeWhenEmpty();
    else if (this.#writingHalf === "ending") this.#endWriting();
  }

  afterCallback(): void {
    this.currentSender?.flush();
  }

  haltReading(): void {
    this.handle.readStop();
  }

  readAgain(): void {
    if (this.#started && this.isReading && this.#receiver.release()) this.handle.readStart(this.#receiver);
  }

  readEnded(keepOpen: boolean): void {
    if (!keepOpen || !this.canWriteEof) this.close();
  }

  callbackFailed(callback: string, error: Error): void {
    const { protocol, transport } = this;
    this.loop.report({ message: `Fatal error: protocol.${callback}() call failed.`, error, transport, protocol });
    // Writes before the exception are sent, as they would be if writes were not joined.
    this.currentSender?.flush();
    this.#forceClose(error);
  }

  #reset(): void {
    if (this.handle.reset === undefined) {
      throw new Deno.errors.NotSupported(
        "abort(): reset is not supported on this transport, only on TCP of EpollEngine",
      );
    }
    this.handle.reset();
  }

  #endWriting(): void {
    this.#writingHalf = "ended";
    try {
      this.handle.closeWrite()?.catch((error: unknown) => this.fail(toError(error)));
    } catch (error) {
      this.fail(toError(error));
    }
  }

  /** Says what `close()` waits for. */
  #stuckAt(): string {
    if (this.#state === "shutting down") return "the peer did not answer close_notify";
    return `${this.unsent} bytes were not sent`;
  }

  #beginClosing(): void {
    this.#state = "flushing";
    this.#receiver.stop();
    this.handle.readStop();
  }

  /** Shuts the handle down after the last write, if the handle supports it. */
  #flushed(): void {
    if (this.#state !== "flushing") return;
    if (this.handle.shutdown === undefined) {
      this.#scheduleLost(null);
      return;
    }
    this.#state = "shutting down";
    this.handle.shutdown().then(() => this.#scheduleLost(null), (error: unknown) => this.fail(toError(error)));
  }

  #forceClose(error: Error | null): void {
    if (this.#state === "lost") return;
    if (this.#state === "open") this.#beginClosing();
    this.sender.drop(error);
    this.#scheduleLost(error);
  }

  #scheduleLost(error: Error | null): void {
    if (this.#state === "lost") return;
    this.#state = "lost";
    this.sender.stop();
    this.#rare?.closeTimer?.cancel();
    this.loop.callSoon(() => this.#finish(error));
  }

  #finish(error: Error | null): void {
    callProtocol(this.loop, this.transport, this.protocol, "connectionLost", error);
    this.handle.close(this.sender.dropped > 0);
    this.loop.unwatch(this.transport);
    this.loop.leave?.(this.#entry);
    this.#options.owner?.lost(this);
  }
}
