/**
 * Compares the names of a certificate with the server's: RFC 9525, 6.
 *
 * `tls.checkServerIdentity` is not used: it joins the names by commas, which a name may contain (CVE-2021-44532), and
 * accepts partial wildcards.
 */
import { type Certificate, DNS_NAME, IP_ADDRESS, latin1 } from "./certificate.ts";

/** A label: letters, digits, underscores, and hyphens except at the ends. */
const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
/** Labels. The first may be a wildcard, the last is not a number: RFC 9525, 6.3 and 2. */
const PRESENTED_NAME = new RegExp(`^(?:\\*\\.)?(?:${LABEL}\\.)*(?!\\d+$)${LABEL}$`);
/** The longest name as text, in bytes, without the final dot: RFC 1035, 2.3.4. */
const MAX_NAME = 253;

/** Reports whether a certificate is for a server. The common name of the subject is ignored (RFC 9525, 2). */
export function isForServer(certificate: Certificate, hostname: string): boolean {
  const address = parseAddress(hostname);
  if (address !== null) {
    return certificate.names.some(({ kind, value }) => {
      return kind === IP_ADDRESS && value.length === address.length && value.every((byte, i) => byte === address[i]);
    });
  }
  const name = hostname.replace(/\.$/, "").toLowerCase();
  return certificate.names.some(({ kind, value }) => kind === DNS_NAME && matches(latin1(value).toLowerCase(), name));
}

/** Parses an address. Returns the 4 or 16 bytes of an address; `null` for a name. */
export function parseAddress(hostname: string): Uint8Array | null {
  const bare = hostname.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  if (bare.includes(":")) return parseIpv6(bare);
  const parts = bare.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | null {
  let canonical: string;
  try {
    canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
  } catch {
    return null;
  }
  const [head, tail] = canonical.split("::") as [string, string?];
  const groups = (part: string | undefined) => part ? part.split(":").map((group) => parseInt(group, 16)) : [];
  const first = groups(head);
  const last = groups(tail);
  const zeros: number[] = new Array(8 - first.length - last.length).fill(0);
  return Uint8Array.from([...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 255]));
}

function matches(presented: string, name: string): boolean {
  if (presented.length > MAX_NAME || !PRESENTED_NAME.test(presented)) return false;
  if (!presented.startsWith("*.")) return presented === name;
  // A wildcard is the whole first label, and matches one label: RFC 9525, 6.3. Two more must follow: *.com is rejected.
  const rest = presented.slice(1);
  const label = name.slice(0, name.length - rest.length);
  return rest.indexOf(".", 1) > 0 && name.endsWith(rest) && /^[a-z0-9-]+$/.test(label);
}
