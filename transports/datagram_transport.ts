import { checkBytes, checkPort, checkProtocol } from "../checks.ts";
import { giveBuffer, MAX_BUFFER, takeBuffer } from "../memory/buffer_pool.ts";
import { callProtocol } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import type { DatagramHandle } from "./datagram_handle.ts";
import { copyAddress } from "./describe_stream.ts";
import type { TransportState } from "./inspection.ts";
import { checkCallbacks } from "../check_protocol.ts";
import { describe, toError } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import { FlowControl } from "./flow_control.ts";
import type {
  DatagramCallbacks,
  DatagramTarget,
  DatagramTransport as Interface,
  ExtraInfo,
  WriteBufferLimits,
} from "./transport.ts";

/** Added to the size of each buffered datagram, so that empty datagrams fill the buffer; as in CPython. */
const HEADER_SIZE = 8;

/** The options of a datagram transport. */
export interface DatagramTransportOptions {
  extra: Partial<ExtraInfo>;
  /** The handle's `remoteAddr` before its hostname was resolved. */
  remoteAddrAsGiven: Deno.Addr | null;
}

const DONE = Promise.resolve();

/** A buffered datagram. */
interface Waiting {
  data: Uint8Array;
  addr: Deno.Addr;
}

let describeDatagrams: (transport: DatagramTransport, now: number) => TransportState;

/** The transport of UDP and Unix datagrams, over any handle. */
export class DatagramTransport implements Interface {
  #loop: LoopContext;
  #handle: DatagramHandle;
  #protocol: DatagramCallbacks;
  #options: DatagramTransportOptions;
  #flow = new FlowControl();
  #queue: Waiting[] = [];
  #head = 0;
  #size = 0;
  /** The sender of the last datagram. A reply to it skips the check of the address: 3 % of an echo. */
  #sender: Deno.Addr | null = null;
  #closing = false;
  #lost = false;
  /** The numbers of bytes, for `loop.inspect()`. */
  #bytesReceived = 0;
  #bytesSent = 0;
  /** When `pauseWriting` was called last. */
  #pausedAt = 0;
  /** For `loop.leave()`. */
  #entry: object | undefined;
  /** The memory of the pending send. */
  #inFlight: Uint8Array | null = null;
  #inFlightLength = 0;
  /** Whether that memory is from the pool. */
  #inFlightPooled = false;

  // Created once for each transport, so that a datagram creates no closure.
  #onSent: () => void = () => this.#sent(null);
  #onSendFailed: (error: unknown) => void = (error) => this.#sent(toError(error));

