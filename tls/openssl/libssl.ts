/** The functions of OpenSSL 3 that are called, by Deno's FFI. */

const P = "pointer";
const B = "buffer";

// Sizes are `i32` or `usize` as in C. Of the names that are macros in C, the function behind the macro is here. All of them are
// looked up in libssl, whose handle finds what libcrypto has, too: so both are of one build.
const SYMBOLS = {
  OpenSSL_version_num: { parameters: [], result: "u64" },
  OpenSSL_version: { parameters: ["i32"], result: P },
  // Contexts.
  TLS_client_method: { parameters: [], result: P },
  TLS_server_method: { parameters: [], result: P },
  SSL_CTX_new: { parameters: [P], result: P },
  SSL_CTX_free: { parameters: [P], result: "void" },
  SSL_CTX_ctrl: { parameters: [P, "i32", "i64", B], result: "i32" },
  SSL_CTX_set_options: { parameters: [P, "u64"], result: "u64" },
  SSL_CTX_get_security_level: { parameters: [P], result: "i32" },
  SSL_CTX_set_security_level: { parameters: [P, "i32"], result: "void" },
  SSL_CTX_set_cipher_list: { parameters: [P, B], result: "i32" },
  SSL_CTX_set_ciphersuites: { parameters: [P, B], result: "i32" },
  SSL_CTX_get_ciphers: { parameters: [P], result: P },
  SSL_CTX_use_cert_and_key: { parameters: [P, P, P, P, "i32"], result: "i32" },
  SSL_CTX_set1_cert_store: { parameters: [P, P], result: "void" },
  SSL_CTX_add_client_CA: { parameters: [P, P], result: "i32" },
  SSL_CTX_set_verify: { parameters: [P, "i32", P], result: "void" },
  SSL_CTX_set_alpn_protos: { parameters: [P, B, "u32"], result: "i32" },
  SSL_CTX_set_alpn_select_cb: { parameters: [P, P, P], result: "void" },
  SSL_CTX_set_session_id_context: { parameters: [P, B, "u32"], result: "i32" },
  // Connections.
  SSL_new: { parameters: [P], result: P },
  SSL_free: { parameters: [P], result: "void" },
  SSL_ctrl: { parameters: [P, "i32", "i64", B], result: "i32" },
  SSL_certs_clear: { parameters: [P], result: "void" },
  SSL_use_cert_and_key: { parameters: [P, P, P, P, "i32"], result: "i32" },
  SSL_set_bio: { parameters: [P, P, P], result: "void" },
  SSL_set_accept_state: { parameters: [P], result: "void" },
  SSL_set_connect_state: { parameters: [P], result: "void" },
  SSL_do_handshake: { parameters: [P], result: "i32" },
  SSL_read: { parameters: [P, B, "i32"], result: "i32" },
  SSL_write: { parameters: [P, B, "i32"], result: "i32" },
  SSL_shutdown: { parameters: [P], result: "i32" },
  SSL_set_shutdown: { parameters: [P, "i32"], result: "void" },
  SSL_set_info_callback: { parameters: [P, P], result: "void" },
  SSL_get_error: { parameters: [P, "i32"], result: "i32" },
  SSL_get0_param: { parameters: [P], result: P },
  SSL_get_verify_result: { parameters: [P], result: "i32" },
  SSL_version: { parameters: [P], result: "i32" },
  SSL_session_reused: { parameters: [P], result: "i32" },
  SSL_get_current_cipher: { parameters: [P], result: P },
  SSL_CIPHER_get_name: { parameters: [P], result: P },
  SSL_CIPHER_get_bits: { parameters: [P, P], result: "i32" },
  SSL_get0_alpn_selected: { parameters: [P, B, B], result: "void" },
  SSL_get1_peer_certificate: { parameters: [P], result: P },
  SSL_get0_verified_chain: { parameters: [P], result: P },
  OBJ_nid2sn: { parameters: ["i32"], result: P },
  // Verification.
  X509_VERIFY_PARAM_set_hostflags: { parameters: [P, "u32"], result: "void" },
  X509_VERIFY_PARAM_set1_host: { parameters: [P, B, "usize"], result: "i32" },
  X509_VERIFY_PARAM_set1_ip: { parameters: [P, B, "usize"], result: "i32" },
  X509_STORE_new: { parameters: [], result: P },
  X509_STORE_free: { parameters: [P], result: "void" },
  X509_STORE_add_cert: { parameters: [P, P], result: "i32" },
  X509_STORE_CTX_get_error: { parameters: [P], result: "i32" },
  X509_STORE_CTX_set_error: { parameters: [P, "i32"], result: "void" },
  X509_STORE_CTX_get_error_depth: { parameters: [P], result: "i32" },
  X509_STORE_CTX_get0_cert: { parameters: [P], result: P },
  X509_STORE_CTX_get0_chain: { parameters: [P], result: P },
  X509_STORE_CTX_get0_untrusted: { parameters: [P], result: P },
  X509_verify_cert_error_string: { parameters: ["i64"], result: P },
  // Certificates and keys.
  i2d_X509_bio: { parameters: [P, P], result: "i32" },
  X509_free: { parameters: [P], result: "void" },
  X509_check_private_key: { parameters: [P, P], result: "i32" },
  PEM_read_bio_X509: { parameters: [P, P, P, B], result: P },
  PEM_read_bio_PrivateKey: { parameters: [P, P, P, B], result: P },
  EVP_PKEY_free: { parameters: [P], result: "void" },
  SHA256: { parameters: [B, "usize", B], result: P },
  OPENSSL_sk_new_null: { parameters: [], result: P },
  OPENSSL_sk_push: { parameters: [P, P], result: "i32" },
  OPENSSL_sk_num: { parameters: [P], result: "i32" },
  OPENSSL_sk_value: { parameters: [P, "i32"], result: P },
  OPENSSL_sk_free: { parameters: [P], result: "void" },
  // Memory.
  BIO_s_mem: { parameters: [], result: P },
  BIO_new: { parameters: [P], result: P },
  BIO_new_mem_buf: { parameters: [B, "i32"], result: P },
  BIO_free: { parameters: [P], result: "i32" },
  BIO_read: { parameters: [P, B, "i32"], result: "i32" },
  BIO_write: { parameters: [P, B, "i32"], result: "i32" },
  BIO_ctrl_pending: { parameters: [P], result: "i32" },
  // On a descriptor.
  BIO_new_socket: { parameters: ["i32", "i32"], result: P },
  BIO_new_bio_pair: { parameters: [B, "usize", B, "usize"], result: "i32" },
  BIO_nread: { parameters: [P, B, "i32"], result: "i32" },
  BIO_up_ref: { parameters: [P], result: "i32" },
  SSL_set0_rbio: { parameters: [P, P], result: "void" },
  SSL_set0_wbio: { parameters: [P, P], result: "void" },
  SSL_set_read_ahead: { parameters: [P, "i32"], result: "void" },
  SSL_set_default_read_buffer_len: { parameters: [P, "usize"], result: "void" },
  // Its lower half, which is not 0 if there is an error: a BigInt would be an allocation.
  ERR_peek_error: { parameters: [], result: "u32" },
  SSL_has_pending: { parameters: [P], result: "i32" },
  // Options that only OpenSSL has.
  d2i_PKCS12_bio: { parameters: [P, P], result: P },
  PKCS12_parse: { parameters: [P, B, B, B, B], result: "i32" },
  PKCS12_free: { parameters: [P], result: "void" },
  PEM_read_bio_X509_CRL: { parameters: [P, P, P, B], result: P },
  X509_CRL_free: { parameters: [P], result: "void" },
  X509_CRL_get0_lastUpdate: { parameters: [P], result: P },
  X509_CRL_get0_nextUpdate: { parameters: [P], result: P },
  X509_cmp_current_time: { parameters: [P], result: "i32" },
  ASN1_TIME_print: { parameters: [P, P], result: "i32" },
  X509_STORE_add_crl: { parameters: [P, P], result: "i32" },
  X509_STORE_set_flags: { parameters: [P, "u64"], result: "i32" },
  SSL_CTX_set_verify_depth: { parameters: [P, "i32"], result: "void" },
  SSL_group_to_name: { parameters: [P, "i32"], result: P },
  SSL_export_keying_material: { parameters: [P, B, "usize", B, "usize", B, "usize", "i32"], result: "i32" },
  SSL_get_certificate: { parameters: [P], result: P },
  X509_get_signature_info: { parameters: [P, B, P, P, P], result: "i32" },
  X509_digest: { parameters: [P, P, B, B], result: "i32" },
  EVP_get_digestbyname: { parameters: [B], result: P },
  SSL_CTX_set_keylog_callback: { parameters: [P, P], result: "void" },
  SSL_CTX_callback_ctrl: { parameters: [P, "i32", P], result: "i64" },
  SSL_get_SSL_CTX: { parameters: [P], result: P },
  SSL_set_ex_data: { parameters: [P, "i32", P], result: "i32" },
  SSL_get_ex_data: { parameters: [P, "i32"], result: P },
  SSL_is_server: { parameters: [P], result: "i32" },
  SSL_ctrl_pointer: { name: "SSL_ctrl", parameters: [P, "i32", "i64", P], result: "i32" },
  CRYPTO_malloc: { parameters: ["usize", P, "i32"], result: P },
  d2i_OCSP_RESPONSE: { parameters: [P, B, "i64"], result: P },
  OCSP_RESPONSE_free: { parameters: [P], result: "void" },
  OCSP_response_status: { parameters: [P], result: "i32" },
  OCSP_response_get1_basic: { parameters: [P], result: P },
  OCSP_BASICRESP_free: { parameters: [P], result: "void" },
  OCSP_basic_verify: { parameters: [P, P, P, "u64"], result: "i32" },
  OCSP_resp_count: { parameters: [P], result: "i32" },
  OCSP_resp_get0: { parameters: [P, "i32"], result: P },
  OCSP_SINGLERESP_get0_id: { parameters: [P], result: P },
  OCSP_single_get0_status: { parameters: [P, P, P, B, B], result: "i32" },
  OCSP_check_validity: { parameters: [P, P, "i64", "i64"], result: "i32" },
  OCSP_id_get0_info: { parameters: [P, B, P, B, P], result: "i32" },
  OCSP_cert_to_id: { parameters: [P, P, P], result: P },
  OCSP_id_cmp: { parameters: [P, P], result: "i32" },
  OCSP_CERTID_free: { parameters: [P], result: "void" },
  ASN1_INTEGER_cmp: { parameters: [P, P], result: "i32" },
  X509_get0_serialNumber: { parameters: [P], result: P },
  OBJ_obj2nid: { parameters: [P], result: "i32" },
  // The queue of errors, one for each thread.
  ERR_clear_error: { parameters: [], result: "void" },
  ERR_get_error: { parameters: [], result: "u64" },
  ERR_error_string_n: { parameters: ["u64", B, "usize"], result: "void" },
  // Sessions and tickets.
  SSL_CTX_set_num_tickets: { parameters: [P, "usize"], result: "i32" },
  SSL_CTX_set_session_ticket_cb: { parameters: [P, P, P, P], result: "i32" },
  SSL_CTX_set_tlsext_ticket_key_evp_cb: { parameters: [P, P], result: "i32" },
  SSL_CTX_sess_set_new_cb: { parameters: [P, P], result: "void" },
  SSL_get1_session: { parameters: [P], result: P },
  SSL_get_session: { parameters: [P], result: P },
  SSL_set_session: { parameters: [P, P], result: "i32" },
  SSL_set_session_id_context: { parameters: [P, B, "u32"], result: "i32" },
  SSL_SESSION_free: { parameters: [P], result: "void" },
  SSL_SESSION_is_resumable: { parameters: [P], result: "i32" },
  SSL_SESSION_get_protocol_version: { parameters: [P], result: "i32" },
  SSL_SESSION_get0_peer: { parameters: [P], result: P },
  SSL_SESSION_get0_ticket_appdata: { parameters: [P, B, B], result: "i32" },
  SSL_SESSION_set1_ticket_appdata: { parameters: [P, B, "usize"], result: "i32" },
  SSL_get_ex_data_X509_STORE_CTX_idx: { parameters: [], result: "i32" },
  X509_STORE_CTX_get_ex_data: { parameters: [P, "i32"], result: P },
  EVP_aes_256_cbc: { parameters: [], result: P },
  EVP_EncryptInit_ex: { parameters: [P, P, P, B, B], result: "i32" },
  EVP_DecryptInit_ex: { parameters: [P, P, P, B, B], result: "i32" },
  EVP_MAC_CTX_set_params: { parameters: [P, B], result: "i32" },
} as const;

