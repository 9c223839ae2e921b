import { WindowMemory } from "../../memory/window_memory.ts";
import type { TcpSettings } from "../../transports/engine.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import type { ExtraInfo } from "../../transports/transport.ts";
import { tlsInfo } from "../../tls/tls_info.ts";
import { SHUTDOWN_TIMEOUT } from "../../tls/tls_options.ts";
import { ConnHandle } from "./conn_handle.ts";
import { denoHandshake, TlsConnHandle } from "./tls_conn_handle.ts";

/** Wraps a connection of Deno, after applying TCP options if it is TCP. */
export function adoptConn(conn: Deno.Conn, settings: TcpSettings | null, addresses?: Partial<ExtraInfo>): StreamEnd {
  if (settings !== null) setTcpOptions(conn, settings);
  const extra = { peername: named(conn.remoteAddr), sockname: named(conn.localAddr), socket: conn, ...addresses };
  if (!isTlsConn(conn)) {
    const memory = new WindowMemory(settings?.noDelay === false);
    return { handle: new ConnHandle(conn, { readable: true, writable: true }, memory), extra };
  }
  const handle = new TlsConnHandle(conn, SHUTDOWN_TIMEOUT);
  return { handle, extra, handshake: async () => tlsInfo(await denoHandshake(conn), undefined, conn) };
}

function isTlsConn(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

function setTcpOptions(conn: Deno.Conn, { noDelay, keepAlive }: TcpSettings): void {
  if (!("setNoDelay" in conn)) return;
  const tcp = conn as Deno.TcpConn;
  try {
    tcp.setNoDelay(noDelay);
    if (keepAlive !== undefined) tcp.setKeepAlive(keepAlive);
  } catch {
    // The peer has already closed the connection. The first read will report it.
  }
}

/** Completes an address, from which Deno leaves out fields that its types promise. */
function named(addr: Deno.Addr): Deno.Addr {
  // The path of an unbound Unix socket is empty, as in asyncio.
  if ("path" in addr && addr.path === null) return { ...addr, path: "" };
  // The addresses of a Deno.TlsConn have no `transport`.
  return addr.transport === undefined ? { transport: "tcp", ...addr as Omit<Deno.NetAddr, "transport"> } : addr;
}
