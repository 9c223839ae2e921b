/**
 * Checks of option records: an option that is not known is an error, never ignored.
 *
 * @module
 */
import { describe } from "./errors.ts";
import { isPromise } from "./promises.ts";

/**
 * What other libraries call an option, and what it is called here; the first one that the call knows is suggested. The
 * keys are in the form that `simplify()` gives. asyncio's spelling in snake_case needs no entry.
 */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  // asyncio, and Python's ssl and subprocess.
  ssl: ["tls"],
  sslcontext: ["context", "tls"],
  sslhandshaketimeout: ["handshakeTimeout"],
  sslshutdowntimeout: ["shutdownTimeout"],
  sock: ["conn", "listener"],
  happyeyeballsdelay: ["autoSelectFamilyAttemptDelay"],
  interleave: ["autoSelectFamily"],
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

/** How {@linkcode checkOptions} reads and reports options. */
export interface OptionRules {
  /**
   * What stands before each option in a message, such as `"tls."`.
   *
   * @default {""}
   */
  prefix?: string;
  /**
   * What the whole record is called in a message.
   *
   * @default {"options"}
   */
  name?: string;
  /**
   * Options that belong elsewhere, with what to suggest for each: `{ cert: "tls.cert" }`.
   *
   * @default {{}}
   */
  foreign?: Readonly<Record<string, string>>;
  /**
   * Properties that are let through and not suggested, because an object of Deno's has them.
   *
   * @default {[]}
   */
  tolerated?: readonly string[];
}

/**
 * Throws unless options are an object that has only known options.
 *
 * An option counts if it is enumerable, also if it is inherited or `undefined`. Keys that are symbols do not count.
 * Values are not read.
 *
 * @param method The method that was called, as in `"createServer()"`.
 * @param options The argument.
 * @param known The names of the options that the method has.
 * @param rules How to read and report them.
 * @throws {TypeError} If `options` is not an object, or has an option that is not in `known`. The message names the
 * nearest known option, or all if none is near.
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
    // What a program has added to all objects is none of its options.
    if (!Object.hasOwn(options, name) && name in Object.prototype) continue;
    const shown = /^[\w$-]+$/.test(name) ? prefix + name : prefix + JSON.stringify(name);
    throw new TypeError(`${method}: ${shown} is not an option; ${suggest(name, known, rules)}`);
  }
}

/** Reports whether a value can be a record of options; some objects would pass for one without any. */
function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isPromise(value) &&
    !(value instanceof AbortSignal);
}

/** Says which option was meant, or which there are. */
function suggest(name: string, known: ReadonlySet<string>, { prefix = "", foreign = {} }: OptionRules): string {
  // Each name in its simple form, with what is shown for it.
  const shown = new Map(Object.entries(foreign).map(([name, meant]) => [simplify(name), meant]));
  for (const name of known) shown.set(simplify(name), prefix + name);
  const meant = nearest(simplify(name), shown);
  if (meant !== undefined) return `did you mean ${meant}?`;
  const names = [...known].map((name) => prefix + name);
  return names.length === 1 ? `the only option is ${names[0]}` : `the options are ${names.join(", ")}`;
}

/** What is shown for the option that was probably meant, if one was. */
function nearest(name: string, shown: ReadonlyMap<string, string>): string | undefined {
  if (shown.has(name)) return shown.get(name);
  const translations = Object.hasOwn(FOREIGN, name) ? FOREIGN[name]! : [];
  const translation = translations.map(simplify).find((candidate) => shown.has(candidate));
  if (translation !== undefined) return shown.get(translation);
  let best: string | undefined;
  // A third of the letters may be wrong, and one of a short name.
  let least = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of shown.keys()) {
    const distance = editDistance(name, candidate);
    if (distance >= least) continue;
    least = distance;
    best = shown.get(candidate);
  }
  return best;
}

/**
 * Spells a name without case, underscores and hyphens.
 *
 * @param name The name.
 * @returns For example `"closetimeout"`, for `closeTimeout`, `close_timeout` and `CloseTimeout` alike.
 */
export function simplify(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

/**
 * Counts the single-letter edits between two words; two neighbours that have changed places are one edit.
 *
 * @param a A word.
 * @param b Another word.
 * @returns The number of edits.
 */
export function editDistance(a: string, b: string): number {
  // A long key is no misspelling, and would fill a large table.
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

/**
 * Returns the names of an interface's options. A name too many or too few is an error of the types.
 *
 * @typeParam O The interface.
 * @param names Each of its options, as a key.
 * @returns The names.
 */
export function namesOf<O extends object>(names: { [K in keyof O]-?: true }): ReadonlySet<string> {
  return new Set(Object.keys(names));
}
