/**
 * Finds mistakes in protocols, such as a misspelt callback, or `bufferUpdated` without `getBuffer`. Without this check,
 * bytes would never arrive and nothing would say why.
 *
 * A certain mistake is an error. A suspicion is reported once, in debug mode. No getter is called. A class is checked when
 * its first instance is used, and a factory of plain objects when it returns its first object.
 *
 * @module
 */
import { editDistance, simplify } from "./check_options.ts";
import { describe } from "./errors.ts";

/** Where suspicious callbacks are reported: a loop. */
interface Reporter {
  readonly debug: boolean;
  report(context: { message: string; protocol: object }): void;
}

/** The kind of transport that calls a protocol. */
export type ProtocolKind = "stream" | "datagram" | "subprocess";

/** The callbacks of each kind, apart from those that all kinds have. */
const DATA_CALLBACKS: Readonly<Record<ProtocolKind, readonly string[]>> = {
  stream: ["dataReceived", "getBuffer", "bufferUpdated", "eofReceived"],
  datagram: ["datagramReceived", "errorReceived"],
  subprocess: ["pipeDataReceived", "pipeConnectionLost", "processExited"],
};
const SHARED_CALLBACKS = ["connectionMade", "connectionLost", "pauseWriting", "resumeWriting"];
/** Callbacks of streams that receive no data. */
const OTHER_CALLBACKS: Readonly<Record<ProtocolKind, readonly string[]>> = {
  stream: ["drain"],
  datagram: [],
  subprocess: [],
};
const KINDS = ["stream", "datagram", "subprocess"] as const;
const ALL_CALLBACKS: ReadonlySet<string> = new Set([
  ...SHARED_CALLBACKS,
  ...KINDS.flatMap((kind) => [...DATA_CALLBACKS[kind], ...OTHER_CALLBACKS[kind]]),
]);

/** In shorter names, only another case and underscores are a certain mistake. */
const MIN_FUZZY = 8;

/** The consequences of an `async` callback of a stream. */
const ASYNC: Readonly<Record<string, string>> = {
  dataReceived: "the next call does not wait for this one to end",
  bufferUpdated: "the memory is read into again before this call has ended",
  getBuffer: "it returns a promise, not memory",
  eofReceived: "its answer comes too late, so the transport closes",
};
const ASYNC_FRAME = "the next frame does not wait for this call to end, and can overwrite this one";

/**
 * Marks the prototypes of this package's classes, also those of another copy of the package, with the names of the callbacks
 * that they call themselves: protocols/library_class.ts.
 */
const LIBRARY = Symbol.for("@tandem/io library class");

interface Verdict {
  error: string | null;
  warnings: readonly string[];
}

const FINE: Verdict = { error: null, warnings: [] };

/** The verdicts on prototypes and factories that have no error. */
const verdicts: Readonly<Record<ProtocolKind, WeakMap<object, Verdict>>> = {
  stream: new WeakMap(),
  datagram: new WeakMap(),
  subprocess: new WeakMap(),
};

/** The warnings that each loop has reported. */
const reported = new WeakMap<Reporter, Set<string>>();

/** Throws if a protocol has a certain mistake, and reports suspicions once in debug mode. */
export function checkCallbacks(
  loop: Reporter,
  method: string,
  protocol: object,
  kind: ProtocolKind,
  factory: object | null = null,
): void {
  const verdict = lookUp(protocol, kind, factory);
  if (verdict.error !== null) throw new TypeError(`${method}: protocol ${describe(protocol)} ${verdict.error}`);
  if (loop.debug && verdict !== FINE) report(loop, protocol, verdict.warnings);
}

function lookUp(protocol: object, kind: ProtocolKind, factory: object | null): Verdict {
  try {
    const prototype: object | null = Object.getPrototypeOf(protocol);
    // Plain objects share their prototype.
    const key = prototype === null || prototype === Object.prototype ? factory : prototype;
    const known = key === null ? undefined : verdicts[kind].get(key);
    if (known !== undefined) return known;
    const verdict = inspect(protocol, kind);
    if (key !== null && verdict.error === null) verdicts[kind].set(key, verdict);
    return verdict;
  } catch {
    return FINE; // A proxy may throw. Its callbacks are called nevertheless, and their exceptions are reported.
  }
}