  static {
    describeDatagrams = (transport, now) => ({
      kind: "datagram",
      protocol: describe(transport.#protocol),
      peername: copyAddress(transport.#options.extra.peername),
      sockname: copyAddress(transport.#options.extra.sockname),
      tls: false,
      bytesReceived: transport.#bytesReceived,
      bytesSent: transport.#bytesSent,
      writeBufferSize: transport.#size,
      closing: transport.#closing,
      readingPaused: null,
      writingPaused: transport.#flow.paused ? { by: "peer", for: now - transport.#pausedAt } : null,
      pid: null,
      pipes: [],
    });
  }

  constructor(
    loop: LoopContext,
    handle: DatagramHandle,
    protocol: DatagramCallbacks,
    options: DatagramTransportOptions,
  ) {
    this.#loop = loop;
    this.#handle = handle;
    this.#protocol = protocol;
    this.#options = options;
    if (loop.debug) loop.watch(this);
    this.#entry = loop.enter?.(this, describeDatagrams);
    callProtocol(loop, this, protocol, "connectionMade", this);
    // In the next turn, so that the caller's `await` of this transport returns before the first datagram is delivered.
    loop.callSoon(() => this.#startReceiving());
  }

  getExtraInfo<K extends keyof ExtraInfo, D = null>(name: K, defaultValue?: D): ExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo(this.#options.extra, name, defaultValue);
  }

  setProtocol(protocol: DatagramCallbacks): void {
    checkProtocol("setProtocol()", "protocol", protocol);
    checkCallbacks(this.#loop, "setProtocol()", protocol, "datagram");
    this.#protocol = protocol;
  }

  getProtocol(): DatagramCallbacks {
    return this.#protocol;
  }

  isClosing(): boolean {
    return this.#closing;
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#inFlight === null) this.#scheduleLost();
  }

  abort(): void {
    if (this.#lost) return;
    this.#closing = true;
    this.#queue.length = this.#head = this.#size = 0;
    this.#scheduleLost();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  ref(): void {
    this.#handle.ref?.();
  }

  unref(): void {
    this.#handle.unref?.();
  }

  sendto(data: Uint8Array, addr: DatagramTarget | null = null): void {
    checkBytes("sendto()", "data", data);
    const target = this.#targetOf(addr);
    if (this.#closing || this.#trySend(data, target)) return;
    this.#size += data.length + HEADER_SIZE;
    if (this.#inFlight === null) {
      const pooled = data.length <= MAX_BUFFER;
      const buffer = pooled ? takeBuffer(data.length) : new Uint8Array(data);
      if (pooled) buffer.set(data);
      this.#inFlightPooled = pooled;
      this.#send(buffer, data.length, target);
    } else {
      this.#queue.push({ data: new Uint8Array(data), addr: target });
    }
    this.#pauseIfFull();
  }

  getWriteBufferSize(): number {
    return this.#size;
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#flow.limits;
  }

  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#flow.setLimits(limits);
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (!this.#flow.mustPause(this.#size)) return;
    this.#pausedAt = this.#loop.time();
    callProtocol(this.#loop, this, this.#protocol, "pauseWriting");
  }

  #startReceiving(): void {
    if (this.#closing) return;
    this.#handle.receiveStart({
      received: (data, addr) => this.#received(data, addr),
      failed: (error) => this.#errorReceived(error),
    });
  }

  #targetOf(addr: DatagramTarget | null): Deno.Addr {
    const { remoteAddr } = this.#handle;
    const { remoteAddrAsGiven } = this.#options;
    if (remoteAddr !== null) {
      if (addr === null || sameAddr(addr, remoteAddr) || sameAddr(addr, remoteAddrAsGiven!)) return remoteAddr;
      throw new RangeError(`sendto(): addr must be null or ${format(remoteAddrAsGiven!)}, got ${format(addr)}`);
    }
    if (addr !== null && addr === this.#sender) return this.#sender;
    this.#checkAddr(addr);
    return addr;
  }

  #checkAddr(addr: DatagramTarget | null): asserts addr is Deno.Addr {
    if (typeof addr === "object" && addr !== null) {
      if ("path" in this.#handle.addr) {
        if ("path" in addr && typeof addr.path === "string") return;
      } else if ("port" in addr && "hostname" in addr && typeof addr.hostname === "string") {
        return checkPort("sendto()", "addr.port", addr.port, 0);
      }
    }
    const accepted = "path" in this.#handle.addr ? "a Deno.UnixAddr with a path" : "a Deno.NetAddr";
    throw new TypeError(`sendto(): addr must be ${accepted} if the endpoint has no remoteAddr, got ${format(addr)}`);
  }

  /** Sends at once from the caller's memory, if the handle can and no send is pending. */
  #trySend(data: Uint8Array, addr: Deno.Addr): boolean {
    if (this.#handle.trySend === undefined || this.#inFlight !== null) return false;
    try {
      const isSent = this.#handle.trySend(data, addr);
      if (isSent) this.#bytesSent += data.length;
      return isSent;
    } catch (error) {
      // In a later turn, so that errorReceived() is not called inside sendto(). After close() it still precedes connectionLost().
      this.#loop.callSoon(() => callProtocol(this.#loop, this, this.#protocol, "errorReceived", toError(error)));
      return true;
    }
  }

  #send(buffer: Uint8Array, length: number, addr: Deno.Addr): void {
    this.#inFlight = buffer;
    this.#inFlightLength = length;
    const data = length === buffer.length ? buffer : buffer.subarray(0, length);
    try {
      const sending = this.#handle.send(data, addr) ?? DONE;
      sending.then(this.#onSent, this.#onSendFailed);
    } catch (error) {
      Promise.reject(error).catch(this.#onSendFailed);
    }
  }

  #sent(error: Error | null): void {
    const buffer = this.#inFlight!;
    const length = this.#inFlightLength;
    this.#inFlight = null;
    if (this.#inFlightPooled) giveBuffer(buffer);
    this.#inFlightPooled = false;
    if (this.#lost) return;
    this.#size -= length + HEADER_SIZE;
    if (this.#head < this.#queue.length) {
      const { data, addr } = this.#queue[this.#head++]!;
      if (this.#head === this.#queue.length) this.#queue.length = this.#head = 0;
      this.#send(data, data.length, addr);
    }
    if (error !== null) this.#errorReceived(error);
    else this.#bytesSent += length;
    if (this.#flow.mustResume(this.#size)) callProtocol(this.#loop, this, this.#protocol, "resumeWriting");
    if (this.#closing && this.#inFlight === null) this.#scheduleLost();
  }

  #received(data: Uint8Array, addr: Deno.Addr): void {
    if (this.#closing) return;
    const { remoteAddr } = this.#handle;
    if (remoteAddr !== null && !sameAddr(addr, remoteAddr)) return;
    this.#sender = addr;
    this.#bytesReceived += data.length;
    callProtocol(this.#loop, this, this.#protocol, "datagramReceived", data as Uint8Array<ArrayBuffer>, addr);
  }

  #errorReceived(error: Error): void {
    if (this.#lost) return;
    callProtocol(this.#loop, this, this.#protocol, "errorReceived", error);
  }

  #scheduleLost(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#loop.callSoon(() => {
      callProtocol(this.#loop, this, this.#protocol, "connectionLost", null);
      this.#handle.close();
      this.#loop.unwatch(this);
      this.#loop.leave?.(this.#entry);
    });
  }
}

function sameAddr(a: DatagramTarget, b: Deno.Addr): boolean {
  if ("path" in a) return "path" in b && a.path === b.path;
  return "port" in a && "port" in b && a.port === b.port && "hostname" in a && "hostname" in b &&
    a.hostname === b.hostname;
}

function format(addr: DatagramTarget | null): string {
  if (typeof addr !== "object" || addr === null) return describe(addr);
  if ("path" in addr) return `{ path: ${describe(addr.path)} }`;
  return "hostname" in addr ? `{ hostname: ${describe(addr.hostname)}, port: ${describe(addr.port)} }` : describe(addr);
}
