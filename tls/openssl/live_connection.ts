import { setKeylogReport } from "./hooks.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import type { OpensslContext } from "./openssl_context.ts";
import type { Resumption } from "./resumption.ts";

/** An `SSL`, and what is known of its connection. The engine of the handshake, which is larger, ends before it. */
export class LiveConnection {
  /** The `SSL`; `null` once it is freed. */
  ssl: Pointer | null;
  readonly lib: Libssl;
  /** Kept alive, because the functions of the program that OpenSSL calls are the context's. */
  readonly context: OpensslContext;
  /** The sessions of a client that can resume. */
  resumption: Resumption | null = null;
  /** The certificates by which the peer was verified, as DER. */
  chain: readonly Uint8Array[] = NO_CERTIFICATES;
  /** The OCSP response that a client has received. */
  response: Uint8Array | null = null;

  /** Owns the `SSL`. */
  constructor(lib: Libssl, ssl: Pointer, context: OpensslContext) {
    this.lib = lib;
    this.ssl = ssl;
    this.context = context;
  }

  /** Frees the `SSL`, once. `isBroken`: whether TLS has failed, so that its sessions are not resumed. */
  free(isBroken = false): void {
    const { ssl } = this;
    this.ssl = null;
    if (ssl === null) return;
    if (isBroken) this.resumption?.forget();
    this.resumption?.end();
    setKeylogReport(ssl, null);
    this.lib.SSL_free(ssl);
  }
}

const NO_CERTIFICATES: readonly Uint8Array[] = [];