function report(loop: Reporter, protocol: object, warnings: readonly string[]): void {
  let known = reported.get(loop);
  if (known === undefined) reported.set(loop, known = new Set());
  for (const warning of warnings) {
    const message = `Protocol ${describe(protocol)} ${warning}`;
    if (known.has(message)) continue;
    known.add(message);
    loop.report({ message, protocol });
  }
}

/** Stands for the value of a getter, which is not called. */
const ACCESSOR = Symbol("accessor");

/** The members that the author of a protocol has written: those of the object and its classes below the package's own. */
class Members {
  /** The value of each member, and its level: 0 for the object itself, 1 for its class. */
  readonly found = new Map<string, { value: unknown; level: number }>();
  /** The callbacks that the package's classes call themselves, such as `frameReceived`. */
  readonly callbacks: string[] = [];
  #protocol: object;

  constructor(protocol: object) {
    this.#protocol = protocol;
    let object: object | null = protocol;
    for (let level = 0; object !== null && object !== Object.prototype && !Object.hasOwn(object, LIBRARY); level++) {
      for (const name of Object.getOwnPropertyNames(object)) {
        if (this.found.has(name)) continue;
        const descriptor = Object.getOwnPropertyDescriptor(object, name)!;
        this.found.set(name, { value: "value" in descriptor ? descriptor.value : ACCESSOR, level });
      }
      object = Object.getPrototypeOf(object);
    }
    for (; object !== null; object = Object.getPrototypeOf(object)) {
      const callbacks = Object.getOwnPropertyDescriptor(object, LIBRARY)?.value;
      if (Array.isArray(callbacks)) this.callbacks.push(...callbacks);
    }
  }

  /** Reports whether the author has written a method of this name. */
  has(name: string): boolean {
    return typeof this.found.get(name)?.value === "function";
  }

  /** Reports whether the protocol has a callback of this name, perhaps one of the package's class or a getter. */
  offers(name: string): boolean {
    const member = this.found.get(name);
    if (member === undefined) return name in this.#protocol;
    return typeof member.value === "function" || member.value === ACCESSOR;
  }

  /** The class of a function: "Function", "AsyncFunction", "GeneratorFunction" or "AsyncGeneratorFunction". */
  classOf(name: string): string {
    return Object.prototype.toString.call(this.found.get(name)?.value).slice(8, -1);
  }
}

function inspect(protocol: object, kind: ProtocolKind): Verdict {
  const members = new Members(protocol);
  const warnings: string[] = [];
  const error = findGenerator(members, kind) ?? findMisspelt(members, kind, warnings) ??
    (kind === "stream" ? findMixed(members, warnings) : null);
  if (error !== null) return { error, warnings: [] };
  if (kind === "stream") {
    for (const [name, consequence] of Object.entries(ASYNC)) {
      if (members.classOf(name) === "AsyncFunction") warnings.push(`has an async ${name}(): ${consequence}`);
    }
    for (const name of members.callbacks) {
      if (members.classOf(name) === "AsyncFunction") warnings.push(`has an async ${name}(): ${ASYNC_FRAME}`);
    }
  }
  findForeign(members, kind, warnings);
  return warnings.length === 0 ? FINE : { error: null, warnings };
}

function callbacksOf(kind: ProtocolKind): readonly string[] {
  return [...SHARED_CALLBACKS, ...DATA_CALLBACKS[kind], ...OTHER_CALLBACKS[kind]];
}

function findGenerator(members: Members, kind: ProtocolKind): string | null {
  for (const name of [...callbacksOf(kind), ...members.callbacks]) {
    if (members.classOf(name).endsWith("GeneratorFunction")) {
      return `has a generator function as ${name}(), whose body would never run`;
    }
  }
  return null;
}

