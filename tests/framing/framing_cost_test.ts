/** Twice the input takes twice the work: bytes that are copied, searched and decoded are counted, not milliseconds. */
import { assert, assertGreater } from "../std.ts";
import { bytes, concat } from "../kit.ts";
import { Delimiters } from "../../framing/delimiters.ts";
import {
  FixedLengthFramer,
  type Framer,
  LengthPrefixedFramer,
  LineFramer,
  NetstringFramer,
} from "../../framing/mod.ts";

/** Counts the bytes that are touched while `run` runs. */
function countWork(run: () => void): number {
  let work = 0;
  const array = Uint8Array.prototype;
  const { set, copyWithin } = array;
  const { find } = Delimiters.prototype;
  const { decode } = TextDecoder.prototype;
  array.set = function (source, offset) {
    work += source.length;
    return set.call(this, source, offset);
  };
  array.copyWithin = function (target, start, end) {
    work += (end ?? this.length) - start;
    return copyWithin.call(this, target, start, end);
  };
  Delimiters.prototype.find = function (bytes, from, end) {
    const found = find.call(this, bytes, from, end);
    work += (found < 0 ? end : found) - from + 1;
    return found;
  };
  TextDecoder.prototype.decode = function (data, options) {
    work += (data as Uint8Array).length;
    return decode.call(this, data, options);
  };
  try {
    run();
  } finally {
    Object.assign(array, { set, copyWithin });
    Delimiters.prototype.find = find;
    TextDecoder.prototype.decode = decode;
  }
  return work;
}

function pushed(framer: Framer<unknown>, data: Uint8Array, size: number): void {
  for (let i = 0; i < data.length; i += size) {
    framer.push(data.subarray(i, i + size));
    while (framer.nextFrame() !== undefined);
  }
}

function read(framer: Framer<unknown>, data: Uint8Array, size: number): void {
  for (let i = 0; i < data.length;) {
    const memory = framer.getBuffer(65536);
    const count = Math.min(memory.length, size, data.length - i);
    memory.set(data.subarray(i, i += count));
    framer.bufferUpdated(count);
    while (framer.nextFrame() !== undefined);
  }
}

const limit = 10_000_000;
const skip = () => {};

const cases: [name: string, make: () => Framer<unknown>, data: (size: number) => Uint8Array][] = [
  ["one line that does not end", () => new LineFramer({ limit }), (size) => new Uint8Array(size).fill(97)],
  [
    "a line that is too long",
    () => new LineFramer({ limit: 10, onTooLong: skip }),
    (size) => new Uint8Array(size).fill(97),
  ],
  ["empty lines", () => new LineFramer({ limit }), (size) => new Uint8Array(size).fill(10)],
  ["ends that are none", () => new LineFramer({ limit, delimiters: "\r\n" }), (size) => new Uint8Array(size).fill(10)],
  [
    "nearly a delimiter",
    () => new LineFramer({ limit, delimiters: "abbbbb" }),
    (size) => new Uint8Array(size).fill(98),
  ],
  ["lines that are not ASCII", () => new LineFramer({ limit }), (size) => bytes("é\n".repeat(size / 3))],
  ["lines of 64 bytes", () => new LineFramer({ limit }), (size) => bytes(`${"x".repeat(63)}\n`.repeat(size / 64))],
  [
    "one frame with its length",
    () => new LengthPrefixedFramer({ limit }),
    (size) => concat(new LengthPrefixedFramer({ limit }).encode(new Uint8Array(size))),
  ],
  ["frames of 100 bytes", () => new LengthPrefixedFramer({ prefix: 1 }), (size) => new Uint8Array(size).fill(100)],
  ["empty frames", () => new LengthPrefixedFramer({ prefix: 1 }), (size) => new Uint8Array(size)],
  [
    "one netstring",
    () => new NetstringFramer({ limit }),
    (size) => concat(new NetstringFramer({ limit }).encode(new Uint8Array(size))),
  ],
  ["a frame of one length", () => new FixedLengthFramer({ length: limit }), (size) => new Uint8Array(size)],
];

for (const [name, make, data] of cases) {
  Deno.test(`twice the bytes are twice the work, and eight times the bytes eight times: ${name}`, () => {
    for (const feed of [pushed, read]) {
      for (const size of [1, 700, 5000, 65536]) {
        // Byte by byte takes long, and shows early what grows too fast.
        const length = size === 1 ? 5_000 : 50_000;
        // Each byte is received, moved, searched and decoded, and again when memory has doubled.
        for (const times of [1, 2, 8]) {
          const whole = data(times * length);
          const work = countWork(() => feed(make(), whole, size));
          assertGreater(work, whole.length / 2);
          assert(
            work < 9 * whole.length,
            `${work / whole.length} for each of ${whole.length} bytes, in pieces of ${size}`,
          );
        }
      }
    }
  });
}
