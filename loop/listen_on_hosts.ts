import type { ListenHandle } from "../transports/listen_handle.ts";

/** Listens on a host, at the requested port or at any free port. */
type Listen = (hostname: string, anyPort?: boolean) => Promise<ListenHandle>;

/** Listens on several hosts. Hosts with the same address are bound once, as in asyncio. */
export async function listenOnHosts(hostnames: string[], listen: Listen): Promise<ListenHandle[]> {
  const listeners: ListenHandle[] = [];
  const has = (address: string | null) => listeners.some((listener) => hostOf(listener) === address);
  try {
    for (const [i, hostname] of hostnames.entries()) {
      if (hostnames.findIndex((other) => bare(other) === bare(hostname)) < i) continue;
      let listener: ListenHandle;
      try {
        listener = await listen(hostname);
      } catch (error) {
        const isTaken = error instanceof Deno.errors.AddrInUse && listeners.length > 0;
        if (isTaken && has(await addressOf(hostname, listen))) continue;
        throw error;
      }
      // A second listener on an address: the system has chosen another port, or the port is shared.
      if (has(hostOf(listener))) listener.close();
      else listeners.push(listener);
    }
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

function hostOf({ addr }: ListenHandle): string {
  return (addr as Deno.NetAddr).hostname;
}

/** Returns a host in lower case and without the brackets of a URL. */
function bare(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
}

/** Returns the address of a host, found by binding it at any port, or `null` if that fails or needs a permission. */
async function addressOf(hostname: string, listen: Listen): Promise<string | null> {
  const host = hostname.includes(":") ? `[${bare(hostname)}]:0` : `${hostname}:0`;
  try {
    if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") return null;
    const listener = await listen(hostname, true);
    listener.close();
    return hostOf(listener);
  } catch {
    return null;
  }
}
