/** Chance that can be repeated: all that is random about a case comes out of one of these. */
import { makeRandom } from "../kit.ts";

/** A source of choices, the same ones for the same seed. */
export class Dice {
  /** A whole number from 0 up to a limit. */
  readonly below: (limit: number) => number;

  /** @param seed The run. @param index The case of it. */
  constructor(seed: number, index: number) {
    this.below = makeRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  }

  /** Whether something happens that does so once in `count` times. */
  once(count: number): boolean {
    return this.below(count) === 0;
  }

  /** One of them. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Bytes without a meaning. */
  garbage(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
