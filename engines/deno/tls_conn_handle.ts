/**
 * A handle over a `Deno.TlsConn`, whose TLS is inside Deno.
 *
 * @module
 */
import { WindowMemory } from "../../memory/window_memory.ts";
import type { PeerCertificate } from "../../transports/transport.ts";
import { type LegacyCertificate, loadNodeTls } from "../../tls/node/node_tls.ts";
import { toPeerCertificate } from "../../tls/peer_certificate.ts";
import { toTlsError } from "../../tls/tls_error.ts";
import type { TlsSession } from "../../tls/tls_engine.ts";
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
    // Nagle's algorithm cannot be turned off here.
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
 * Does Deno's handshake. One that does not end keeps its socket: Deno closes that when the peer has.
 *
 * @param conn The connection.
 * @returns What was agreed on.
 */
export async function denoHandshake(conn: Deno.TlsConn): Promise<TlsSession> {
  const { alpnProtocol } = await conn.handshake();
  return { cipher: null, peercert: await peerCertificate(conn), alpnProtocol };
}

/** What Deno's own node:https asks a connection for, under a symbol that has no other name. */
async function peerCertificate(conn: Deno.TlsConn): Promise<PeerCertificate | null> {
  const prototype = Object.getPrototypeOf(conn);
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) =>
    description === "getPeerCertificate"
  );
  const get = symbol && prototype[symbol] as unknown;
  if (typeof get !== "function") return null;
  const certificate = get.call(conn) as LegacyCertificate | null;
  return certificate?.raw === undefined
    ? null
    : toPeerCertificate(new Uint8Array(certificate.raw), (await loadNodeTls()).sha256);
}
