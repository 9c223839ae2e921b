import type { TlsSession } from "../transports/tls_provider.ts";
import type { ExtraInfo, TlsContextLike } from "../transports/transport.ts";

/** Returns what `getExtraInfo` answers about TLS. */
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
