import { codeOf, withMessage } from "../../errors.ts";
import type { ListenTarget } from "../../transports/engine.ts";
import type { ListenHandle } from "../../transports/listen_handle.ts";
import { combineFailures, type Failure } from "./connect_error.ts";
import { requireNet, requireNotDenied } from "./permissions.ts";
import { resolve, withoutBrackets } from "./resolve.ts";
import { normalizeIp } from "./sockaddr.ts";

/** The TCP address to listen on, and how. */
export type TcpListenTarget = Extract<ListenTarget, { transport: "tcp" }>;

/** Opens a listening socket. `dualStack` is for IPv6; `undefined` leaves it to the system. */
type Open = (address: string, port: number, dualStack: boolean | undefined) => ListenHandle;

/** How often a port that the system has chosen for one address is tried at the others. */
const MAX_TRIES = 16;

/**
 * Listens on all addresses of a host that are not bound already, or on every interface. If one cannot be bound, nothing is
 * left open. Addresses that this system does not have are left out, unless it has none of them.
 */
export async function listenOnAll(target: TcpListenTarget, open: Open): Promise<ListenHandle[]> {
  const { hostname, port, bound = [] } = target;
  if (hostname === null) return listenEverywhere(target, open);
  requireNet(hostname, port);
  const found = await resolve(hostname);
  requireNotDenied(found, port);
  const isLiteral = found.length === 1 && found[0] === withoutBrackets(hostname);
  if (isLiteral) return bound.includes(normalizeIp(found[0]!)) ? [] : [open(found[0]!, port, target.dualStack)];
  const addresses = found.filter((address) => !bound.includes(normalizeIp(address)));
  return openAll(addresses, port, (address, port) => open(address, port, target.dualStack));
}

function listenEverywhere({ port, dualStack = false }: TcpListenTarget, open: Open): ListenHandle[] {
  const addresses = dualStack ? ["::"] : ["0.0.0.0", "::"];
  for (const address of addresses) requireNet(address, port);
  requireNotDenied(addresses, port);
  try {
    return openAll(addresses, port, (address, port) => open(address, port, dualStack));
  } catch (error) {
    if (!dualStack || !isMissing(error)) throw error;
  }
  // There is no IPv6, so IPv4 is all.
  requireNet("0.0.0.0", port);
  requireNotDenied(["0.0.0.0"], port);
  return openAll(["0.0.0.0"], port, (address, port) => open(address, port, undefined));
}

/** Listens on several addresses, at one port. */
function openAll(
  addresses: readonly string[],
  port: number,
  open: (address: string, port: number) => ListenHandle,
): ListenHandle[] {
  for (let tries = 1;; tries++) {
    const handles: ListenHandle[] = [];
    const missing: Failure[] = [];
    try {
      for (const address of addresses) openOne(address, handles, missing, port, open);
      if (handles.length === 0 && missing.length > 0) throw combineFailures(missing);
      return handles;
    } catch (error) {
      // The port that the system has chosen for the first address can be taken at another.
      const isUnlucky = port === 0 && handles.length > 0 && codeOf(error) === "EADDRINUSE";
      for (const handle of handles) handle.close();
      if (!isUnlucky || tries === MAX_TRIES) throw error;
    }
  }
}

function openOne(
  address: string,
  handles: ListenHandle[],
  missing: Failure[],
  port: number,
  open: (address: string, port: number) => ListenHandle,
): void {
  try {
    const chosen = handles.length === 0 ? port : (handles[0]!.addr as Deno.NetAddr).port;
    handles.push(open(address, chosen));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!isMissing(error)) throw withMessage(error, `${address}: ${error.message}`);
    missing.push({ address, error });
  }
}

/** Reports whether the system does not have an address, or its family. */
function isMissing(error: unknown): boolean {
  return ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(codeOf(error) ?? "");
}
