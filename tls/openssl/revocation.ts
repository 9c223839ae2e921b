/** Certificate revocation lists in OpenSSL's memory. */
import { type Handles, made } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";

const NO_PASSWORD = new Uint8Array(1);

/** Parses the option `crl`. Throws a `TypeError` for a list that cannot be parsed or is not valid now. */
export function parseCrls(lib: Libssl, handles: Handles, texts: readonly string[]): Pointer[] {
  return texts.flatMap((text, i) => {
    const blocks = text.match(/-----BEGIN X509 CRL-----[^]*?-----END X509 CRL-----/g);
    if (blocks === null) throw new TypeError(`crl[${i}] must be a PEM X509 CRL, got text that has none`);
    return blocks.map((block) => {
      const crl = readCrl(lib, block);
      if (crl === null) throw new TypeError(`crl[${i}] must be a PEM X509 CRL, got one that cannot be parsed`);
      handles.own(crl, (pointer) => lib.X509_CRL_free(pointer));
      checkDates(lib, crl, `crl[${i}]`);
      return crl;
    });
  });
}

function readCrl(lib: Libssl, block: string): Deno.PointerValue {
  const bytes = new TextEncoder().encode(block);
  const bio = made(lib.BIO_new_mem_buf(bytes, bytes.length));
  try {
    return lib.PEM_read_bio_X509_CRL(bio, null, null, NO_PASSWORD);
  } finally {
    lib.BIO_free(bio);
    lib.ERR_clear_error();
  }
}

function checkDates(lib: Libssl, crl: Pointer, name: string): void {
  const from = lib.X509_CRL_get0_lastUpdate(crl);
  const until = lib.X509_CRL_get0_nextUpdate(crl);
  // Both functions of X509 say 0 for a time that cannot be read: then OpenSSL would reject every peer.
  if (from === null || lib.X509_cmp_current_time(from) >= 0) {
    throw new TypeError(`${name} must be a list that is valid now, got one of ${spellTime(lib, from)}`);
  }
  if (until !== null && lib.X509_cmp_current_time(until) <= 0) {
    throw new TypeError(`${name} must be a list that is valid now, got one that expired on ${spellTime(lib, until)}`);
  }
}

/** Spells an `ASN1_TIME`: `Jun  1 00:00:00 2026 GMT`. */
export function spellTime(lib: Libssl, time: Deno.PointerValue): string {
  if (time === null) return "no date";
  const bio = made(lib.BIO_new(lib.BIO_s_mem()));
  try {
    lib.ASN1_TIME_print(bio, time);
    const text = new Uint8Array(64);
    const count = lib.BIO_read(bio, text, text.length);
    return new TextDecoder().decode(text.subarray(0, Math.max(0, count)));
  } finally {
    lib.BIO_free(bio);
    lib.ERR_clear_error();
  }
}
