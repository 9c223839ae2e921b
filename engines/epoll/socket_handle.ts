import type { FileSource } from "../../transports/file_source.ts";
import type { CodecSocket, StreamCodec } from "../../transports/stream_handle.ts";
import { AF_UNIX, EAGAIN, EINTR, MSG_DONTWAIT, MSG_SEND, SHUT_WR } from "./constants.ts";
import { duplicateFile } from "./duplicate_file.ts";
import { lastError } from "./errors.ts";
import { type Libc, sizeOf, toSize } from "./libc.ts";
import { SendfileSource } from "./sendfile_source.ts";
import { getOption } from "./socket_calls.ts";
import { SO_DOMAIN, SO_LINGER, SOL_SOCKET } from "./socket_options.ts";
import { StreamSource, WOULD_BLOCK } from "./stream_source.ts";

/** A byte stream over a socket. */
export class SocketHandle extends StreamSource implements CodecSocket {
  /** Set by `attach()`. */
  #codec: StreamCodec | null = null;

  // Not fields: each takes 8 bytes of a connection.
  get readable(): boolean {
    return true;
  }

  get writable(): boolean {
    return true;
  }

  async openFile(file: Deno.FsFile): Promise<FileSource> {
    const { libc } = this.reactor;
    return new SendfileSource(libc, this, file, await duplicateFile(libc, file));
  }

  closeWrite(): void {
    const { libc } = this.reactor;
    if (libc.shutdown(this.fd, SHUT_WR) === -1) throw lastError(libc);
  }

  reset(): void {
    const { libc } = this.reactor;
    if (this.fd === -1) return;
    if (getOption(libc, this.fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX) {
      throw new Deno.errors.NotSupported("abort(): reset is not supported on a Unix socket");
    }
    if (libc.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, new Int32Array([1, 0]), 8) === -1) throw lastError(libc);
  }

  attach(codec: StreamCodec): CodecSocket {
    this.#codec = codec;
    return this;
  }

  lastError(): Error {
    return lastError(this.reactor.libc);
  }

  sendRaw(memory: Uint8Array, size: number): number {
    return sendTo(this.reactor.libc, this.fd, memory, toSize(size));
  }

  protected override get buffered(): boolean {
    return this.#codec !== null && this.#codec.pending;
  }

  protected override get cost(): number {
    return this.#codec === null ? super.cost : this.#codec.cost;
  }

  protected receive(memory: Uint8Array): number {
    if (this.#codec !== null) return this.#codec.receive(memory);
    return this.resultOf(this.reactor.libc.recv(this.fd, memory, sizeOf(memory), MSG_DONTWAIT));
  }

  protected send(data: Uint8Array): number {
    return this.#codec === null ? sendTo(this.reactor.libc, this.fd, data, sizeOf(data)) : this.#codec.send(data);
  }
}

/** Not a private method: a class with one takes 8 bytes of each connection. */
function sendTo(libc: Libc, fd: number, memory: Uint8Array, size: bigint): number {
  for (;;) {
    const count = libc.send(fd, memory, size, MSG_SEND);
    if (count >= 0) return count;
    const errno = libc.errno();
    if (errno === EAGAIN) return WOULD_BLOCK;
    if (errno !== EINTR) throw lastError(libc);
  }
}
