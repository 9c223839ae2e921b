import type { ListenHandle } from "../transports/listen_handle.ts";

/**
 * Listens on a host, at the requested port or at any free port. An engine that binds all addresses of a name leaves those out
 * that are `bound`.
 */
type Listen = (hostname: string, bound: readonly string[], anyPort?: boolean) => Promise<ListenHandle | ListenHandle[]>;

/** Listens on several hosts. Hosts with the same address are bound once, as in asyncio. */
export async function listenOnHosts(hostnames: string[], listen: Listen): Promise<ListenHandle[]> {
  const listeners: ListenHandle[] = [];
  const has = (address: string) => listeners.some((listener) => hostOf(listener) === address);
  try {
    for (const [i, hostname] of hostnames.entries()) {
      if (hostnames.findIndex((other) => bare(other) === bare(hostname)) < i) continue;
      let made: ListenHandle[];
      try {
        made = toList(await listen(hostname, listeners.map(hostOf)));
      } catch (error) {
        const isTaken = error instanceof Deno.errors.AddrInUse && listeners.length > 0;
        if (isTaken && (await addressesOf(hostname, listen))?.every(has)) continue;
        throw error;
      }
      for (const listener of made) {
        // A second listener on an address: the system has chosen another port, or the port is shared.
        if (has(hostOf(listener))) listener.close();
        else listeners.push(listener);
      }
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

/** Returns the addresses of a host, found by binding it at any port, or `null` if that fails or needs a permission. */
async function addressesOf(hostname: string, listen: Listen): Promise<string[] | null> {
  const host = hostname.includes(":") ? `[${bare(hostname)}]:0` : `${hostname}:0`;
  try {
    if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") return null;
    const listeners = toList(await listen(hostname, [], true));
    for (const listener of listeners) listener.close();
    return listeners.map(hostOf);
  } catch {
    return null;
  }
}

export function toList(made: ListenHandle | ListenHandle[]): ListenHandle[] {
  return Array.isArray(made) ? made : [made];
}
