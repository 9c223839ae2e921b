/** The two web streams of a connection. */
import { checkBytes } from "../checks.ts";
import type { Bytes } from "./byte_queue.ts";
import type { StreamLink } from "./stream_link.ts";

/** Makes a byte stream of what arrives. It asks for no more than is read from it. */
export function makeReadable(link: StreamLink): ReadableStream<Bytes> {
  const { read } = link;
  const { queue } = read;
  let cancelled = false;
  const stream: ReadableStream<Bytes> = new ReadableStream({
    type: "bytes",
    async pull(controller): Promise<void> {
      if (controller.byobRequest !== null) link.readDirectly();
      let filled = 0;
      await read.run("readable", undefined, () => {
        read.sink = null;
        if (cancelled) return null;
        const request = controller.byobRequest;
        if (filled > 0) {
          // Not before, because the next read may begin as soon as this one has its bytes.
          request!.respond(filled);
          return null;
        }
        if (queue.size > 0) {
          // After releaseLock(), no read waits: the stream would keep what is given to it, even behind startTls().
          if (request === null && !stream.locked) return null;
          if (request === null) controller.enqueue(queue.takeTransferable());
          else request.respond(queue.takeInto(toBytes(request.view!)));
          return null;
        }
        if (read.error !== null) throw read.error;
        if (!read.ended) {
          if (request !== null) {
            read.sink = (bytes) => {
              const view = toBytes(request.view!);
              const count = Math.min(view.length, bytes.length);
              view.set(count === bytes.length ? bytes : bytes.subarray(0, count));
              return filled = count;
            };
          }
          return undefined;
        }
        controller.close();
        request?.respond(0);
        return null;
      });
    },
    cancel(): void {
      cancelled = true;
      read.sink = null;
      link.cancelReading();
    },
  });
  return stream;
}

function toBytes(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Makes a stream that writes to the connection, at the pace of its peer. */
export function makeWritable(link: StreamLink): WritableStream<Uint8Array> {
  const { write } = link;
  return new WritableStream({
    start(controller): void {
      write.onLost = (error) => controller.error(error ?? write.lostError("writable"));
      if (write.lost) write.onLost(write.error);
      // The sink's abort() would wait for a write that waits for the peer.
      controller.signal.addEventListener("abort", () => link.transport.abort());
    },
    async write(chunk): Promise<void> {
      checkBytes("writable", "the chunk", chunk);
      if (link.transport.isClosing()) throw write.lostError("writable");
      link.transport.write(chunk);
      await write.drained();
    },
    close(): void {
      link.endWriting();
    },
  });
}
