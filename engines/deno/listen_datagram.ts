import type { DatagramConnLike } from "./datagram_conn_handle.ts";

/** `Deno.listenDatagram`, which Deno's stable types do not have. */
export type ListenDatagram = (
  options:
    | { transport: "udp"; hostname: string; port: number; reuseAddress: boolean }
    | { transport: "unixpacket"; path: string | undefined },
) => DatagramConnLike;

/** Returns `Deno.listenDatagram`; `undefined` without `--unstable-net`. */
export function findListenDatagram(): ListenDatagram | undefined {
  return (Deno as unknown as { listenDatagram?: ListenDatagram }).listenDatagram;
}
