const TYPED_ARRAY: object = Object.getPrototypeOf(Uint8Array.prototype);
const { get: getOffset } = Object.getOwnPropertyDescriptor(TYPED_ARRAY, "byteOffset")!;
const { get: getBuffer } = Object.getOwnPropertyDescriptor(TYPED_ARRAY, "buffer")!;

/** Returns a part of memory, also if the array has methods of its own. */
export function partOf(memory: Uint8Array, start: number, size: number): Uint8Array {
  return new Uint8Array(getBuffer!.call(memory), getOffset!.call(memory) + start, size);
}
