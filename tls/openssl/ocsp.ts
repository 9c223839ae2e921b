/** OCSP responses (RFC 6960) that servers staple. */
import { TlsError } from "../tls_error.ts";
import { made } from "./credentials.ts";
import { cString, type Libssl, type Pointer, textOf } from "./libssl.ts";
import { takeError } from "./openssl_error.ts";
import { spellTime } from "./revocation.ts";

/** ocsp.h. */
const SUCCESSFUL = 0;
const GOOD = 0;
const REVOKED = 1;
/** Certificates that are passed are trusted: the issuer may sign responses itself. */
const OCSP_TRUSTOTHER = 0x200n;
const X509_V_FLAG_PARTIAL_CHAIN = 0x80000n;
/** How much the clocks may differ, in seconds. */
const LEEWAY = 300n;
const ANY_AGE = -1n;
/** How old a response without a nextUpdate may be, in seconds. Without a limit, one of a time before the revocation would do. */
const DAY = 24 * 3600;

/** What a response says of a certificate. */
interface Status {
  status: number;
  isCurrent: boolean;
  thisUpdate: Deno.PointerValue;
  nextUpdate: Deno.PointerValue;
}

/** Parses the option `ocspResponse`. Returns a function that returns the bytes, `null` once they have expired. */
export function parseStaple(lib: Libssl, der: Uint8Array, cert: Pointer): () => Uint8Array | null {
  const response = der.slice();
  const until = withResponse(lib, response, (basic) => {
    if (basic === null) throw new TypeError("ocspResponse must be a successful OCSP response (DER), got other bytes");
    const found = findStatus(lib, basic, cert, null);
    if (found === null) throw new TypeError("ocspResponse must be about cert, got one about another certificate");
    if (!found.isCurrent) {
      const until = found.nextUpdate === null ? "" : ` until ${spellTime(lib, found.nextUpdate)}`;
      const dates = `${spellTime(lib, found.thisUpdate)}${until}`;
      throw new TypeError(`ocspResponse must be valid now, got one that is valid from ${dates}`);
    }
    const { thisUpdate, nextUpdate } = found;
    const after = nextUpdate === null ? 1000 * DAY : 0;
    return Date.parse(spellTime(lib, nextUpdate ?? thisUpdate)) + after;
  });
  return () => Date.now() < until ? response : null;
}

/**
 * Decides about the response of a server. Returns why the server is rejected, or `null`.
 *
 * @param response The response; `null` if the server has sent none.
 * @param isRequired Whether there must be one.
 */
export function checkStaple(
  lib: Libssl,
  ssl: Pointer,
  response: Uint8Array | null,
  isRequired: boolean,
): TlsError | null {
  const none = isRequired ? reject("the server has sent no OCSP response, and requestOcsp requires one") : null;
  if (response === null) return none;
  const chain = lib.SSL_get0_verified_chain(ssl);
  const count = chain === null ? 0 : lib.OPENSSL_sk_num(chain);
  const [cert, issuer] = [
    count > 0 ? lib.OPENSSL_sk_value(chain, 0) : null,
    count > 1 ? lib.OPENSSL_sk_value(chain, 1) : null,
  ];
  if (cert === null || issuer === null) return reject("the OCSP response cannot be verified without the issuer");
  try {
    return withResponse(lib, response, (basic) => {
      if (basic === null) return none;
      if (!isSignedFor(lib, basic, issuer)) {
        return reject(`the OCSP response is not signed for the issuer (${takeError(lib)?.text ?? "no reason"})`);
      }
      const found = findStatus(lib, basic, cert, issuer);
      if (found === null) return reject("the OCSP response is about another certificate");
      if (!found.isCurrent) return reject("the OCSP response has expired or is not valid yet");
      if (found.status === GOOD) return null;
      return reject(
        found.status === REVOKED ? "it was revoked, by its OCSP response" : "the OCSP response does not know it",
      );
    });
  } catch (cause) {
    return reject("the OCSP response cannot be parsed", cause);
  }
}

