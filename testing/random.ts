/** Returns a source of numbers from 0 up to 1, the same for the same seed: mulberry32. */
export function makeRandom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws a seed. */
export function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Returns a number between `middle - spread` and `middle + spread`. */
export function around(middle: number, spread: number, random: () => number): number {
  return spread === 0 ? middle : middle + (2 * random() - 1) * spread;
}
