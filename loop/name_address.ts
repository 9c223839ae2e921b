import { withMessage } from "../errors.ts";

type SystemError = Error & { code?: unknown; hostname?: unknown };

/**
 * Returns an error of the operating system with the same class and `code`, whose message names the method and the address.
 * The original error is its `cause`, or all errors if there are several. Other errors are returned unchanged.
 */
export function nameAddress(
  error: unknown,
  method: string,
  action: string,
  address: string,
  hostname?: string,
): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hostname: unresolved } = error as SystemError;
  // For a name that cannot be resolved, Deno has neither a class nor a code. Node sets `hostname`.
  const isLookup = typeof unresolved === "string" || error.message.includes("failed to lookup address information");
  if (typeof code !== "string" && !isLookup) return error;
  const Class = error.constructor;
  const isSystem = Class === Error || code === "EINVAL" ||
    Object.values(Deno.errors).includes(Class as typeof Deno.errors.NotFound);
  if (!isSystem) return error;
  const host = typeof unresolved === "string" ? unresolved : hostname;
  const what = isLookup && host !== undefined ? `resolve ${host}` : `${action} ${address}`;
  const cause = error.cause instanceof AggregateError ? error.cause : error;
  return withMessage(error, `${method}: cannot ${what}: ${error.message}`, cause);
}

/** Formats an address as `host:port` or as a path. */
export function formatAddress(address: { hostname: string | null; port: number } | { path: string }): string {
  if ("path" in address) return address.path.replaceAll("\0", "@");
  const { hostname, port } = address;
  if (hostname === null) return `port ${port} of every interface`;
  return hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
