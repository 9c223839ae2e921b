/** The encryption of a TLS connection. */
export interface TlsCipher {
  /** The cipher suite, for example `"TLS_AES_256_GCM_SHA384"`. */
  name: string;
  /** The version of TLS, `"TLSv1.2"` or `"TLSv1.3"`. */
  version: string;
  /** The length of the key in bits. */
  bits: number;
}

/** The contents of a certificate. The first six fields are named as in Python's `SSLSocket.getpeercert()`. */
export interface PeerCertificate {
  /** The holder, by attribute: `{ CN: "localhost" }`. An attribute that occurs more than once is an array. */
  subject: Record<string, string | string[]>;
  /** The CA that signed the certificate, by attribute. */
  issuer: Record<string, string | string[]>;
  /**
   * The names and addresses that the certificate is valid for, as in Python: `["DNS", "localhost"]`,
   * `["IP Address", "127.0.0.1"]`, `["email", ...]`, `["URI", ...]`, `["Registered ID", "1.2.3"]`. The value of any other
   * kind is `"<unsupported>"`. A value has one character for each byte in the certificate and can contain any separator,
   * so do not join values into one string and split it again.
   */
  subjectAltName: [type: string, value: string][];
  /** The serial number, in hexadecimal. */
  serialNumber: string;
  /** The start of the validity period. */
  notBefore: Date;
  /** The end of the validity period. */
  notAfter: Date;
  /** The SHA-256 of the certificate, as pairs of hexadecimal digits separated by colons. */
  fingerprint256: string;
  /** The certificate, as DER. */
  raw: Uint8Array;
}

/** The methods of a `TlsContext`. */
export interface TlsContextLike {
  /** Parses the certificates and keys. */
  load(): Promise<void>;
  /** Replaces options for new connections. */
  reload(options: object): Promise<void>;
}

/** The keys of `getExtraInfo` for TLS. Without TLS, every key returns the default value. */
export interface TlsInfo {
  /** The encryption. Missing on a `Deno.TlsConn`, which does not report it. */
  cipher: TlsCipher;
  /** Always `null`: TLS compression is obsolete. */
  compression: null;
  /** The peer's certificate; missing if the peer sent none. */
  peercert: PeerCertificate;
  /** The `TlsContext` of the connection. Missing on a `Deno.TlsConn`. */
  sslcontext: TlsContextLike;
  /**
   * The object that encrypts: the `Deno.TlsConn`; a `TLSSocket` of `node:tls`, which you must not read or write; or with
   * OpenSSL an `OpensslObject` of `@tandem/io/epoll`.
   */
  sslObject: object;
  /** The protocol that was negotiated by ALPN; missing if none was. */
  alpnProtocol: string;
}
