const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** The most bytes that are shown. */
const SHOWN = 200;

/** Formats bytes: as a string in quotes if they are text, else in hexadecimal. */
export function formatBytes(data: Uint8Array): string {
  if (data.length > SHOWN) return `${formatBytes(data.subarray(0, 40))}... (${data.length} bytes)`;
  try {
    return JSON.stringify(decoder.decode(data));
  } catch {
    return `<${Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}>`;
  }
}

/** Converts text to bytes. */
export function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}

/** Joins pieces. */
export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}
