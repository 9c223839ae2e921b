/**
 * Listening on TCP and Unix sockets.
 *
 * @module
 */
import type { ListenTarget } from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import { ListenerHandle } from "./listener_handle.ts";
import { bindUnixPath } from "./unix_path.ts";

/** Listens on one address. */
export async function listen(target: ListenTarget): Promise<ListenHandle> {
  if (target.transport === "unix") {
    const { path, cleanupSocket } = target;
    const { listener, removeFile } = await bindUnixPath(path);
    return new ListenerHandle(listener, null, { path, removeFile: cleanupSocket ? removeFile : undefined });
  }
  const { hostname, port, backlog, reusePort } = target;
  if (reusePort && !("listenDatagram" in Deno)) {
    // Deno ends the process for it; the same flag brings listenDatagram, which can be looked for.
    throw new Deno.errors.NotSupported("reusePort needs Deno's flag --unstable-net");
  }
  // Two options that Deno has, and its stable types do not all name.
  const where = { hostname, port, tcpBacklog: backlog, reusePort } as Deno.TcpListenOptions;
  return new ListenerHandle(Deno.listen(where), target);
}
