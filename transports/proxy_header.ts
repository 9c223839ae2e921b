/** What a header of the PROXY protocol says: its specification is HAProxy's `proxy-protocol.txt`. */

/** A field of a header of version 2: a type and a value. */
export interface ProxyTlv {
  /** The type, 0 to 255. The specification leaves 0xE0 to 0xEF to applications. */
  type: number;
  /** The value. */
  value: Uint8Array;
}

/** How a client of a proxy has used TLS: `PP2_TYPE_SSL`. */
export interface ProxySsl {
  /** Flags: 1 the client uses TLS, 2 it sent a certificate on this connection, 4 it sent one in this TLS session. */
  client: number;
  /** 0 if the client sent a certificate that the proxy has verified; another number otherwise. */
  verify: number;
  /** The version of TLS, such as `"TLSv1.3"`. */
  version?: string | undefined;
  /** The common name of the client's certificate. */
  commonName?: string | undefined;
  /** The cipher suite, such as `"ECDHE-RSA-AES128-GCM-SHA256"`. */
  cipher?: string | undefined;
  /** The algorithm that has signed the proxy's certificate, such as `"RSA-SHA256"`. */
  signatureAlgorithm?: string | undefined;
  /** The algorithm of the key of the proxy's certificate, such as `"RSA2048"`. */
  keyAlgorithm?: string | undefined;
  /** All other fields, in order. */
  tlvs?: readonly ProxyTlv[] | undefined;
}

/**
 * A header of the PROXY protocol, which a proxy sends before the bytes of its client. `getExtraInfo("proxyProtocol")` and
 * `parseProxyHeader()` return it. Only version 2 has the fields from `alpn` on; a field that the header does not have is
 * missing.
 */
export interface ProxyHeader {
  /** The version: 1 is a line of text, 2 is binary. */
  version: 1 | 2;
  /** `"proxy"` for the connection of a client, `"local"` for one of the proxy itself, such as a health check. */
  command: "proxy" | "local";
  /** The address of the client; `null` if the header names none that is known. */
  source: Deno.Addr | null;
  /** The address that the client has connected to; `null` if `source` is. */
  destination: Deno.Addr | null;
  /** The application protocol that the client and the proxy have negotiated, such as `"h2"`. */
  alpn?: string;
  /** The host name that the client has asked for; with TLS, its server name (SNI). */
  authority?: string;
  /** The proxy's identifier of the connection, at most 128 bytes. */
  uniqueId?: Uint8Array;
  /** How the client has used TLS. */
  ssl?: ProxySsl;
  /** The name of the network namespace. */
  netns?: string;
  /** All other fields, in order. A text that is not UTF-8 is here, too. */
  tlvs: ProxyTlv[];
}
