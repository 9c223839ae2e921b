/**
 * What `getExtraInfo` answers about TLS.
 *
 * @module
 */
import type { TlsSession } from "../transports/tls_provider.ts";
import type { ExtraInfo, TlsContextLike } from "../transports/transport.ts";

/**
 * Returns what `getExtraInfo` answers about TLS.
 *
 * @param session What the handshake has negotiated.
 * @param sslcontext The context of the connection, if there is one.
 * @param sslObject What encrypts.
 * @returns The keys that have a value. All others have their default.
 */
export function tlsInfo(
  session: TlsSession,
  sslcontext: TlsContextLike | undefined,
  sslObject: object,
): Partial<ExtraInfo> {
  const { cipher, peercert, alpnProtocol } = session;
  return {
    compression: null,
    sslObject,
    ...sslcontext && { sslcontext },
    ...cipher && { cipher },
    ...peercert && { peercert },
    ...alpnProtocol && { alpnProtocol },
  };
}
