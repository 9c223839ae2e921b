/**
 * Making a stream of a connection that Deno made.
 *
 * @module
 */
import { WindowMemory } from "../../memory/window_memory.ts";
import type { TcpSettings } from "../../transports/engine.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import type { ExtraInfo } from "../../transports/transport.ts";
import { tlsInfo } from "../../tls/tls_info.ts";
import { SHUTDOWN_TIMEOUT } from "../../tls/tls_options.ts";
import { ConnHandle } from "./conn_handle.ts";
import { denoHandshake, TlsConnHandle } from "./tls_conn_handle.ts";

/**
 * Takes over a connection.
 *
 * @param settings What to set it to, if it is TCP; `null` to leave it as it is.
 */
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
    // The peer has gone already; the first read tells.
  }
}

/** Completes what Deno leaves out of an address, though its types promise it. */
function named(addr: Deno.Addr): Deno.Addr {
  // A Unix socket that is not bound has the empty path in asyncio.
  if ("path" in addr && addr.path === null) return { ...addr, path: "" };
  // A Deno.TlsConn says nothing of its transport.
  return addr.transport === undefined ? { transport: "tcp", ...addr as Omit<Deno.NetAddr, "transport"> } : addr;
}
