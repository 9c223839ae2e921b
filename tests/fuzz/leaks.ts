/** Looks for what is kept of connections that are over. */
import { setImmediate } from "node:timers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Objects that should be garbage soon. */
export class Graveyard {
  #buried: WeakRef<object>[] = [];

  bury(object: object): void {
    this.#buried.push(new WeakRef(object));
  }

  /**
   * Collects garbage.
   *
   * @param most How many may be left: the last ones may still be in some register or cache.
   * @returns How many are left, and of how many.
   */
  async collect(most: number): Promise<{ left: number; of: number }> {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const count = () => this.#buried.filter((object) => object.deref() !== undefined).length;
    for (let i = 0; i < 20 && count() > most; i++) {
      // Finalizers run in turns of their own.
      await new Promise<void>((resolve) => void setImmediate(resolve));
      collect();
    }
    return { left: count(), of: this.#buried.length };
  }
}
