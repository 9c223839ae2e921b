import { setImmediate } from "node:timers";
import type { TcpTarget, UnixTarget } from "../../transports/engine.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import { adoptConn } from "./adopt.ts";

/** Connects over TCP or to a Unix socket. */
export async function connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
  if (target.transport === "unix") {
    const { path } = target;
    const conn = await dial(signal, () => Deno.connect({ transport: "unix", path }));
    // Not Deno's path: a server may have bound the socket under another name and moved it here.
    return adoptConn(conn, null, { peername: { transport: "unix", path } });
  }
  if (target.localAddr !== undefined) {
    throw new Deno.errors.NotSupported("localAddr: Deno.connect cannot choose the local address");
  }
  if (target.interleave !== undefined) {
    throw new Deno.errors.NotSupported("interleave: Deno.connect chooses the order of the addresses");
  }
  const { hostname, port, autoSelectFamily, autoSelectFamilyAttemptDelay } = target;
  const options: Deno.ConnectOptions = {
    hostname,
    port,
    ...autoSelectFamily !== undefined && { autoSelectFamily },
    ...autoSelectFamilyAttemptDelay !== undefined && { autoSelectFamilyAttemptDelay },
  };
  return adoptConn(await dial(signal, (signal) => Deno.connect({ ...options, ...signal && { signal } })), target);
}

/** Connects. If the signal aborts, nothing is left open. */
async function dial<C extends Deno.Conn>(
  signal: AbortSignal | undefined,
  connect: (signal?: AbortSignal) => Promise<C>,
): Promise<C> {
  if (signal === undefined) return await connect();
  signal.throwIfAborted();
  // Deno leaks the connection if its signal aborts after the system has connected and before the promise has resolved. So
  // Deno's signal aborts a turn later, when that cannot happen, and a connection made by then is closed here.
  const controller = new AbortController();
  const onAbort = () => void setImmediate(() => controller.abort(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const conn = await connect(controller.signal);
    if (!signal.aborted) return conn;
    conn.close();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  throw signal.reason;
}
