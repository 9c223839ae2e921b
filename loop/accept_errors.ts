/** Errors of a connection, not of the listener. As accept(2) says, the next accept follows at once. */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  "EPERM",
  "EPROTO",
  "ENOPROTOOPT",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENONET",
  "EOPNOTSUPP",
]);

/** Reports whether a connection has failed, not the listener: for example, the peer has reset. */
export function isOfConnection(error: Error & { code?: string }): boolean {
  // NotConnected: the peer had reset when Deno asked for its address.
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((Class) => error instanceof Class) ||
    CONNECTION_ERRORS.has(error.code ?? "");
}
