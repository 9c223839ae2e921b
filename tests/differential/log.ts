/** What each actor of a scenario saw, as lines; the twin of log.py. */
import { crc32 } from "node:zlib";
import { concat, text } from "../kit.ts";

/** What the scenarios throw. */
export class Boom extends Error {
  override name = "Boom";
}

/** Throws it. */
export function boom(..._args: unknown[]): never {
  throw new Boom("boom");
}

/** Names an error; Deno's own errors without a class of their own go by their code. */
export function errorName(error: unknown): string {
  if (error === null) return "null";
  if (!(error instanceof Error)) return `not an Error: ${String(error)}`;
  const { name, code } = error as Error & { code?: unknown };
  return (name === "Error" || name === "TypeError") && typeof code === "string" ? code : name;
}

/** Bytes as text where they are short and plain, otherwise by their number and a checksum. */
export function showData(data: Uint8Array): string {
  const plain = data.length <= 60 && data.every((byte) => byte >= 32 && byte < 127);
  if (plain) return JSON.stringify(text(data));
  return `${data.length} bytes, crc32 ${crc32(data).toString(16).padStart(8, "0")}`;
}

/** Names in asyncio's spelling: `data_received` for `dataReceived`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Bytes in a row are one line, however the kernel cuts them. */
interface DataEntry {
  label: string;
  pieces: Uint8Array[];
}

/** Lines in the order of each actor; between actors there is none, for the kernel's is not ours to know. */
export class Log {
  #entries = new Map<string, (string | DataEntry)[]>();
  #waiters: { done: () => boolean; resolve: () => void }[] = [];

  line(actor: string, text: string): void {
    this.#entriesOf(actor).push(text);
    this.changed();
  }

  data(actor: string, label: string, data: Uint8Array): void {
    const entries = this.#entriesOf(actor);
    const last = entries.at(-1);
    if (typeof last === "object" && last.label === label) last.pieces.push(data);
    else entries.push({ label, pieces: [data] });
    this.changed();
  }

  count(actor: string, prefix: string): number {
    const entries = this.#entries.get(actor) ?? [];
    return entries.filter((entry) => (typeof entry === "string" ? entry : entry.label).startsWith(prefix)).length;
  }

  lines(): string[] {
    const lines: string[] = [];
    for (const actor of [...this.#entries.keys()].sort()) {
      for (const entry of this.#entries.get(actor)!) {
        const text = typeof entry === "string" ? entry : `${entry.label} ${showData(concat(entry.pieces))}`;
        lines.push(`${actor}: ${text}`);
      }
    }
    return lines;
  }

  changed(): void {
    for (const waiter of this.#waiters.slice()) {
      if (!waiter.done()) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve();
    }
  }

  until(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ done, resolve }));
  }

  #entriesOf(actor: string): (string | DataEntry)[] {
    let entries = this.#entries.get(actor);
    if (entries === undefined) this.#entries.set(actor, entries = []);
    return entries;
  }
}
