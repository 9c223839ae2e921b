/** The settings of TLS that only OpenSSL has. With another TLS, each is `Deno.errors.NotSupported` at the call. */

/** What only TLS by OpenSSL can do: an `EpollEngine` where OpenSSL 3 can be used. */
export interface OpensslSettings {
  /**
   * The passphrase of `key`, if it is encrypted, or of `pfx`. It must not contain U+0000.
   *
   * @default {undefined} an encrypted key is rejected
   */
  passphrase?: string | undefined;
  /**
   * A certificate, its private key and the certificates of intermediate CAs as PKCS #12 (a file named `.p12` or `.pfx`),
   * in place of `cert` and `key`.
   *
   * @default {undefined}
   */
  pfx?: Uint8Array | undefined;
  /**
   * Certificate revocation lists, PEM. If there are any, each certificate of the peer's chain must be covered by a valid
   * list of its issuer and must not be in it. A list that has expired is a `TypeError` at the call; one that expires
   * later rejects every peer until `reload()` replaces it.
   *
   * @default {undefined} revocation is not checked
   */
  crl?: string[] | undefined;
  /**
   * How many intermediate CAs may be between the peer's certificate and a trusted CA.
   *
   * @default {undefined} 100, as OpenSSL has it
   */
  verifyDepth?: number | undefined;
  /**
   * The groups of the key exchange, in the order of preference, separated by colons: `"X25519:P-256"`.
   *
   * @default {undefined} those of OpenSSL
   */
  groups?: string | undefined;
  /**
   * The signature algorithms to accept and to use, in the order of preference, separated by colons:
   * `"ecdsa_secp256r1_sha256:RSA-PSS+SHA256"`.
   *
   * @default {undefined} those of OpenSSL at security level 2
   */
  signatureAlgorithms?: string | undefined;
  /**
   * Server: the OCSP response for `cert` (RFC 6960, DER) to send to clients that request it ("stapling"). When it has
   * expired, it is no longer sent; `reload()` replaces it.
   *
   * @default {undefined} none is sent
   */
  ocspResponse?: Uint8Array | undefined;
  /**
   * Client: request the OCSP response of the server's certificate, and reject the server if the response is not valid or
   * does not say that the certificate is good. With `"required"`, a server that sends none is rejected as well.
   *
   * @default {false}
   */
  requestOcsp?: boolean | "required" | undefined;
  /**
   * Where the secrets of the connections go, by which Wireshark decrypts them: a function, called with each line (NSS Key
   * Log Format, without a line break), or the path of a file to append the lines to, as Python's `keylog_filename`. The
   * file is created for the user alone (mode 0600), and needs `--allow-write`; one that cannot be opened is an error at
   * the call. What goes wrong later, in the function or with the file, goes to the exception handler, and the connection
   * goes on. Who has the lines can read and change everything: for tests only.
   *
   * @default {undefined} nothing is logged. The environment variable `SSLKEYLOGFILE` does not turn it on.
   */
  keylog?: ((line: string) => void) | string | URL | undefined;
}
