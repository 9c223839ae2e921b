/** When what goes down the wire arrives, and in what portions. */
import { nextTick } from "node:process";
import { setImmediate } from "node:timers";
import { concat } from "../kit.ts";
import type { Dice } from "./dice.ts";
import type { Piece } from "./records.ts";

/** When: in the same stack, in a microtask, in a tick, in a turn, by a timer, or at a moment of the dice's. */
export const MOMENTS = ["sync", "microtask", "tick", "immediate", "timeout", "mixed"] as const;
/** In portions of which size. */
export const PORTIONS = ["whole", "bytes", "pieces", "joined"] as const;

/** How to deliver. */
export interface DeliveryPlan {
  moment: typeof MOMENTS[number];
  portions: typeof PORTIONS[number];
}

/** Of more pieces than this, so many are delivered together, or it would take minutes. */
const MANY = 100;
/** So many bytes of each piece are delivered by themselves. */
const SINGLY = 30;

const AFTER: Record<Exclude<DeliveryPlan["moment"], "sync" | "mixed">, (callback: () => void) => void> = {
  microtask: (callback) => queueMicrotask(callback),
  tick: (callback) => nextTick(callback),
  immediate: (callback) => void setImmediate(callback),
  timeout: (callback) => void setTimeout(callback, 0),
};

/** Delivers one piece after the other. */
export class Delivery {
  /** Nothing waits. */
  get idle(): boolean {
    return this.#queue.length === 0;
  }

  #plan: DeliveryPlan;
  #dice: Dice;
  #queue: Piece[] = [];
  #busy = false;
  #onStopped: (() => void) | null = null;
  #deliver: (piece: Piece) => void;

  constructor(plan: DeliveryPlan, dice: Dice, deliver: (piece: Piece) => void) {
    this.#plan = plan;
    this.#dice = dice;
    this.#deliver = deliver;
  }

  push(pieces: Piece[]): void {
    for (const piece of pieces) this.#queue.push(...typeof piece === "string" ? [piece] : this.#portions(piece));
    if (!this.#busy) this.#next();
  }

  /** Delivers nothing more; resolves when no timer is left. */
  stop(): Promise<void> {
    this.#queue = [];
    this.#plan = { ...this.#plan, moment: "sync" };
    return this.#busy ? new Promise((resolve) => this.#onStopped = resolve) : Promise.resolve();
  }

  #portions(piece: Uint8Array): Uint8Array[] {
    const { portions } = this.#plan;
    if (portions === "whole" || portions === "joined" || piece.length < 2) return piece.length > 0 ? [piece] : [];
    const parts: Uint8Array[] = [];
    // Byte by byte all would take too long.
    const singly = portions === "bytes" ? Math.min(piece.length, SINGLY) : 0;
    for (let at = 0; at < singly; at++) parts.push(piece.subarray(at, at + 1));
    for (let at = singly; at < piece.length;) {
      const end = at + 1 + this.#dice.below(piece.length);
      parts.push(piece.subarray(at, end));
      at = end;
    }
    return parts;
  }

  #next(): void {
    while (this.#queue.length > 0) {
      const { moment } = this.#plan;
      const when = moment === "mixed" ? this.#dice.pick(["sync", "microtask", "tick", "immediate"] as const) : moment;
      if (when !== "sync") {
        this.#busy = true;
        AFTER[when](() => {
          this.#busy = false;
          this.#onStopped?.();
          this.#shift();
          if (!this.#busy) this.#next();
        });
        return;
      }
      this.#busy = true;
      this.#shift();
      this.#busy = false;
    }
  }

  #shift(): void {
    const queue = this.#queue;
    const most = this.#plan.portions === "joined" ? queue.length : queue.length > MANY ? MANY : 1;
    const end = queue.findIndex((piece) => typeof piece === "string");
    if (end === 0) this.#deliver(queue.shift()!);
    else if (most > 0) this.#deliver(concat(queue.splice(0, end < 0 ? most : Math.min(most, end)) as Uint8Array[]));
  }
}
