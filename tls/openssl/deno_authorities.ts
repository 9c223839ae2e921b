/** The CAs that Deno trusts, in OpenSSL's memory. */
import { mayReadAuthorities } from "../may_read_authorities.ts";
import { Handles, parseCertificates } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** The functions of `node:tls` that are used. The types of Deno do not have the first yet. */
interface Tls {
  getCACertificates(type: "default" | "bundled"): string[];
}

let tls: Tls | undefined;
let authorities: Pointer[] | undefined;

/** Loads what {@linkcode denoAuthorities} needs. */
export async function loadDenoAuthorities(): Promise<void> {
  tls ??= (await import("node:tls")).default as unknown as Tls;
}

/**
 * Returns Mozilla's CAs, if Deno trusts them (`DENO_TLS_CA_STORE`) and the program may read the list. All
 * others that Deno trusts are found when a server shows one, by `denoTrusts()`. Takes 20 ms, once for each isolate.
 */
export function denoAuthorities(ssl: Libssl): Pointer[] {
  if (authorities !== undefined) return authorities;
  if (!mayReadAuthorities()) return [];
  const trusted = new Set(tls!.getCACertificates("default"));
  // A program can change the default list, and what it adds there is not trusted by Deno.
  const pems = tls!.getCACertificates("bundled").filter((pem) => trusted.has(pem));
  // Never freed: every later context has them.
  const handles = new Handles();
  authorities = pems.flatMap((pem) => {
    try {
      return parseCertificates(ssl, handles, "a CA of Deno", pem);
    } catch {
      return [];
    }
  });
  return authorities;
}
