/** Chooses the groups and the signature algorithms of a context. */
import { describe } from "../../errors.ts";
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { SSL_CTRL_SET_GROUPS_LIST, SSL_CTRL_SET_SIGALGS_LIST } from "./constants.ts";
import { made } from "./credentials.ts";
import { cString, type Libssl, type Pointer } from "./libssl.ts";

const OPTIONS = [
  ["groups", "groups", SSL_CTRL_SET_GROUPS_LIST],
  ["signatureAlgorithms", "signature algorithms", SSL_CTRL_SET_SIGALGS_LIST],
] as const;

/** Throws a `TypeError` that names what this OpenSSL does not have, before a context is made with it. */
export function checkAlgorithms(lib: Libssl, settings: TlsSettings): void {
  if (OPTIONS.every(([option]) => settings[option] === undefined)) return;
  const ctx = made(lib.SSL_CTX_new(lib.TLS_client_method()));
  try {
    setAlgorithms(lib, ctx, settings);
  } finally {
    lib.SSL_CTX_free(ctx);
    lib.ERR_clear_error();
  }
}

/** Sets the groups and the signature algorithms of a context. */
export function setAlgorithms(lib: Libssl, ctx: Pointer, settings: TlsSettings): void {
  for (const [option, what, command] of OPTIONS) {
    const list = settings[option];
    if (list === undefined) continue;
    const set = (names: string) => lib.SSL_CTX_ctrl(ctx, command, 0n, cString(names)) === 1;
    const names = list.split(":");
    const unknown = names.find((name) => !set(name));
    if (unknown !== undefined) {
      const why = `and this OpenSSL has none that is ${describe(unknown)}`;
      throw new TypeError(`${option} must be names of ${what}, ${why}`);
    }
    if (!set(list)) throw new TypeError(`${option} must be names of ${what}, each once, got ${describe(list)}`);
  }
}
