import { WindowMemory } from "../../memory/window_memory.ts";
import type { TlsSession } from "../../transports/tls_provider.ts";
import type { PeerCertificate } from "../../transports/transport.ts";
import { toPeerCertificate } from "../../tls/peer_certificate.ts";
import { toTlsError } from "../../tls/tls_error.ts";
import { ConnHandle } from "./conn_handle.ts";

/** A handle over a `Deno.TlsConn`. It sends close_notify before it closes. */
export class TlsConnHandle extends ConnHandle {
  readonly halfCloses = false;
  readonly shutdownTimeout: number;
  #discarding = false;
  /** Resolves when `discard()` has read the end. */
  #ended: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  constructor(conn: Deno.Conn, shutdownTimeout: number) {
    // `true`, because Nagle's algorithm cannot be turned off on a Deno.TlsConn.
    super(conn, { readable: true, writable: true }, new WindowMemory(true));
    this.shutdownTimeout = shutdownTimeout;
  }

  explain(error: Error): Error {
    return toTlsError(error);
  }

  discard(): void {
    if (this.#discarding) return;
    this.#discarding = true;
    const scratch = new Uint8Array(16 * 1024);
    this.readStart({
      allocate: () => scratch,
      filled: () => {},
      chunk: () => {},
      end: () => this.#ended.resolve(),
      failed: () => this.#ended.resolve(),
    });
  }

  async shutdown(): Promise<void> {
    this.discard();
    try {
      await this.closeWrite();
    } catch {
      return; // The connection is gone.
    }
    if (!this.over) await this.#ended.promise;
  }
}

/** Performs Deno's handshake. If the handshake never ends, the socket stays open until the peer closes its end. */
export async function denoHandshake(conn: Deno.TlsConn): Promise<TlsSession> {
  const { alpnProtocol } = await conn.handshake();
  return { cipher: null, peercert: await peerCertificate(conn), alpnProtocol };
}

/** Returns the peer's certificate, by a method whose symbol is not exported. Deno's own node:https uses it. */
async function peerCertificate(conn: Deno.TlsConn): Promise<PeerCertificate | null> {
  const prototype = Object.getPrototypeOf(conn);
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) =>
    description === "getPeerCertificate"
  );
  const get = symbol && prototype[symbol] as unknown;
  if (typeof get !== "function") return null;
  const certificate = get.call(conn) as { raw?: Uint8Array } | null;
  if (certificate?.raw === undefined) return null;
  const { createHash } = await import("node:crypto");
  return toPeerCertificate(
    new Uint8Array(certificate.raw),
    (data) => createHash("sha256").update(data).digest("hex"),
  );
}
