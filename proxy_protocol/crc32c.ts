/** The polynomial of CRC-32C, reversed. */
const POLYNOMIAL = 0x82f63b78;

let table: Uint32Array | undefined;

/** Returns the CRC-32C (Castagnoli) of bytes: RFC 4960, appendix B. */
export function crc32c(bytes: Uint8Array): number {
  table ??= makeTable();
  let crc = -1;
  for (const byte of bytes) crc = crc >>> 8 ^ table[(crc ^ byte) & 255]!;
  return ~crc >>> 0;
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? value >>> 1 ^ POLYNOMIAL : value >>> 1;
    return value;
  });
}
