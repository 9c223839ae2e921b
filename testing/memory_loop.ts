import { checkOptions, namesOf } from "../check_options.ts";
import { EventLoop } from "../loop/mod.ts";
import { MemoryEngine, type MemoryEngineOptions } from "./memory_engine.ts";
import { VirtualClock, type VirtualClockOptions } from "./virtual_clock.ts";

/** The options of a {@linkcode MemoryLoop}. */
export interface MemoryLoopOptions extends VirtualClockOptions, Omit<MemoryEngineOptions, "clock"> {}

const OPTIONS = namesOf<MemoryLoopOptions>({ autoJump: true, hosts: true, seed: true });

/**
 * A loop with a network and a clock of its own: a {@linkcode MemoryEngine} and a {@linkcode VirtualClock}.
 *
 * @example A timeout
 * ```ts
 * import { MemoryLoop } from "@tandem/io/testing";
 *
 * const loop = new MemoryLoop();
 * loop.callLater(60_000, () => console.log("a minute later"));
 * await loop.clock.advance(60_000);
 * ```
 */
export class MemoryLoop extends EventLoop {
  /** The network. */
  readonly engine: MemoryEngine;
  /** The clock. */
  readonly clock: VirtualClock;

  /**
   * Creates a loop.
   *
   * @param options Those of the engine and of the clock.
   * @throws {TypeError} If an option is wrong.
   */
  constructor(options: MemoryLoopOptions = {}) {
    checkOptions("new MemoryLoop()", options, OPTIONS);
    const { autoJump, ...network } = options;
    const clock = new VirtualClock({ autoJump });
    const engine = new MemoryEngine({ ...network, clock });
    super({ engine, clock });
    this.engine = engine;
    this.clock = clock;
  }
}
