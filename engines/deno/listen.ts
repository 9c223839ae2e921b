import type { ListenTarget } from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import { ListenerHandle } from "./listener_handle.ts";
import { bindUnixPath } from "./unix_path.ts";

/** Listens on one TCP address or Unix socket. */
export async function listen(target: ListenTarget): Promise<ListenHandle> {
  if (target.transport === "unix") {
    const { path, backlog, cleanupSocket } = target;
    if (backlog !== undefined) {
      throw new Deno.errors.NotSupported("backlog: Deno.listen chooses the backlog of a Unix socket");
    }
    const { listener, removeFile } = await bindUnixPath(path);
    return new ListenerHandle(listener, null, { path, removeFile: cleanupSocket ? removeFile : undefined });
  }
  const { hostname, port, backlog, reusePort, dualStack } = target;
  if (hostname === null) {
    throw new Deno.errors.NotSupported(
      'hostname: null: Deno.listen binds one address; "::" listens on every interface, mostly over IPv4, too',
    );
  }
  // Windows does not accept IPv4 by default.
  if (dualStack === (Deno.build.os === "windows") && isIpv6Wildcard(hostname)) {
    throw new Deno.errors.NotSupported(`dualStack: ${dualStack}: Deno.listen leaves this to the system`);
  }
  if (reusePort && !("listenDatagram" in Deno)) {
    // Without the flag, Deno would end the process. The flag also adds listenDatagram, which shows that it is set.
    throw new Deno.errors.NotSupported("reusePort needs Deno's flag --unstable-net");
  }
  // Deno's stable types do not have all of these options.
  const where = { hostname, port, tcpBacklog: backlog, reusePort } as Deno.TcpListenOptions;
  return new ListenerHandle(Deno.listen(where), target);
}

/** Reports whether a host is `::`, in any spelling. */
function isIpv6Wildcard(hostname: string): boolean {
  return /^\[?[0:]*:[0:]*\]?$/.test(hostname);
}
