/** Version 1 of the PROXY protocol: a line of text. */
import { formatIp, parseIp } from "../ip_address.ts";
import type { ProxyHeader } from "../transports/proxy_header.ts";
import { ProxyHeaderError } from "./proxy_header_error.ts";

/** The longest line, with its CRLF. */
const MAX_LINE = 107;
/** A beginning, the length of the shortest line with it, the length of its shortest address, and the characters of one. */
interface Kind {
  start: string;
  shortest: number;
  address: number;
  chars: RegExp;
}
const UNKNOWN: Kind = { start: "PROXY UNKNOWN", shortest: "PROXY UNKNOWN\r\n".length, address: 0, chars: /^/ };
const TCP6: Kind = {
  start: "PROXY TCP6 ",
  shortest: "PROXY TCP6 :: :: 1 1\r\n".length,
  address: "::".length,
  chars: /^[\da-f:.]*$/i,
};
const TCP4: Kind = {
  start: "PROXY TCP4 ",
  shortest: "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".length,
  address: "1.1.1.1".length,
  chars: /^[\d.]*$/,
};
/** The shortest lines first: several can begin alike. */
const KINDS = [UNKNOWN, TCP6, TCP4];

/**
 * Returns the length of the shortest line that begins with these bytes, CRLF included: the exact length as soon as the CRLF is
 * there. So a reader never takes a byte from behind the line.
 *
 * @throws {ProxyHeaderError} If no line begins so.
 */
export function shortestLine(bytes: Uint8Array): number {
  // Byte by byte, because longer input can follow the line.
  const text = String.fromCharCode(...bytes.subarray(0, MAX_LINE));
  const kind = KINDS.find(({ start }) => start.startsWith(text) || text.startsWith(start));
  if (kind === undefined) throw malformed("it does not begin with PROXY TCP4, PROXY TCP6 or PROXY UNKNOWN");
  const end = text.indexOf("\r\n");
  if (end !== -1) return end + 2;
  if (text.length === MAX_LINE) throw malformed(`no CRLF in the first ${MAX_LINE} bytes`);
  const { start, shortest } = kind;
  if (text.length <= start.length) return shortest;
  if (kind === UNKNOWN) {
    if (!/^[ \r]/.test(text.slice(start.length))) throw malformed("its family is not TCP4, TCP6 or UNKNOWN");
    return text.length + (text.endsWith("\r") ? 1 : 2);
  }
  return text.length + shortestRest(text.slice(start.length), kind);
}

/** Returns the length of the shortest text that completes the addresses and ports. */
function shortestRest(text: string, kind: Kind): number {
  const { address, chars } = kind;
  const fields = text.split(" ");
  if (fields.length > 4) throw malformed("it has more than two addresses and two ports");
  let last = fields.at(-1)!;
  const hasCr = fields.length === 4 && last.endsWith("\r");
  if (hasCr) fields[3] = last = last.slice(0, -1);
  fields.forEach((field, i) => {
    if (!(i < 2 ? chars : /^\d{0,5}$/).test(field)) throw malformed(`${JSON.stringify(field)} is no ${nameOf(i)}`);
  });
  const isAddress = fields.length <= 2;
  const shortest = isAddress ? address : 1;
  let rest = Math.max(0, shortest - last.length);
  if (isAddress && kind === TCP4) {
    // Each number that is missing has a dot and a digit.
    const numbers = last.split(".");
    rest = 2 * (4 - numbers.length) + (numbers.at(-1) === "" ? 1 : 0);
    if (numbers.length > 4) throw malformed(`${JSON.stringify(last)} is no address`);
  }
  for (let i = fields.length; i < 4; i++) rest += 1 + (i < 2 ? address : 1);
  return rest + (hasCr ? 1 : 2);
}

function nameOf(field: number): string {
  return field < 2 ? "address" : "port";
}

/** Parses a whole line, with its CRLF. */
export function parseLine(bytes: Uint8Array): ProxyHeader {
  const line = String.fromCharCode(...bytes.subarray(0, -2));
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) {
    return { version: 1, command: "proxy", source: null, destination: null, tlvs: [] };
  }
  const [, family, ...fields] = /^PROXY TCP([46]) (\S+) (\S+) (\S+) (\S+)$/.exec(line) ?? [];
  if (family === undefined) {
    throw malformed("it is not PROXY, a family, two addresses and two ports, each after one space");
  }
  const [source, destination, sourcePort, destinationPort] = fields as [string, string, string, string];
  return {
    version: 1,
    command: "proxy",
    source: parseAddress(family, source, sourcePort),
    destination: parseAddress(family, destination, destinationPort),
    tlvs: [],
  };
}

function parseAddress(family: string, address: string, port: string): Deno.NetAddr {
  const ip = parseIp(address);
  if (ip?.length !== (family === "4" ? 4 : 16)) {
    throw malformed(`${JSON.stringify(address)} is no IPv${family} address`);
  }
  if (!/^(0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65535) throw malformed(`${JSON.stringify(port)} is no port`);
  return { transport: "tcp", hostname: formatIp(ip), port: Number(port) };
}

/** Encodes a line. The addresses have one family; `null` for an unknown one. */
export function encodeLine(ends: { source: Uint8Array; destination: Uint8Array; ports: [number, number] } | null) {
  if (ends === null) return new TextEncoder().encode("PROXY UNKNOWN\r\n");
  const { source, destination, ports } = ends;
  const family = source.length === 4 ? "TCP4" : "TCP6";
  return new TextEncoder().encode(
    `PROXY ${family} ${formatIp(source)} ${formatIp(destination)} ${ports.join(" ")}\r\n`,
  );
}

function malformed(why: string): ProxyHeaderError {
  return new ProxyHeaderError(`the PROXY header of version 1 is malformed: ${why}`);
}
