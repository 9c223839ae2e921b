/**
 * Making pairs over pipes: standard streams, FIFOs, web streams.
 *
 * @module
 */
import type { ProtocolFactory } from "./protocol_factory.ts";
import { ConnHandle } from "../engines/deno/conn_handle.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { describe } from "../errors.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import type { StreamTransport } from "../transports/stream_transport.ts";
import type { ReadTransport, StreamCallbacks, WriteTransport } from "../transports/transport.ts";
import { ReadableStreamHandle, WritableStreamHandle } from "../engines/deno/web_stream_handle.ts";
import { makeStream } from "./connect.ts";
import { checkFactory, checkOptions, checkTimeout } from "../checks.ts";

/** What can be read as a pipe: `Deno.stdin`, a `Deno.FsFile` such as a FIFO, or a `ReadableStream` of bytes. */
export type ReadablePipe =
  | { read(buffer: Uint8Array): Promise<number | null>; close(): void }
  | ReadableStream<Uint8Array>;

/** What can be written as a pipe: `Deno.stdout`, `Deno.stderr`, a `Deno.FsFile`, or a `WritableStream` of bytes. */
export type WritablePipe =
  | { write(data: Uint8Array): Promise<number>; close(): void }
  | WritableStream<Uint8Array>;

/** What every pipe may be given. */
export interface PipeOptions {
  /**
   * How long `close()` may take to flush, in milliseconds, before it becomes an abort with a `TimeoutError`.
   *
   * @default {undefined} as long as it takes
   */
  closeTimeout?: number | undefined;
}

/** {@inheritDoc EventLoop.connectReadPipe} */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function connectReadPipe<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  pipe: ReadablePipe,
  options: PipeOptions,
): Promise<[ReadTransport, P]> {
  checkFactory(factory);
  checkOptions(options);
  checkTimeout(options.closeTimeout, "closeTimeout");
  if (pipe instanceof ReadableStream) {
    return start(loop, factory, pipe, options, new ReadableStreamHandle(pipe));
  }
  if (typeof pipe?.read !== "function" || typeof pipe.close !== "function") {
    throw new TypeError(`pipe must be Deno.stdin, a Deno.FsFile or a ReadableStream, got ${describe(pipe)}`);
  }
  return start(loop, factory, pipe, options, new ConnHandle(pipe, { readable: true, writable: false }));
}

/** {@inheritDoc EventLoop.connectWritePipe} */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function connectWritePipe<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  pipe: WritablePipe,
  options: PipeOptions,
): Promise<[WriteTransport, P]> {
  checkFactory(factory);
  checkOptions(options);
  checkTimeout(options.closeTimeout, "closeTimeout");
  if (pipe instanceof WritableStream) {
    return start(loop, factory, pipe, options, new WritableStreamHandle(pipe));
  }
  if (typeof pipe?.write !== "function" || typeof pipe.close !== "function") {
    throw new TypeError(
      `pipe must be Deno.stdout, Deno.stderr, a Deno.FsFile or a WritableStream, got ${describe(pipe)}`,
    );
  }
  return start(loop, factory, pipe, options, new ConnHandle(pipe, { readable: false, writable: true }));
}

function start<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  pipe: object,
  options: PipeOptions,
  handle: StreamHandle,
): [StreamTransport, P] {
  const [transport, protocol] = makeStream(loop, factory, { handle, extra: { pipe } }, options);
  transport.connected();
  loop.callSoon(() => transport.startReading());
  return [transport, protocol];
}
