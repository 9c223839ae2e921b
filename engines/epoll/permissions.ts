/** FFI goes round Deno's permissions, so the engine asks for them itself, as Deno's own sockets do. */

/**
 * Requires the permission to use the network at an address. Deno may prompt for it.
 *
 * @throws {Deno.errors.NotCapable} If it is missing.
 */
export function requireNet(hostname: string, port: number): void {
  const host = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  demand({ name: "net", host }, `net access to "${host}"`, "--allow-net");
}

/**
 * Requires the permissions to use a Unix socket at a path.
 *
 * @throws {Deno.errors.NotCapable} If one is missing.
 */
export function requirePath(path: string): void {
  if (!path.startsWith("\0")) {
    demand({ name: "read", path }, `read access to "${path}"`, "--allow-read");
    demand({ name: "write", path }, `write access to "${path}"`, "--allow-write");
  }
  demand({ name: "net", host: `unix:${path}` }, `net access to "unix:${path}"`, "--allow-net");
}

function demand(descriptor: Deno.PermissionDescriptor, what: string, flag: string): void {
  if (Deno.permissions.requestSync(descriptor).state === "granted") return;
  throw new Deno.errors.NotCapable(`Requires ${what}, run again with the ${flag} flag`);
}
