/**
 * Checks of options: an unknown option is an error.
 *
 * @module
 */
import { describe } from "./errors.ts";
import { isPromise } from "./promises.ts";

/**
 * The names that other libraries have for options, as `simplify()` spells them, and Tandem's names. The first name that
 * the call knows is suggested. asyncio's snake_case needs no entry.
 */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  // asyncio, and Python's ssl and subprocess.
  ssl: ["tls"],
  sslcontext: ["context", "tls"],
  sslhandshaketimeout: ["handshakeTimeout"],
  sslshutdowntimeout: ["shutdownTimeout"],
  sock: ["conn", "listener"],
  cafile: ["caCerts"],
  cadata: ["caCerts"],
  certfile: ["cert"],
  certchain: ["cert"],
  keyfile: ["key"],
  verifymode: ["requestCert", "rejectUnauthorized"],
  checkhostname: ["rejectUnauthorized"],
  minimumversion: ["minVersion"],
  maximumversion: ["maxVersion"],
  snicallback: ["sni"],
  password: ["passphrase"],
  keylogfilename: ["keylog"],
  verifyflags: ["crl"],
  argv: ["args"],
  // Node.
  host: ["hostname", "localAddr"],
  address: ["hostname", "localAddr"],
  servername: ["serverHostname"],
  localaddress: ["localAddr"],
  remoteaddress: ["remoteAddr"],
  nodelay: ["noDelay"],
  socket: ["conn"],
  handle: ["conn", "listener"],
  ca: ["caCerts"],
  requestclientcert: ["requestCert"],
  alpn: ["alpnProtocols"],
  secureprotocol: ["minVersion"],
  securecontext: ["context"],
  ciphersuites: ["ciphers"],
  ecdhcurve: ["groups"],
  curves: ["groups"],
  sigalgs: ["signatureAlgorithms"],
  p12: ["pfx"],
  pkcs12: ["pfx"],
  tcpbacklog: ["backlog"],
  reuseaddr: ["reuseAddress"],
  arguments: ["args"],
  environment: ["env"],
  workingdirectory: ["cwd"],
  abortsignal: ["signal"],
  highwatermark: ["high"],
  lowwatermark: ["low"],
  start: ["offset"],
  length: ["count"],
  // Deno.
  hostname: ["localAddr", "serverHostname"],
  port: ["localAddr"],
  addr: ["localAddr"],
};

/** The rules of {@linkcode checkOptions}. */
export interface OptionRules {
  /** The prefix of options in a message, such as `"tls."`. */
  prefix?: string;
  /** The name of the whole object in a message; `"options"` by default. */
  name?: string;
  /** Options that belong elsewhere, with the suggestion for each: `{ cert: "tls.cert" }`. */
  foreign?: Readonly<Record<string, string>>;
  /** Properties that are ignored and not suggested, because an object of Deno has them. */
  tolerated?: readonly string[];
}

/**
 * Throws unless `options` is an object that has only `known` options. The message names the nearest known option, or all
 * options if none is near. Enumerable properties are checked, inherited ones and those that are `undefined` included, but
 * not symbols. Values are not read.
 */
export function checkOptions(
  method: string,
  options: unknown,
  known: ReadonlySet<string>,
  rules: OptionRules = {},
): asserts options is object {
  const { prefix = "", name: recordName = "options" } = rules;
  if (!isRecord(options)) {
    throw new TypeError(`${method}: ${recordName} must be a plain object, got ${describe(options)}`);
  }
  for (const name in options) {
    if (known.has(name) || rules.tolerated?.includes(name)) continue;
    // A property that the program has added to all objects is not an option.
    if (!Object.hasOwn(options, name) && name in Object.prototype) continue;
    const shown = /^[\w$-]+$/.test(name) ? prefix + name : prefix + JSON.stringify(name);
    throw new TypeError(`${method}: ${shown} is not an option; ${suggest(name, known, rules)}`);
  }
}

/** Reports whether a value can be an object of options. Arrays, promises and signals would pass for one without options. */
function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isPromise(value) &&
    !(value instanceof AbortSignal);
}

/** Names the option that was probably meant, or all options. */
function suggest(name: string, known: ReadonlySet<string>, { prefix = "", foreign = {} }: OptionRules): string {
  // The simplified name of each option, and the name to show.
  const shown = new Map(Object.entries(foreign).map(([name, meant]) => [simplify(name), meant]));
  for (const name of known) shown.set(simplify(name), prefix + name);
  const meant = nearest(simplify(name), shown);
  if (meant !== undefined) return `did you mean ${meant}?`;
  const names = [...known].map((name) => prefix + name);
  return names.length === 1 ? `the only option is ${names[0]}` : `the options are ${names.join(", ")}`;
}

/** Returns the name to show for the option that was probably meant. */
function nearest(name: string, shown: ReadonlyMap<string, string>): string | undefined {
  if (shown.has(name)) return shown.get(name);
  const translations = Object.hasOwn(FOREIGN, name) ? FOREIGN[name]! : [];
  const translation = translations.map(simplify).find((candidate) => shown.has(candidate));
  if (translation !== undefined) return shown.get(translation);
  let best: string | undefined;
  // At most a third of the letters may differ, and one letter of a short name.
  let least = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of shown.keys()) {
    const distance = editDistance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    best = shown.get(candidate);
  }
  return best;
}

/** Returns a name in lower case without underscores and hyphens: `"closetimeout"` for `closeTimeout` and `close_timeout`. */
export function simplify(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

/** Returns the number of single-letter edits between two words. Swapping two neighbours is one edit. */
export function editDistance(a: string, b: string): number {
  // A much longer name is not a misspelling, and would need a large table.
  if (Math.abs(a.length - b.length) > 40) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}

/** Returns the names of the options of an interface. The types require exactly the interface's keys. */
export function namesOf<O extends object>(names: { [K in keyof O]-?: true }): ReadonlySet<string> {
  return new Set(Object.keys(names));
}
