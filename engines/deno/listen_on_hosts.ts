/**
 * Listening on several hosts, some of which may be one and the same.
 *
 * @module
 */

/** A listener on TCP, with TLS over it or without. */
type TcpListener = Deno.Listener<Deno.Conn, Deno.NetAddr>;

/**
 * Listens on each of the hosts' addresses once, however often and by whatever names it is named, as asyncio does.
 *
 * @param hostnames Names and addresses.
 * @param listen Listens on one of them.
 * @returns The listeners, in the order of the hosts. If one cannot be made, the others are closed.
 */
export function listenOnHosts(hostnames: string[], listen: (hostname: string) => TcpListener): TcpListener[] {
  const listeners: TcpListener[] = [];
  const has = (address: string | null) => listeners.some(({ addr }) => addr.hostname === address);
  try {
    for (const [i, hostname] of hostnames.entries()) {
      if (hostnames.findIndex((other) => bare(other) === bare(hostname)) < i) continue;
      let listener: TcpListener;
      try {
        listener = listen(hostname);
      } catch (error) {
        if (error instanceof Deno.errors.AddrInUse && listeners.length > 0 && has(addressOf(hostname))) continue;
        throw error;
      }
      // The system chooses a port, or shares it.
      if (has(listener.addr.hostname)) listener.close();
      else listeners.push(listener);
    }
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

/** A host as it is written outside of a URL. */
function bare(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
}

/** The address that Deno binds a host at, or `null` where that may not be found out: it takes a port that is free. */
function addressOf(hostname: string): string | null {
  const host = hostname.includes(":") ? `[${bare(hostname)}]:0` : `${hostname}:0`;
  try {
    if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") return null;
    using listener = Deno.listen({ hostname, port: 0 });
    return listener.addr.hostname;
  } catch {
    return null;
  }
}
