/**
 * Finds protocols whose callbacks cannot be meant: a misspelt name, or half of what a kind of protocol needs, would
 * otherwise show as bytes that never arrive.
 *
 * What is surely wrong is an error. What is only suspicious is reported once, in debug mode. Members are looked at but not
 * read, so no getter runs. A class is looked at when its first instance is used; a factory of plain objects, at its first
 * object.
 *
 * @module
 */
import { editDistance, simplify } from "../check_options.ts";
import { describe } from "../errors.ts";
import type { LoopContext } from "./loop_context.ts";

/** What a protocol is used for. */
export type ProtocolKind = "stream" | "datagram" | "subprocess";

/** The callbacks of each kind, without those that all kinds share. */
const DATA_CALLBACKS: Readonly<Record<ProtocolKind, readonly string[]>> = {
  stream: ["dataReceived", "getBuffer", "bufferUpdated", "eofReceived"],
  datagram: ["datagramReceived", "errorReceived"],
  subprocess: ["pipeDataReceived", "pipeConnectionLost", "processExited"],
};
const SHARED_CALLBACKS = ["connectionMade", "connectionLost", "pauseWriting", "resumeWriting"];
const KINDS = ["stream", "datagram", "subprocess"] as const;
const ALL_CALLBACKS: ReadonlySet<string> = new Set([
  ...SHARED_CALLBACKS,
  ...KINDS.flatMap((kind) => DATA_CALLBACKS[kind]),
]);

/** What an `async` callback of a stream does instead of what it seems to do. */
const ASYNC: Readonly<Record<string, string>> = {
  dataReceived: "the next one is called before this one has ended",
  bufferUpdated: "the memory is read into again before this one has ended",
  getBuffer: "it returns a promise, not memory",
  eofReceived: "its answer comes too late, so the transport closes",
};

/** Marks the prototypes of the package's own classes, also those of another copy of it; protocols/library_class.ts. */
const LIBRARY = Symbol.for("@tandem/io library class");

/** What was found: an error, or warnings, or nothing. */
interface Verdict {
  error: string | null;
  warnings: readonly string[];
}

const FINE: Verdict = { error: null, warnings: [] };

/** What was found of classes (by prototype) and factories, errors aside. */
const verdicts: Readonly<Record<ProtocolKind, WeakMap<object, Verdict>>> = {
  stream: new WeakMap(),
  datagram: new WeakMap(),
  subprocess: new WeakMap(),
};

/** The warnings that each loop has reported. */
const reported = new WeakMap<LoopContext, Set<string>>();

/** Throws if a protocol's callbacks cannot be meant, and reports suspicious ones once in debug mode. */
export function checkCallbacks(
  loop: LoopContext,
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
    return FINE; // A proxy may throw. Its callbacks are called all the same, and what they throw is reported.
  }
}

function report(loop: LoopContext, protocol: object, warnings: readonly string[]): void {
  let known = reported.get(loop);
  if (known === undefined) reported.set(loop, known = new Set());
  for (const warning of warnings) {
    const message = `Protocol ${describe(protocol)} ${warning}`;
    if (known.has(message)) continue;
    known.add(message);
    loop.report({ message, protocol });
  }
}

/** A member that has a getter or a setter, and is not read. */
const ACCESSOR = Symbol("accessor");

/** The members that the author of a protocol has written, from the object up to the package's own class. */
class Members {
  /** What each is, and how far up it stands: 0 for the object itself. */
  readonly found = new Map<string, { value: unknown; level: number }>();
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
  }

  /** Reports whether the author has written this one, as a function for certain. */
  has(name: string): boolean {
    return typeof this.found.get(name)?.value === "function";
  }

  /** Reports whether there is such a callback, the package's own included. */
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
  }
  findForeign(members, kind, warnings);
  return warnings.length === 0 ? FINE : { error: null, warnings };
}

function findGenerator(members: Members, kind: ProtocolKind): string | null {
  for (const name of [...SHARED_CALLBACKS, ...DATA_CALLBACKS[kind]]) {
    if (members.classOf(name).endsWith("GeneratorFunction")) {
      return `has a generator function as ${name}(), whose body would never run`;
    }
  }
  return null;
}

/** Finds a name like that of a callback which the author has not written. */
function findMisspelt(members: Members, kind: ProtocolKind, warnings: string[]): string | null {
  const buffered = members.offers("getBuffer") || members.offers("bufferUpdated");
  for (const name of members.found.keys()) {
    // An underscore at either end says that a method is the author's own.
    if (ALL_CALLBACKS.has(name) || !members.has(name) || /^[_$]|[_$]$/.test(name)) continue;
    for (const callback of [...SHARED_CALLBACKS, ...DATA_CALLBACKS[kind]]) {
      if (members.found.has(callback)) continue;
      // What the other way of receiving needs is not missing.
      const ofBuffered = callback === "getBuffer" || callback === "bufferUpdated";
      if (ofBuffered ? !buffered : buffered && callback === "dataReceived") continue;
      const likeness = compare(name, callback);
      if (likeness === "misspelt") return `has ${name}(), which is never called; did you mean ${callback}()?`;
      if (likeness === "similar") warnings.push(`has ${name}(), which is like ${callback}(), but no ${callback}()`);
    }
  }
  return null;
}

/**
 * Compares a name to a callback's. Another case, underscores, two letters swapped, one missing or one too many are a
 * misspelling; another letter can be another word: `connectionList()`.
 */
function compare(name: string, callback: string): "misspelt" | "similar" | "different" {
  const [a, b] = [simplify(name), simplify(callback)];
  if (a === b) return "misspelt";
  const distance = Math.abs(a.length - b.length) > 2 ? 3 : editDistance(a, b);
  // A word put before it or behind it was put there on purpose: onDataReceived().
  if (distance > 2 || (distance === 2 && a.includes(b))) return "different";
  const swapped = a.length === b.length && [...a].sort().join() === [...b].sort().join();
  return distance === 1 && (a.length !== b.length || swapped) ? "misspelt" : "similar";
}

/** Finds half of the two callbacks that receive into the protocol's memory, or both ways of receiving. */
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
    // A subclass may well hand over to what it inherits.
    if (!delegates) return both;
    warnings.push(both);
  }
  return null;
}

/** Finds a protocol that only has the data callbacks of another kind. */
function findForeign(members: Members, kind: ProtocolKind, warnings: string[]): void {
  if (DATA_CALLBACKS[kind].some((name) => members.found.has(name))) return;
  for (const other of KINDS) {
    const foreign = DATA_CALLBACKS[other].find((name) => other !== kind && members.has(name));
    if (foreign !== undefined) warnings.push(`has ${foreign}(), which a ${kind} transport does not call`);
  }
}