/** Finds a method that is named nearly like a callback which the author has not written. */
function findMisspelt(members: Members, kind: ProtocolKind, warnings: string[]): string | null {
  const own = new Set(members.callbacks);
  const buffered = members.offers("getBuffer") || members.offers("bufferUpdated");
  for (const name of members.found.keys()) {
    // A leading or trailing underscore marks a method as the author's own.
    if (ALL_CALLBACKS.has(name) || own.has(name) || !members.has(name) || /^[_$]|[_$]$/.test(name)) continue;
    for (const callback of [...callbacksOf(kind), ...own]) {
      if (members.found.has(callback)) continue;
      // A protocol that reads into its own memory needs no dataReceived(), and the other way round.
      const ofBuffered = callback === "getBuffer" || callback === "bufferUpdated";
      if (ofBuffered ? !buffered : buffered && callback === "dataReceived") continue;
      const likeness = own.has(callback) && isSynonym(name, callback) ? "similar" : compare(name, callback);
      if (likeness === "misspelt") return `has ${name}(), which is never called; did you mean ${callback}()?`;
      if (likeness === "similar") warnings.push(`has ${name}(), which is like ${callback}(), but no ${callback}()`);
    }
  }
  return null;
}

/**
 * Compares a name with a callback's. Another case, underscores, two letters swapped, a missing or an additional letter are
 * a misspelling. A replaced letter can make another word, as in `connectionList()`, so it is only similar.
 */
function compare(name: string, callback: string): "misspelt" | "similar" | "different" {
  const [a, b] = [simplify(name), simplify(callback)];
  if (a === b) return "misspelt";
  // Other words are near a short name: train(), rain().
  if (b.length < MIN_FUZZY) return a.length !== b.length && editDistance(a, b) === 1 ? "similar" : "different";
  const distance = Math.abs(a.length - b.length) > 2 ? 3 : editDistance(a, b);
  // A prefix or a suffix is intended: onDataReceived().
  if (distance > 2 || (distance === 2 && a.includes(b))) return "different";
  const swapped = a.length === b.length && [...a].sort().join() === [...b].sort().join();
  return distance === 1 && (a.length !== b.length || swapped) ? "misspelt" : "similar";
}

/** Reports whether a name can be what another framework calls `frameReceived()`, such as `lineReceived()`. */
function isSynonym(name: string, callback: string): boolean {
  return callback === "frameReceived" && /^(line|message|string|packet)_?received$/i.test(name);
}

/** Finds `getBuffer` without `bufferUpdated` or the other way round, and both of them beside `dataReceived`. */
function findMixed(members: Members, warnings: string[]): string | null {
  const [getBuffer, bufferUpdated] = [members.offers("getBuffer"), members.offers("bufferUpdated")];
  if (members.has("bufferUpdated") && !getBuffer) {
    return "has bufferUpdated() but no getBuffer(), so it is never called";
  }
  if (members.has("getBuffer") && !bufferUpdated) {
    if (!members.offers("dataReceived") || !members.found.has("dataReceived")) {
      return "has getBuffer() but no bufferUpdated(), so it is never called";
    }
    warnings.push("has getBuffer() but no bufferUpdated(), so it receives by dataReceived()");
  }
  if (getBuffer && bufferUpdated && members.has("dataReceived")) {
    const both = "has dataReceived(), which is never called, because it also has getBuffer() and bufferUpdated()";
    const level = members.found.get("dataReceived")!.level;
    const delegates = members.has("bufferUpdated") && members.found.get("bufferUpdated")!.level < level;
    // In a subclass, bufferUpdated() may call the dataReceived() that it inherits.
    if (!delegates) return both;
    warnings.push(both);
  }
  return null;
}

/** Finds a protocol that has only the data callbacks of another kind. */
function findForeign(members: Members, kind: ProtocolKind, warnings: string[]): void {
  if (DATA_CALLBACKS[kind].some((name) => members.found.has(name))) return;
  for (const other of KINDS) {
    const foreign = DATA_CALLBACKS[other].find((name) => other !== kind && members.has(name));
    if (foreign !== undefined) warnings.push(`has ${foreign}(), which a ${kind} transport does not call`);
  }
}
