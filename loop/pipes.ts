import { checkOptions, namesOf } from "../check_options.ts";
import { checkFactory, checkTimeout } from "../checks.ts";
import type { GivenDescriptor, ReadablePipe, WritablePipe } from "../transports/engine.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { startClient } from "./connect.ts";
import { isGivenDescriptor, takeDescriptor, useDescriptors } from "./descriptor.ts";
import type { LoopCore } from "./loop_core.ts";
import type { ProtocolFactory } from "./protocol_factory.ts";

/** The options of pipes. */
export interface PipeOptions {
  /**
   * The time limit of `close()`, in milliseconds. If buffered writes take longer, the pipe is aborted and `connectionLost`
   * is called with a `TimeoutError`.
   *
   * @default {undefined} no limit
   */
  closeTimeout?: number | undefined;
}

const PIPE_OPTIONS = namesOf<PipeOptions>({ closeTimeout: true });

/** Does the work of {@linkcode EventLoop.connectReadPipe} and {@linkcode EventLoop.connectWritePipe}. */
// deno-lint-ignore require-await -- wrong arguments reject, too
export async function connectPipe<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  pipe: ReadablePipe | WritablePipe | GivenDescriptor,
  direction: "read" | "write",
  options: PipeOptions,
): Promise<[Transport, P]> {
  const method = direction === "read" ? "connectReadPipe()" : "connectWritePipe()";
  checkFactory(method, factory);
  checkOptions(method, options, PIPE_OPTIONS);
  checkTimeout(method, "closeTimeout", options.closeTimeout);
  const handle = isGivenDescriptor(pipe)
    ? openDescriptor(loop, method, pipe, direction)
    : loop.engine.pipe(pipe, direction);
  return startClient(loop, method, factory, { handle, extra: { pipe } }, options);
}

function openDescriptor(
  loop: LoopCore,
  method: string,
  given: GivenDescriptor,
  direction: "read" | "write",
): StreamHandle {
  const fd = takeDescriptor(method, given);
  return useDescriptors(loop, method, (descriptors) => descriptors.pipe(fd, direction));
}
