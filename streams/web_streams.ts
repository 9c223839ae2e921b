/** The two web streams of a connection. */
import { checkBytes } from "../checks.ts";
import type { Bytes } from "./byte_queue.ts";
import type { StreamLink } from "./stream_link.ts";

/** Makes a byte stream of what arrives. It asks for no more than is read from it. */
export function makeReadable(link: StreamLink): ReadableStream<Bytes> {
  const { read } = link;
  const { queue } = read;
  let controller!: ReadableByteStreamController;
  let waiting = false;
  /**
   * The request is of a BYOB reader that has released its lock, and a default reader waits: respond() would put the bytes in the
   * stream's queue, from where only the next enqueue() passes them on, as the standard has it.
   */
  let abandoned = false;

  /** Answers a pull if there is something, and reports whether it has. An answer can call `pull()`. */
  function answer(): boolean {
    const request = controller.byobRequest;
    const { filled } = read;
    read.view = null;
    read.filled = 0;
    const isAbandoned = abandoned;
    abandoned = false;
    if (filled > 0) {
      if (isAbandoned) controller.enqueue((request!.view as Uint8Array<ArrayBuffer>).slice(0, filled));
      else request!.respond(filled);
    } else if (queue.size > 0) {
      // After releaseLock(), no read waits: the stream would keep what is given to it, even behind startTls().
      if (request === null && !stream.locked) return true;
      if (request === null || isAbandoned) controller.enqueue(queue.takeTransferable());
      else request.respond(queue.takeInto(request.view!));
    } else if (read.error !== null) {
      controller.error(read.error);
    } else if (read.ended) {
      controller.close();
      request?.respond(0);
    } else {
      if (request !== null) read.view = request.view!;
      return false;
    }
    read.resumeIfLow();
    return true;
  }

  function arrived(): void {
    waiting = false;
    try {
      wait();
    } catch (error) {
      // The stream has ended within an element of a reader's array.
      controller.error(error);
    }
  }

  function wait(): void {
    if (answer()) return;
    waiting = true;
    read.wait(arrived);
  }

  const stream: ReadableStream<Bytes> = new ReadableStream({
    type: "bytes",
    start(own): void {
      controller = own;
      read.holdsBytes = () => (controller.desiredSize ?? 0) < 0;
      read.letGo = () => {
        // A request goes on after releaseLock(), and the next BYOB read is behind it: it needs the bytes.
        if (!waiting || stream.locked || controller.byobRequest !== null) return;
        waiting = false;
        read.stopWaiting();
      };
    },
    // Not async, and without a promise for the bytes that are waited for: half the user time of a chunk.
    pull(): void {
      if (waiting) {
        // A BYOB read behind another does not pull.
        abandoned = controller.byobRequest !== null;
        return;
      }
      read.checkIdle("readable");
      if (controller.byobRequest !== null) link.readDirectly();
      wait();
    },
    cancel(): void {
      if (waiting) read.stopWaiting();
      read.view = null;
      link.cancelReading();
    },
  });
  return stream;
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
