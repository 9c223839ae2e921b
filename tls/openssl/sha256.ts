import type { Libssl } from "./libssl.ts";

/** Returns a digest by SHA-256. */
export function sha256(lib: Libssl, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const digest = new Uint8Array(32);
  lib.SHA256(data, BigInt(data.length), digest);
  return digest;
}