/** OpenSSL. The table can be changed, so that tests can make a call fail. */
export type Libssl = { -readonly [K in keyof typeof SYMBOLS]: Symbols[K] };
type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** An address in C. */
export type Pointer = Deno.PointerObject;

/** The oldest version that is used: 3.0.0. LibreSSL says 2.0.0, whatever its own version is. */
const OLDEST = 0x30000000n;

/** Where distributions have it, by processor. The last has no folder: the dynamic linker looks for it. */
const PATHS: Record<string, readonly string[]> = {
  x86_64: [
    "/lib/x86_64-linux-gnu/libssl.so.3",
    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
    "/lib64/libssl.so.3",
    "/usr/lib64/libssl.so.3",
    "/usr/lib/libssl.so.3",
    "/lib/libssl.so.3",
    "libssl.so.3",
  ],
  aarch64: [
    "/lib/aarch64-linux-gnu/libssl.so.3",
    "/usr/lib/aarch64-linux-gnu/libssl.so.3",
    "/lib64/libssl.so.3",
    "/usr/lib64/libssl.so.3",
    "/usr/lib/libssl.so.3",
    "/lib/libssl.so.3",
    "libssl.so.3",
  ],
};

let loaded: Libssl | undefined;
/** Why it could not be opened, which does not change while a process runs. */
let failure: Error | undefined;

