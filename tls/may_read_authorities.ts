/**
 * Reports whether the program may read the CAs that Deno trusts, by `getCACertificates()` of `node:tls`: with `--allow-sys`, and
 * with `--allow-env`, which that function needs as well. Never prompts.
 */
export function mayReadAuthorities(): boolean {
  const needed = [{ name: "sys", kind: "ca" }, { name: "env", variable: "NODE_USE_SYSTEM_CA" }];
  return (needed as unknown as Deno.PermissionDescriptor[]).every((permission) => {
    return Deno.permissions.querySync(permission).state === "granted";
  });
}
