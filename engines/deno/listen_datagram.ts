/**
 * Deno's own datagram sockets, which need `--unstable-net`.
 *
 * @module
 */
import type { DatagramConnLike } from "./datagram_conn_handle.ts";

/** The options of `Deno.listenDatagram`, which Deno's stable types lack. */
export type ListenDatagram = (
  options:
    | { transport: "udp"; hostname: string; port: number; reuseAddress: boolean }
    | { transport: "unixpacket"; path: string | undefined },
) => DatagramConnLike;

/**
 * Finds `Deno.listenDatagram`.
 *
 * @returns The function; `undefined` without the flag.
 */
export function findListenDatagram(): ListenDatagram | undefined {
  return (Deno as unknown as { listenDatagram?: ListenDatagram }).listenDatagram;
}
