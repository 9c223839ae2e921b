import type { TlsSide } from "../../transports/tls_provider.ts";
import { parseAddress } from "../server_name.ts";
import { TlsError } from "../tls_error.ts";
import * as c from "./constants.ts";
import { made } from "./credentials.ts";
import { cString, type Libssl, type Pointer } from "./libssl.ts";

/** Sets the name that a client sends, and the name or address that OpenSSL verifies. */
export function setServerName(lib: Libssl, ssl: Pointer, side: TlsSide): void {
  const { serverHostname, settings: { rejectUnauthorized = true } } = side;
  if (serverHostname === "") return;
  const address = parseAddress(serverHostname);
  // It is sent without a final dot: RFC 6066, 3.
  const text = serverHostname.replace(/\.$/, "").toLowerCase();
  const name = new TextEncoder().encode(text);
  let done = true;
  if (address === null) done = lib.SSL_ctrl(ssl, c.SSL_CTRL_SET_TLSEXT_HOSTNAME, 0n, cString(text)) === 1;
  if (done && rejectUnauthorized) {
    const param = made(lib.SSL_get0_param(ssl));
    const flags = c.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | c.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
    lib.X509_VERIFY_PARAM_set_hostflags(param, flags);
    done = (address === null
      ? lib.X509_VERIFY_PARAM_set1_host(param, name, BigInt(name.length))
      : lib.X509_VERIFY_PARAM_set1_ip(param, address, BigInt(address.length))) === 1;
  }
  if (!done) throw new TlsError("FAILED", `TLS: OpenSSL cannot verify the name ${serverHostname}`);
}
