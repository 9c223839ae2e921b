/**
 * Errors of connecting, binding and resolving that say which address it was.
 *
 * @module
 */

/** What an operating-system error is made of. */
type SystemError = Error & { code?: unknown; hostname?: unknown };

/**
 * Returns an operating-system error that names the method and the address. Its class and `code` are those of the error, which
 * becomes its `cause`.
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
  // Deno has no class and no code for names that cannot be resolved, Node has a code.
  const isLookup = typeof unresolved === "string" || error.message.includes("failed to lookup address information");
  if (typeof code !== "string" && !isLookup) return error;
  const Class = error.constructor as new (message: string) => Error;
  if (Class !== Error && !Object.values(Deno.errors).includes(Class as typeof Deno.errors.NotFound)) return error;
  const host = typeof unresolved === "string" ? unresolved : hostname;
  const what = isLookup && host !== undefined ? `resolve ${host}` : `${action} ${address}`;
  const named = new Class(`${method}: cannot ${what}: ${error.message}`);
  Object.defineProperty(named, "cause", { value: error, writable: true, configurable: true });
  if (typeof code === "string") Object.assign(named, { code });
  return named;
}

/** Returns an address as one text. */
export function formatAddress(address: { hostname: string; port: number } | { path: string }): string {
  if ("path" in address) return address.path.replaceAll("\0", "@");
  const { hostname, port } = address;
  return hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
