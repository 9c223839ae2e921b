import { withMessage } from "../../errors.ts";
import type { TcpTarget } from "../../transports/engine.ts";
import { AF_INET6 } from "./constants.ts";
import type { Libc } from "./libc.ts";
import { bind, setOption } from "./socket_calls.ts";
import { requireNet, requireNotDenied } from "./permissions.ts";
import { resolve } from "./resolve.ts";
import { encodeIp, type SockAddr } from "./sockaddr.ts";
import { IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP } from "./socket_options.ts";

/** Binds a socket of a family before it connects. */
export interface BindLocal {
  (fd: number, family: number): void;
}

/**
 * Resolves the local address of a connection.
 *
 * Without `SO_REUSEADDR`, as in asyncio: a port that another connection uses, or has used a minute ago, is an error.
 */
export async function findLocal(
  libc: Libc,
  { hostname, port = 0 }: NonNullable<TcpTarget["localAddr"]>,
  signal: AbortSignal | undefined,
): Promise<BindLocal> {
  if (hostname === undefined) {
    return (fd, family) => {
      if (port === 0) return;
      const wildcard = family === AF_INET6 ? "::" : "0.0.0.0";
      requireNet(wildcard, port);
      bindTo(libc, fd, `localAddr port ${port}`, encodeIp(wildcard, port), port);
    };
  }
  requireNet(hostname, port);
  const addresses = await resolveLocal(hostname, signal);
  requireNotDenied(addresses, port);
  return (fd, family) => {
    const what = `localAddr ${
      hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname
    }:${port}`;
    let failure: unknown;
    for (const address of addresses.map((address) => encodeIp(address, port))) {
      if (address.family !== family) continue;
      try {
        bindTo(libc, fd, what, address, port);
        return;
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    const error = new Deno.errors.AddrNotAvailable(`${what} is not ${family === AF_INET6 ? "IPv6" : "IPv4"}`);
    throw Object.assign(error, { code: "EADDRNOTAVAIL" });
  };
}

async function resolveLocal(hostname: string, signal: AbortSignal | undefined): Promise<string[]> {
  try {
    return await resolve(hostname, signal);
  } catch (error) {
    if (signal?.aborted || !(error instanceof Error)) throw error;
    throw Object.assign(withMessage(error, `localAddr: ${error.message}`), { hostname });
  }
}

function bindTo(libc: Libc, fd: number, what: string, address: SockAddr, port: number): void {
  try {
    // The port is chosen when the socket connects, and can be that of a connection to another peer. Else all connections
    // from one address would share its 28,000 ports.
    if (port === 0) setOption(libc, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  } catch {
    // A kernel before 4.2.
  }
  try {
    bind(libc, fd, address);
  } catch (error) {
    throw withMessage(error as Error, `${what}: ${(error as Error).message}`);
  }
}
