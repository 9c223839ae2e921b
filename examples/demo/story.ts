/** Prints the callbacks of the demo, and counts its checks. */
import type { EventLoop } from "../../mod.ts";

/** The time limit of a chapter, in milliseconds. */
const CHAPTER_TIMEOUT = 5000;

/** The number of calls of a callback that are printed. Further calls are counted. */
const MAX_LINES = 3;

/** A part of the tour. */
export interface Chapter {
  readonly title: string;
  run(loop: EventLoop, story: Story): Promise<void>;
}

/** Prints one line for each callback, and collects failed checks. */
export class Story {
  readonly broken: string[] = [];
  promises = 0;
  #title = "";
  #number = 0;
  /** The callbacks of each protocol in this chapter, in order. */
  #seen = new Map<string, string[]>();
  /** The numbers of callbacks that were not printed. */
  #unprinted = new Map<string, { who: string; callback: string; count: number }>();

  /** Prints a callback. */
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

  /** Reports whether a callback was called in this chapter. */
  hasSeen(who: string, callback: string): boolean {
    return this.#seen.get(who)?.includes(callback) ?? false;
  }

  /** Prints a call of the program. */
  did(who: string, call: string, detail = ""): void {
    tell(who, `> ${call}`, detail);
  }

  /** Prints a check and whether it has passed. */
  check(promise: string, holds: boolean): void {
    this.promises++;
    if (!holds) this.broken.push(`${this.#title}: ${promise}`);
    console.log(`   ${holds ? "ok " : "NOT"}      ${promise}`);
  }

  /** Runs a chapter. */
  async tell(chapter: Chapter, loop: EventLoop): Promise<void> {
    this.#title = chapter.title;
    this.#seen.clear();
    console.log(`\n%c${++this.#number}  ${chapter.title}`, "font-weight: bold");
    const stuck = Promise.withResolvers<never>();
    const timer = loop.callLater(CHAPTER_TIMEOUT, () => stuck.reject(new Error(`stuck for ${CHAPTER_TIMEOUT} ms`)));
    try {
      await Promise.race([chapter.run(loop, this), stuck.promise]);
    } catch (error) {
      this.check(`an error ended the chapter: ${error}`, false);
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

/** Encodes text. */
export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes text. */
export function text(data: Uint8Array): string {
  return decoder.decode(data);
}

/** Decodes text and quotes it. */
export function quote(data: Uint8Array): string {
  return JSON.stringify(text(data));
}

/** Formats a number of bytes. */
export function size(count: number): string {
  return `${count.toLocaleString("en")} bytes`;
}

/** Formats an address. */
export function at(addr: Deno.Addr): string {
  return "hostname" in addr ? `${addr.hostname}:${addr.port}` : JSON.stringify(addr);
}

/** Reads a certificate or key of the examples, as PEM. */
export function readCert(name: string): Promise<string> {
  return Deno.readTextFile(new URL(`../certs/${name}`, import.meta.url));
}
