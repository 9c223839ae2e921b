/** Reads the PROXY header at the start of a stream, and not a byte more. */
import { TimeoutError, toError } from "../errors.ts";
import { parseComplete, SHORTEST_HEADER, shortestHeader } from "../proxy_protocol/proxy_header.ts";
import { ProxyHeaderError } from "../proxy_protocol/proxy_header_error.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { ProxyHeader } from "../transports/proxy_header.ts";
import type { StreamEnd, StreamHandle, StreamSink } from "../transports/stream_handle.ts";
import { ReadAheadHandle } from "./read_ahead_handle.ts";

/** Room for every header of version 1, and for most of version 2. */
const ROOM = 128;

/**
 * Reads a header. It offers the handle memory for as many bytes as the header has at least: so what follows the header stays
 * in the socket, and the handle reads it as if there had been no header.
 */
class HeaderSink implements StreamSink {
  #memory = new Uint8Array(ROOM);
  #count = 0;
  /** How many bytes the header has at least. */
  #length = SHORTEST_HEADER;
  #settled = false;
  /** What a chunk has behind the header. */
  #rest: Uint8Array = new Uint8Array(0);
  #resolve: (header: ProxyHeader, rest: Uint8Array) => void;
  #reject: (error: Error) => void;

  /** `resolve` gets the header, and the bytes behind it that a handle with memory of its own has read. */
  constructor(resolve: (header: ProxyHeader, rest: Uint8Array) => void, reject: (error: Error) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  allocate(): Uint8Array | null {
    return this.#settled ? null : this.#memory.subarray(this.#count, this.#length);
  }

  filled(count: number): void {
    if (this.#settled) return;
    this.#count += count;
    try {
      this.#length = shortestHeader(this.#memory.subarray(0, this.#count));
      if (this.#length <= this.#count) {
        this.#finish(this.#memory.subarray(0, this.#count));
        return;
      }
    } catch (error) {
      this.failed(toError(error));
      return;
    }
    if (this.#length <= this.#memory.length) return;
    const memory = new Uint8Array(this.#length);
    memory.set(this.#memory);
    this.#memory = memory;
  }

  chunk(data: Uint8Array): void {
    while (data.length > 0 && !this.#settled) {
      const piece = data.subarray(0, this.#length - this.#count);
      this.#memory.set(piece, this.#count);
      data = data.subarray(piece.length);
      this.#rest = data;
      this.filled(piece.length);
    }
  }

  end(): void {
    this.failed(new ProxyHeaderError(`the connection ended in its PROXY header, after ${this.#count} bytes`));
  }

  failed(error: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
  }

  #finish(bytes: Uint8Array): void {
    const header = parseComplete(bytes);
    this.#settled = true;
    this.#resolve(header, this.#rest);
  }
}

/** Reads the header of a connection. If it rejects, the connection is closed. */
export async function readProxyHeader(
  loop: LoopContext,
  end: StreamEnd,
  timeout: number,
  signal: AbortSignal,
): Promise<StreamEnd> {
  const { handle } = end;
  const { promise, resolve, reject } = Promise.withResolvers<StreamEnd>();
  const timer = loop.callLater(timeout, () => {
    reject(new TimeoutError(`the PROXY header did not arrive within ${timeout} ms`));
  });
  timer.unref(); // The socket keeps the process alive.
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const done = (header: ProxyHeader, rest: Uint8Array) => {
    handle.readStop();
    const plain: StreamHandle = rest.length === 0 ? handle : new ReadAheadHandle(handle, rest);
    resolve({ handle: plain, extra: applyHeader(end.extra, header) });
  };
  try {
    handle.readStart(new HeaderSink(done, reject));
    return await promise;
  } catch (error) {
    handle.close(true);
    // In a later turn, when the engine has let go of the socket.
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
    throw error;
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

/** Returns what `getExtraInfo` answers for a connection with a header. Only a stream has the addresses of its client. */
function applyHeader(extra: StreamEnd["extra"], header: ProxyHeader): StreamEnd["extra"] {
  const { peername, sockname } = extra;
  const known = {
    ...extra,
    ...peername !== undefined && { proxyPeername: peername },
    ...sockname !== undefined && { proxySockname: sockname },
    proxyProtocol: header,
  };
  const { source, destination } = header;
  const isStream = source?.transport === "tcp" || source?.transport === "unix";
  return isStream && destination !== null ? { ...known, peername: source, sockname: destination } : known;
}
