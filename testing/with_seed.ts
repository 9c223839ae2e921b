import { checkOptions, namesOf } from "../check_options.ts";
import { checkFunction, checkInteger } from "../checks.ts";
import { toError } from "../errors.ts";
import { drawSeed } from "./random.ts";

/** The options of {@linkcode withSeed}. */
export interface SeedOptions {
  /**
   * The seed of the first run. Copy it from the message of a failure to replay it.
   *
   * @default {undefined} drawn at random
   */
  seed?: number | undefined;
  /**
   * How often to run. Each run has a seed of its own.
   *
   * @default {1}
   */
  runs?: number | undefined;
}

const OPTIONS = namesOf<SeedOptions>({ seed: true, runs: true });

/**
 * Runs a test with a random seed. If it fails, the message of the error ends with the seed, by which you can replay it.
 *
 * @param run The test, which passes the seed to what draws at random.
 * @param options The seed, and the number of runs.
 * @throws What `run` throws.
 *
 * @example Usage
 * ```ts
 * import { MemoryLoop, withSeed } from "@tandem/io/testing";
 *
 * await withSeed(async (seed) => {
 *   const loop = new MemoryLoop({ seed });
 *   loop.engine.inject({ datagrams: { loss: 0.1, reordering: 0.2 } });
 *   await loop.clock.advance(1000);
 * }, { runs: 20 });
 * ```
 */
export async function withSeed(
  run: (seed: number) => void | Promise<void>,
  options: SeedOptions = {},
): Promise<void> {
  checkFunction("withSeed()", "run", run);
  checkOptions("withSeed()", options, OPTIONS);
  const { seed: first = drawSeed(), runs = 1 } = options;
  checkInteger("withSeed()", "seed", first, 0, 2 ** 32 - 1);
  checkInteger("withSeed()", "runs", runs, 1);
  for (let i = 0; i < runs; i++) {
    const seed = (first + i) % 2 ** 32;
    try {
      await run(seed);
    } catch (thrown) {
      throw addToMessage(toError(thrown), `\nreplay with { seed: ${seed} }`);
    }
  }
}

/** Adds to the message and the stack of an error. The message of a `DOMException` cannot be changed. */
export function addToMessage(error: Error, text: string): Error {
  const message = error.message + text;
  try {
    const stack = error.stack?.replace(error.message, () => message);
    Object.defineProperty(error, "message", { value: message, configurable: true, writable: true });
    Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
    return error;
  } catch {
    return new Error(message, { cause: error });
  }
}
