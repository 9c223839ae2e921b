/**
 * A handle over a `Deno.TlsConn`, which encrypts by itself.
 *
 * @module
 */
import { WindowMemory } from "../../memory/window_memory.ts";
import type { TlsSession } from "../../transports/tls_provider.ts";
import type { PeerCertificate } from "../../transports/transport.ts";
import { toPeerCertificate } from "../../tls/peer_certificate.ts";
import { toTlsError } from "../../tls/tls_error.ts";
import { ConnHandle } from "./conn_handle.ts";

/** A stream handle that sends close_notify before it closes. */
export class TlsConnHandle extends ConnHandle {
  readonly halfCloses = false;
  readonly shutdownTimeout: number;
  #discarding = false;
  /** Resolves when `discard()` has read the end. */
  #ended: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  /**
   * @param conn The connection.
   * @param shutdownTimeout How long closing may take, in milliseconds.
   */
  constructor(conn: Deno.Conn, shutdownTimeout: number) {
    // TCP_NODELAY cannot be set on a Deno.TlsConn.
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

/**
 * Does the handshake of a `Deno.TlsConn`. If it does not end, Deno keeps the socket open until the peer closes its end.
 *
 * @param conn The connection.
 * @returns What was negotiated.
 */
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
