import { checkFaults, type DatagramFaults, type FaultOptions, type FaultTarget, type StreamFaults } from "./faults.ts";

/** The address that a fault is matched with. */
export interface Destination {
  /** The name, as the client spelt it, and the address. */
  readonly hostnames: readonly string[];
  readonly port: number | undefined;
  readonly path: string | undefined;
}

/** Faults of a network, until they are removed. {@linkcode MemoryEngine.inject} makes it. */
export class Fault implements Disposable {
  #set: FaultSet;
  #options: FaultOptions;

  /** Called by the engine. */
  constructor(set: FaultSet, options: FaultOptions) {
    this.#set = set;
    this.#options = options;
  }

  /** The faults now. */
  get options(): FaultOptions {
    return this.#options;
  }

  /**
   * Replaces the faults, for connections that exist, too.
   *
   * @param options The new faults.
   * @throws {TypeError} If an option is wrong.
   * @throws {RangeError} If a number is out of range.
   */
  set(options: FaultOptions): void {
    checkFaults("set()", options);
    this.#options = options;
    this.#set.changed();
  }

  /** Removes the faults. What is on its way keeps its delay. */
  remove(): void {
    this.#set.remove(this);
  }

  /** Does the same. */
  [Symbol.dispose](): void {
    this.remove();
  }
}

/** The faults of a network, in the order in which they were injected. Later ones win. */
export class FaultSet {
  #faults: Fault[] = [];
  #listeners = new Set<() => void>();
  /** Changes with the faults. */
  version = 0;

  add(options: FaultOptions): Fault {
    const fault = new Fault(this, options);
    this.#faults.push(fault);
    this.changed();
    return fault;
  }

  remove(fault: Fault): void {
    if (!this.#faults.includes(fault)) return;
    this.#faults = this.#faults.filter((other) => other !== fault);
    this.changed();
  }

  changed(): void {
    this.version++;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls back after each change. Returns a function that ends this. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Returns the faults of a direction. */
  stream(direction: "upstream" | "downstream", destination: Destination): StreamFaults {
    return this.#merge(direction, destination);
  }

  datagrams(destination: Destination): DatagramFaults {
    return this.#merge("datagrams", destination);
  }

  refuses(destination: Destination): boolean {
    return this.#faults.some(({ options }) => options.refuses === true && matches(options.to, destination));
  }

  #merge(part: "upstream" | "downstream" | "datagrams", destination: Destination): object {
    const merged = {};
    for (const { options } of this.#faults) {
      if (matches(options.to, destination)) Object.assign(merged, options[part]);
    }
    return merged;
  }
}

function matches(target: FaultTarget | undefined, { hostnames, port, path }: Destination): boolean {
  if (target === undefined) return true;
  if (target.path !== undefined && target.path !== path) return false;
  if (target.port !== undefined && target.port !== port) return false;
  return target.hostname === undefined || hostnames.includes(target.hostname.toLowerCase());
}
