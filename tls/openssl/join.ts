/** Joins pieces of bytes. `rest`: the last one, if there is one. */
export function join(parts: Uint8Array[], rest: Uint8Array | null): Uint8Array {
  if (rest !== null) parts.push(rest);
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