function reject(why: string, cause?: unknown): TlsError {
  return new TlsError("BAD_CERTIFICATE", `TLS: the certificate is rejected: ${why}`, { cause });
}

/** Parses a response; `null` stands for one that only says that the responder has none. Throws if it cannot be parsed. */
function withResponse<T>(lib: Libssl, der: Uint8Array, use: (basic: Pointer | null) => T): T {
  lib.ERR_clear_error();
  const at = new BigUint64Array([Deno.UnsafePointer.value(Deno.UnsafePointer.of(der as Uint8Array<ArrayBuffer>))]);
  const response = lib.d2i_OCSP_RESPONSE(null, at, BigInt(der.length));
  let basic: Deno.PointerValue = null;
  try {
    if (response === null) {
      throw new TypeError("ocspResponse must be an OCSP response (DER), got bytes that cannot be parsed");
    }
    if (lib.OCSP_response_status(response) === SUCCESSFUL) basic = made(lib.OCSP_response_get1_basic(response));
    return use(basic);
  } finally {
    if (basic !== null) lib.OCSP_BASICRESP_free(basic);
    if (response !== null) lib.OCSP_RESPONSE_free(response);
    lib.ERR_clear_error();
  }
}

/** Reports whether the issuer of the certificate has signed a response, or a responder that the issuer has authorized. */
function isSignedFor(lib: Libssl, basic: Pointer, issuer: Pointer): boolean {
  const certs = made(lib.OPENSSL_sk_new_null());
  const store = lib.X509_STORE_new();
  try {
    // Nothing else is trusted, not even other CAs that the connection trusts.
    if (store === null || lib.X509_STORE_add_cert(store, issuer) !== 1) return false;
    lib.X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (lib.OPENSSL_sk_push(certs, issuer) <= 0) return false;
    return lib.OCSP_basic_verify(basic, certs, store, OCSP_TRUSTOTHER) === 1;
  } finally {
    if (store !== null) lib.X509_STORE_free(store);
    lib.OPENSSL_sk_free(certs);
  }
}

/** Finds what a response says of a certificate. Without its issuer, the serial number decides. */
function findStatus(lib: Libssl, basic: Pointer, cert: Pointer, issuer: Pointer | null): Status | null {
  const count = Math.max(0, lib.OCSP_resp_count(basic));
  for (let i = 0; i < count; i++) {
    const single = lib.OCSP_resp_get0(basic, i)!;
    if (!isAbout(lib, lib.OCSP_SINGLERESP_get0_id(single)!, cert, issuer)) continue;
    const [from, until] = [new BigUint64Array(1), new BigUint64Array(1)];
    const status = lib.OCSP_single_get0_status(single, null, null, from, until);
    const [thisUpdate, nextUpdate] = [Deno.UnsafePointer.create(from[0]!), Deno.UnsafePointer.create(until[0]!)];
    const age = nextUpdate === null ? BigInt(DAY) : ANY_AGE;
    const isCurrent = lib.OCSP_check_validity(thisUpdate, nextUpdate, LEEWAY, age) === 1;
    return { status, isCurrent, thisUpdate, nextUpdate };
  }
  return null;
}

function isAbout(lib: Libssl, id: Pointer, cert: Pointer, issuer: Pointer | null): boolean {
  const [algorithm, serial] = [new BigUint64Array(1), new BigUint64Array(1)];
  if (lib.OCSP_id_get0_info(null, algorithm, null, serial, id) !== 1) return false;
  const number = Deno.UnsafePointer.create(serial[0]!);
  if (lib.ASN1_INTEGER_cmp(number, lib.X509_get0_serialNumber(cert)) !== 0) return false;
  if (issuer === null) return true;
  const nid = lib.OBJ_obj2nid(Deno.UnsafePointer.create(algorithm[0]!));
  const digest = lib.EVP_get_digestbyname(cString(textOf(lib.OBJ_nid2sn(nid))));
  const own = digest === null ? null : lib.OCSP_cert_to_id(digest, cert, issuer);
  if (own === null) return false;
  const isSame = lib.OCSP_id_cmp(own, id) === 0;
  lib.OCSP_CERTID_free(own);
  return isSame;
}
