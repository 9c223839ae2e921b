import type { StreamEnd } from "../../transports/stream_handle.ts";
import { formatIpv4 } from "./sockaddr.ts";
import { Socket } from "./socket.ts";
import type { SocketHandle } from "./socket_handle.ts";

/**
 * The stream of a socket. The values of `getExtraInfo`, which few programs ask for, are created on demand: as objects they
 * take 140 bytes of each idle connection.
 */
export class SocketEnd implements StreamEnd {
  readonly handle: SocketHandle;
  #sockname: Deno.Addr;
  /** An address, or the number of an IPv4 address. */
  #peer: Deno.Addr | number;
  #port: number;
  #extra: StreamEnd["extra"] | null = null;

  /** `port`: if `peer` is the number of an IPv4 address. */
  constructor(handle: SocketHandle, sockname: Deno.Addr, peer: Deno.Addr | number, port = 0) {
    this.handle = handle;
    this.#sockname = sockname;
    this.#peer = peer;
    this.#port = port;
  }

  get extra(): StreamEnd["extra"] {
    if (this.#extra !== null) return this.#extra;
    const peer = this.#peer;
    const peername = typeof peer === "number"
      ? { transport: "tcp" as const, hostname: formatIpv4(peer), port: this.#port }
      : peer;
    return this.#extra = { peername, sockname: this.#sockname, socket: new Socket(this.handle) };
  }
}
