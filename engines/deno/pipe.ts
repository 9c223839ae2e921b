import { describe } from "../../errors.ts";
import type { ReadablePipe, WritablePipe } from "../../transports/engine.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import { type ByteChannel, ConnHandle } from "./conn_handle.ts";
import { ReadableStreamHandle, WritableStreamHandle } from "./web_stream_handle.ts";

const ACCEPTED = {
  read: "Deno.stdin, a Deno.FsFile, a ReadableStream, or on EpollEngine { fd }",
  write: "Deno.stdout, Deno.stderr, a Deno.FsFile, a WritableStream, or on EpollEngine { fd }",
};

/** Wraps a standard stream, a file or a web stream. */
export function openPipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle {
  if (direction === "read" && pipe instanceof ReadableStream) return new ReadableStreamHandle(pipe);
  if (direction === "write" && pipe instanceof WritableStream) return new WritableStreamHandle(pipe);
  const channel = pipe as ByteChannel;
  if (typeof channel?.[direction] !== "function" || typeof channel.close !== "function") {
    const method = direction === "read" ? "connectReadPipe()" : "connectWritePipe()";
    throw new TypeError(`${method}: pipe must be ${ACCEPTED[direction]}, got ${describe(pipe)}`);
  }
  return new ConnHandle(channel, { readable: direction === "read", writable: direction === "write" });
}
