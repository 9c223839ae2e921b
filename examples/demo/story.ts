/** How the demo tells what happens, and checks it. */
import type { EventLoop } from "../../mod.ts";

/** Longer than this many milliseconds, and a chapter is stuck. */
const CHAPTER_TIMEOUT = 5000;

/** So many callbacks of a kind have a line each; what comes more often is counted. */
const MAX_LINES = 3;

/** A part of the tour. */
export interface Chapter {
  readonly title: string;
  run(loop: EventLoop, story: Story): Promise<void>;
}

/** Prints one line for each callback, and keeps the promises that did not hold. */
export class Story {
  readonly broken: string[] = [];
  promises = 0;
  #title = "";
  #number = 0;
  /** Who saw which callbacks in this chapter, in order. */
  #seen = new Map<string, string[]>();
  /** Callbacks that were not printed, and how many. */
  #unprinted = new Map<string, { who: string; callback: string; count: number }>();

  /** A callback ran. */
  saw(who: string, callback: string, detail = ""): void {
    const seen = this.#seen.get(who) ?? [];
    this.#seen.set(who, seen);
    const before = seen.filter((other) => other === callback).length;
    seen.push(callback);
    if (before < MAX_LINES) {
      if (before === 0) this.#tellCounts(who);
      tell(who, callback, detail);
      return;
    }
    const key = `${who} ${callback}`;
    const count = (this.#unprinted.get(key)?.count ?? 0) + 1;
    this.#unprinted.set(key, { who, callback, count });
  }

  /** Whether somebody has seen a callback in this chapter. */
  hasSeen(who: string, callback: string): boolean {
    return this.#seen.get(who)?.includes(callback) ?? false;
  }

  /** The program did something. */
  did(who: string, call: string, detail = ""): void {
    tell(who, `> ${call}`, detail);
  }

  /** Something was promised; `holds` tells whether it is so. */
  check(promise: string, holds: boolean): void {
    this.promises++;
    if (!holds) this.broken.push(`${this.#title}: ${promise}`);
    console.log(`   ${holds ? "ok " : "NOT"}      ${promise}`);
  }

  /** Tells a chapter. */
  async tell(chapter: Chapter, loop: EventLoop): Promise<void> {
    this.#title = chapter.title;
    this.#seen.clear();
    console.log(`\n%c${++this.#number}  ${chapter.title}`, "font-weight: bold");
    const stuck = Promise.withResolvers<never>();
    const timer = loop.callLater(CHAPTER_TIMEOUT, () => stuck.reject(new Error(`stuck for ${CHAPTER_TIMEOUT} ms`)));
    try {
      await Promise.race([chapter.run(loop, this), stuck.promise]);
    } catch (error) {
      this.check(`no error, but: ${error}`, false);
    } finally {
      timer.cancel();
    }
    if (this.#seen.size === 0) return;
    for (const who of this.#seen.keys()) this.#tellCounts(who);
    this.check("connectionMade first, connectionLost last, once each", [...this.#seen.values()].every(isWhole));
  }

  #tellCounts(who: string): void {
    for (const [key, unprinted] of this.#unprinted) {
      if (unprinted.who !== who) continue;
      tell(who, unprinted.callback, `${unprinted.count} more`);
      this.#unprinted.delete(key);
    }
  }
}

function tell(who: string, what: string, detail: string): void {
  console.log(`   ${who.padEnd(9)}${what.padEnd(20)}${detail}`.trimEnd());
}

function isWhole(seen: string[]): boolean {
  return seen.indexOf("connectionMade") === 0 && seen.lastIndexOf("connectionMade") === 0 &&
    seen.indexOf("connectionLost") === seen.length - 1;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text as bytes. */
export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Bytes as text. */
export function text(data: Uint8Array): string {
  return decoder.decode(data);
}

/** Bytes as quoted text. */
export function quote(data: Uint8Array): string {
  return JSON.stringify(text(data));
}

/** A number of bytes, readable. */
export function size(count: number): string {
  return `${count.toLocaleString("en")} bytes`;
}

/** A host and a port. */
export function at(addr: Deno.Addr): string {
  return "hostname" in addr ? `${addr.hostname}:${addr.port}` : JSON.stringify(addr);
}

/** A certificate or key among those of the examples, as PEM. */
export function readCert(name: string): Promise<string> {
  return Deno.readTextFile(new URL(`../certs/${name}`, import.meta.url));
}
