import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkInteger, checkString } from "../checks.ts";
import { describe } from "../errors.ts";

/** Delays bytes. */
export interface Latency {
  /** The delay, in milliseconds. */
  latency: number;
  /**
   * Each delay differs from `latency` by up to so many milliseconds. Bytes of a stream keep their order.
   *
   * @default {0}
   */
  jitter?: number | undefined;
}

/**
 * The faults of one direction of streams. The names are toxiproxy's. Times are in milliseconds, and sizes in bytes.
 *
 * A connection of which the network closes both directions, by `timeout` or `limitData`, ends for both sides, and further
 * writes fail with `BrokenPipe`.
 */
export interface StreamFaults {
  /** Delays everything. A connection attempt takes the latencies of both directions. */
  latency?: Latency | undefined;
  /** Limits the rate, in bytes per second. */
  bandwidth?: { rate: number } | undefined;
  /**
   * Delivers bytes in pieces of `averageSize`, give or take `sizeVariation`, with a pause of `delay` after each. Each piece is
   * a `dataReceived` of its own: `{ averageSize: 1 }` delivers single bytes.
   */
  slicer?: { averageSize: number; sizeVariation?: number | undefined; delay?: number | undefined } | undefined;
  /**
   * Lets nothing through, the end of the stream included, and closes the connection after `timeout`. With 0 it does not, and
   * what has waited arrives when the fault is removed.
   */
  timeout?: { timeout: number } | undefined;
  /** Resets the connection, for both sides, after `timeout`. */
  resetPeer?: { timeout: number } | undefined;
  /** Closes the connection after so many bytes. */
  limitData?: { bytes: number } | undefined;
  /** Delays the end of the stream. */
  slowClose?: { delay: number } | undefined;
  /** Ends this direction after `delay`, and drops what is written later. The other one stays open. */
  halfClose?: { delay: number } | undefined;
  /**
   * The receiver does not read: once 64 KiB wait, the writes of the sender wait, too.
   *
   * @default {false}
   */
  neverReads?: boolean | undefined;
}

/** The faults of datagrams. */
export interface DatagramFaults {
  /**
   * The probability that a datagram is lost, from 0 to 1.
   *
   * @default {0}
   */
  loss?: number | undefined;
  /**
   * The probability that a datagram arrives twice.
   *
   * @default {0}
   */
  duplication?: number | undefined;
  /**
   * The probability that a datagram arrives after the next one to the same receiver, or 100 ms late if there is none.
   *
   * @default {0}
   */
  reordering?: number | undefined;
  /** Delays datagrams. Jitter can change their order. */
  latency?: Latency | undefined;
}

/** The servers or receivers that faults apply to: by default, all. */
export interface FaultTarget {
  /** A host name or an address. */
  hostname?: string | undefined;
  /** A port. */
  port?: number | undefined;
  /** The path of a Unix socket. */
  path?: string | undefined;
}

/** What {@linkcode MemoryEngine.inject} takes. */
export interface FaultOptions {
  /** The server, or the receiver of datagrams. */
  to?: FaultTarget | undefined;
  /** From clients to servers. */
  upstream?: StreamFaults | undefined;
  /** From servers to clients. */
  downstream?: StreamFaults | undefined;
  /** Of datagrams. */
  datagrams?: DatagramFaults | undefined;
  /**
   * Refuse connections with `ConnectionRefused`, as if no server listened.
   *
   * @default {false}
   */
  refuses?: boolean | undefined;
}

const FAULT_OPTIONS = namesOf<FaultOptions>({
  to: true,
  upstream: true,
  downstream: true,
  datagrams: true,
  refuses: true,
});
const TARGET = namesOf<FaultTarget>({ hostname: true, port: true, path: true });
const STREAM_FAULTS = namesOf<StreamFaults>({
  latency: true,
  bandwidth: true,
  slicer: true,
  timeout: true,
  resetPeer: true,
  limitData: true,
  slowClose: true,
  halfClose: true,
  neverReads: true,
});
const DATAGRAM_FAULTS = namesOf<DatagramFaults>({ loss: true, duplication: true, reordering: true, latency: true });

/** The fields of each fault, and whether they are required. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
  latency: { latency: true, jitter: false },
  bandwidth: { rate: true },
  slicer: { averageSize: true, sizeVariation: false, delay: false },
  timeout: { timeout: true },
  resetPeer: { timeout: true },
  limitData: { bytes: true },
  slowClose: { delay: true },
  halfClose: { delay: true },
};

/** Throws unless faults are well formed. */
export function checkFaults(method: string, options: FaultOptions): void {
  checkOptions(method, options, FAULT_OPTIONS);
  const { to, upstream, downstream, datagrams } = options;
  checkBoolean(method, "refuses", options.refuses);
  if (to !== undefined) checkTarget(method, to);
  for (const [name, faults] of Object.entries({ upstream, downstream })) {
    if (faults === undefined) continue;
    checkOptions(method, faults, STREAM_FAULTS, { prefix: `${name}.`, name });
    checkBoolean(method, `${name}.neverReads`, faults.neverReads);
    checkFields(method, name, faults);
    const { slicer, limitData } = faults;
    if (slicer !== undefined) checkInteger(method, `${name}.slicer.averageSize`, slicer.averageSize, 1, 2 ** 31 - 1);
    if (limitData !== undefined) {
      checkInteger(method, `${name}.limitData.bytes`, limitData.bytes, 0, undefined, "bytes");
    }
  }
  if (datagrams === undefined) return;
  checkOptions(method, datagrams, DATAGRAM_FAULTS, { prefix: "datagrams.", name: "datagrams" });
  checkFields(method, "datagrams", datagrams);
  for (const name of ["loss", "duplication", "reordering"] as const) {
    const value = datagrams[name];
    if (value === undefined || typeof value === "number" && value >= 0 && value <= 1) continue;
    throw wrongNumber(method, `datagrams.${name}`, "a probability from 0 to 1", value);
  }
}

/** A target that no server can have would make a test pass without the fault. */
function checkTarget(method: string, to: FaultTarget): void {
  checkOptions(method, to, TARGET, { prefix: "to.", name: "to" });
  const { hostname, port, path } = to;
  if (hostname !== undefined) checkString(method, "to.hostname", hostname);
  if (port !== undefined) checkInteger(method, "to.port", port, 1, 65535);
  if (path !== undefined) checkString(method, "to.path", path);
}

function checkFields(method: string, direction: string, faults: StreamFaults | DatagramFaults): void {
  for (const [name, fields] of Object.entries(FIELDS)) {
    const fault = (faults as Record<string, unknown>)[name];
    if (fault === undefined) continue;
    checkOptions(method, fault, new Set(Object.keys(fields)), {
      prefix: `${direction}.${name}.`,
      name: `${direction}.${name}`,
    });
    for (const [field, required] of Object.entries(fields)) {
      const value = (fault as Record<string, unknown>)[field];
      if (value === undefined && !required) continue;
      const lowest = field === "rate" ? Number.MIN_VALUE : 0;
      if (typeof value === "number" && value >= lowest && value < Infinity) continue;
      const what = field === "rate" ? "a finite number over 0" : "a finite number, at least 0";
      throw wrongNumber(method, `${direction}.${name}.${field}`, what, value);
    }
  }
}

function wrongNumber(method: string, name: string, what: string, value: unknown): Error {
  const message = `${method}: ${name} must be ${what}, got ${describe(value)}`;
  return typeof value === "number" ? new RangeError(message) : new TypeError(message);
}