/**
 * Opens OpenSSL, once for each isolate.
 *
 * @throws {Deno.errors.NotSupported} If there is no OpenSSL 3.
 * @throws {Deno.errors.NotCapable} If the permission to use FFI is missing, or is limited to paths.
 */
export function openLibssl(): Libssl {
  if (loaded !== undefined) return loaded;
  if (failure !== undefined) throw failure;
  // Callbacks from C and reading what C has returned need the whole permission.
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    throw new Deno.errors.NotCapable(
      "TLS by OpenSSL needs the permission to use FFI: run again with --allow-ffi, without a path",
    );
  }
  try {
    return loaded = checkVersion(load());
  } catch (error) {
    failure = error as Error;
    throw error;
  }
}

/** Reports whether OpenSSL can be opened, without a prompt. */
export function hasLibssl(): boolean {
  try {
    openLibssl();
    return true;
  } catch {
    return false;
  }
}

function load(): Libssl {
  const paths = Deno.build.os === "linux" ? PATHS[Deno.build.arch] ?? [] : [];
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return { ...Deno.dlopen(path, SYMBOLS).symbols };
    } catch (error) {
      failures.push(`${path}: ${(error as Error).message}`);
    }
  }
  const { os, arch } = Deno.build;
  const why = paths.length === 0 ? `this is ${os} on ${arch}, not Linux on x86-64 or arm64` : failures.join("; ");
  throw new Deno.errors.NotSupported(`TLS by OpenSSL needs libssl.so.3 of OpenSSL 3: ${why}`);
}

/** Refuses what has the name of OpenSSL 3, and is something else. */
export function checkVersion(ssl: Libssl): Libssl {
  const version = ssl.OpenSSL_version_num();
  if (version >= OLDEST) return ssl;
  const text = textOf(ssl.OpenSSL_version(0));
  throw new Deno.errors.NotSupported(`TLS by OpenSSL needs OpenSSL 3.0 or newer, and this is ${text}`);
}

/** Returns a string of C. */
export function textOf(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** Encodes a string of C. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
