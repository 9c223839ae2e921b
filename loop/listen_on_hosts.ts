/**
 * Listening on several hosts, some of which may be the same address.
 *
 * @module
 */
import type { ListenHandle } from "../transports/listen_handle.ts";

/** Listens on a host, at the port that was asked for or at one that is free. */
type Listen = (hostname: string, anyPort?: boolean) => Promise<ListenHandle>;

/** Listens on each of the hosts' addresses once, however often and by whatever names it is named, as asyncio does. */
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
      // The system chooses a port, or shares it.
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

/** A host as it is written outside of a URL. */
function bare(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
}

/** The address that a host is bound at, or `null` where that may not be found out. */
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
