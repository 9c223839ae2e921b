/** What holds for all bytes and all ways to divide them: drawn at random by fast-check, which prints a counterexample. */
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { assert, assertEquals } from "../std.ts";
import { bytes, concat, pattern } from "../kit.ts";
import {
  FixedLengthFramer,
  type Framer,
  LengthPrefixedFramer,
  LineFramer,
  NetstringFramer,
} from "../../framing/mod.ts";
import { byteByByte, feed, feedBuffers, keep } from "./kit.ts";

// By default, fast-check prefers arrays of ten elements and fewer.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

const skip = () => {};

/** Bytes that are frames, nearly frames, or anything. */
const bytesOf = (...pieces: string[]) =>
  fc.array(
    fc.oneof(
      fc.constantFrom(...pieces).map((piece) => new TextEncoder().encode(piece)),
      fc.uint8Array({ maxLength: 12 }),
    ),
    { maxLength: 40 },
  ).map((pieces) => concat(pieces));

const lines = bytesOf("\n", "\r\n", "\r", "GET / HTTP/1.1\r\n", "é\n", "日本\r\n", "a", "\n\n", "--", "-", "|");
const binary = bytesOf("\x00", "\x00\x00\x00\x03abc", "\x03\x00abc", "\x02ab", "\x7f");
const netstrings = bytesOf("3:abc,", "0:,", "12:hello world!,", "3:ab", "1", ":", ",", "0", "20:");

const framers: [name: string, make: () => Framer<unknown>, bytes: fc.Arbitrary<Uint8Array>][] = [
  ["lines", () => new LineFramer(), lines],
  ["short lines", () => new LineFramer({ limit: 8 }), lines],
  ["short lines, skipped", () => new LineFramer({ limit: 8, onTooLong: skip }), lines],
  ["lines of bytes", () => new LineFramer<Uint8Array>({ text: false, limit: 20, onTooLong: skip }), lines],
  ["lines that end with LF", () => new LineFramer({ delimiters: "\n" }), lines],
  ["lines that end with CRLF", () => new LineFramer({ delimiters: "\r\n", limit: 9, onTooLong: skip }), lines],
  ["lines with any of several ends", () => new LineFramer({ delimiters: ["--", "|", "\r\n"], limit: 30 }), lines],
  ["lines that end with é", () => new LineFramer({ delimiters: ["é", "\n"], limit: 9, onTooLong: skip }), lines],
  [
    "lines of bytes that end with 0, 1",
    () => new LineFramer<Uint8Array>({ text: false, delimiters: Uint8Array.of(0, 1) }),
    binary,
  ],
  ["prefix of 1 byte", () => new LengthPrefixedFramer({ prefix: 1, limit: 40 }), binary],
  ["prefix of 2 bytes, skipped", () => new LengthPrefixedFramer({ prefix: 2, limit: 40, onTooLong: skip }), binary],
  [
    "prefix of 3 bytes, MySQL",
    () => new LengthPrefixedFramer({ prefix: 3, littleEndian: true, adjustment: 1, strip: 3 }),
    binary,
  ],
  ["prefix of 4 bytes, PostgreSQL", () => new LengthPrefixedFramer({ offset: 1, adjustment: -4, strip: 0 }), binary],
  ["prefix of 8 bytes", () => new LengthPrefixedFramer({ prefix: 8, limit: 40, onTooLong: skip }), binary],
  ["varint", () => new LengthPrefixedFramer({ prefix: "varint", limit: 40, onTooLong: skip }), binary],
  ["varint, MQTT", () => new LengthPrefixedFramer({ prefix: "varint", offset: 1, strip: 0, limit: 40 }), binary],
  ["frames of 3 bytes", () => new FixedLengthFramer({ length: 3 }), binary],
  ["netstrings", () => new NetstringFramer({ limit: 10 }), netstrings],
  ["netstrings, skipped", () => new NetstringFramer({ limit: 10, onTooLong: skip }), netstrings],
];

for (const [name, make, bytes] of framers) {
  Deno.test(`the same bytes are the same frames, whole, byte by byte and at every split: ${name}`, () => {
    fc.assert(fc.property(bytes, (data) => {
      const whole = feed(make(), [data]);
      assertEquals(feed(make(), byteByByte(data)), whole);
      assertEquals(feedBuffers(make(), [data]), whole);
      assertEquals(feedBuffers(make(), byteByByte(data)), whole);
      for (let i = 1; i < data.length; i++) {
        assertEquals(feed(make(), [data.subarray(0, i), data.subarray(i)]), whole, `split at ${i}`);
      }
    }));
  });

  Deno.test(`bytes that are taken and put back are the same frames: ${name}`, () => {
    fc.assert(fc.property(bytes, fc.array(fc.nat(20), { maxLength: 20 }), (data, counts) => {
      const framer = make();
      const seen: string[] = [];
      if (framer.onTooLong !== undefined) framer.onTooLong = (error) => seen.push(`skipped ${error.length}`);
      let turn = 0;
      try {
        framer.push(data);
        for (const frame of framer) {
          seen.push(keep(frame));
          const taken = framer.takeBytes(counts[turn++ % counts.length] ?? 0);
          framer.unread(turn % 2 === 0 ? taken : taken.slice());
        }
      } catch (error) {
        seen.push(`${(error as Error).name}: ${(error as Error).message}`);
      }
      assertEquals(seen, feed(make(), [data]));
    }));
  });
}

/** A frame in short. */
function digest(frame: unknown): string {
  return `${(frame as Uint8Array | string).length} ${crc32(frame as Uint8Array | string)}`;
}

/** Text of ASCII whose letters tell their place. */
function letters(length: number): Uint8Array {
  return pattern(length).map((byte) => 97 + byte % 26);
}

Deno.test("long frames are the same frames in pieces of any size", () => {
  const makes: [() => Framer<Uint8Array | string>, (length: number) => Uint8Array][] = [
    [() => new LineFramer({ limit: 500_000 }), (length) => concat([letters(length), bytes("\n")])],
    [() => new LineFramer({ limit: 500_000 }), (length) => bytes("é".repeat(length >> 1) + "\r\n")],
    [() => new LengthPrefixedFramer(), (length) => concat(new LengthPrefixedFramer().encode(pattern(length)))],
    [() => new NetstringFramer(), (length) => concat(new NetstringFramer().encode(pattern(length)))],
  ];
  const lengths = fc.array(fc.oneof(fc.nat(100), fc.nat(10_000), fc.nat(400_000)), { maxLength: 30, size: "max" });
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 500, max: 100_000 })), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(fc.constantFrom(...makes), lengths, sizes, ([make, encode], lengths, sizes) => {
      const data = concat(lengths.map(encode));
      const pieces: Uint8Array[] = [];
      for (let at = 0, i = 0; at < data.length;) {
        // Small pieces are few, so that long frames do not take long.
        const size = i < 200 ? sizes[i++ % sizes.length]! : 40_000;
        pieces.push(data.subarray(at, at += size));
      }
      const whole = feed(make(), [data], digest);
      assertEquals(whole.length, lengths.length);
      assertEquals(feed(make(), pieces, digest), whole);
      assertEquals(feedBuffers(make(), pieces, digest), whole);
    }),
    { numRuns: 30 },
  );
});

/** Frames that can be sent and received. */
const content = fc.uint8Array({ maxLength: 300 });
const pairs: [name: string, make: () => Framer<Uint8Array>, frames: fc.Arbitrary<Uint8Array>][] = [
  ...([1, 2, 3, 4, 8, "varint"] as const).flatMap((prefix) =>
    [true, false].map((littleEndian): [string, () => Framer<Uint8Array>, fc.Arbitrary<Uint8Array>] => [
      `prefix ${prefix}${littleEndian ? ", little-endian" : ""}`,
      () => new LengthPrefixedFramer({ prefix, littleEndian }),
      prefix === 1 ? fc.uint8Array({ maxLength: 255 }) : content,
    ])
  ),
  [
    "offset 2, adjustment 1",
    () => new LengthPrefixedFramer({ offset: 2, adjustment: 1 }),
    fc.uint8Array({ minLength: 1, maxLength: 70 }),
  ],
  ["netstrings", () => new NetstringFramer(), content],
  ["frames of 5 bytes", () => new FixedLengthFramer({ length: 5 }), fc.uint8Array({ minLength: 5, maxLength: 5 })],
  [
    "lines",
    () => new LineFramer<Uint8Array>({ text: false, delimiters: ["\r\n"] }),
    content.filter((line) => !`${line} `.includes("13,10,") && !`${line} `.endsWith("13,10 ")),
  ],
];

for (const [name, make, frames] of pairs) {
  Deno.test(`a frame that is sent is the frame that is received: ${name}`, () => {
    fc.assert(fc.property(fc.array(frames, { maxLength: 10 }), (sent) => {
      const framer = make();
      const wire = concat(sent.flatMap((frame) => framer.encode(frame)));
      assertEquals(feed(make(), byteByByte(wire)), sent.map(keep));
      assertEquals(framer.pending, false);
    }));
  });
}

Deno.test("a frame with bytes of its header is sent as it is received", () => {
  // Type, length with itself, content; the length is written anew.
  const postgres = () => new LengthPrefixedFramer({ offset: 1, adjustment: -4, strip: 0 });
  fc.assert(fc.property(fc.uint8Array({ minLength: 5, maxLength: 300 }), (frame) => {
    const [wire] = postgres().encode(frame) as [Uint8Array];
    assertEquals(new DataView(wire.buffer).getUint32(1), frame.length - 1);
    assertEquals(feed(postgres(), [wire]), [keep(wire)]);
    assertEquals([wire[0], ...wire.subarray(5)], [frame[0]!, ...frame.subarray(5)]);
  }));
  // The length, a sequence number that is not part of the length, content.
  const mysql = (strip: number) => new LengthPrefixedFramer({ prefix: 3, littleEndian: true, adjustment: 1, strip });
  fc.assert(fc.property(content, fc.nat(255), (payload, sequence) => {
    const wire = concat(mysql(4).encode(payload, Uint8Array.of(9, 9, 9, sequence)));
    assertEquals([...wire.subarray(0, 4)], [payload.length & 255, payload.length >> 8, 0, sequence]);
    assertEquals(feed(mysql(4), [wire]), [keep(payload)]);
    assertEquals(feed(mysql(3), [wire]), [keep(Uint8Array.of(sequence, ...payload))]);
  }));
});

Deno.test("the memory of a large frame is dropped when no other follows, so that a silent peer does not hold it", () => {
  class Watched extends LengthPrefixedFramer {
    get memory(): number {
      return this.bytes.buffer.byteLength;
    }
  }
  const framer = new Watched();
  const frame = new Uint8Array(1_000_000).fill(7);
  for (const piece of framer.encode(frame)) framer.push(piece);
  assert(framer.memory >= frame.length);
  const received = framer.nextFrame()!;
  assertEquals(framer.nextFrame(), undefined);
  assert(framer.memory <= 64 * 1024, `${framer.memory} bytes of memory`);
  // Still valid, as it is until the next call of push(), getBuffer() or unread().
  assertEquals(received, frame);
  framer.push(Uint8Array.of(0, 0, 0, 1, 5));
  assertEquals(framer.nextFrame(), Uint8Array.of(5));
});

Deno.test("memory is bounded by the limit, whatever arrives", () => {
  const large = fc.array(
    fc.record({ byte: fc.constantFrom(0, 1, 10, 13, 44, 48, 49, 58, 255), count: fc.integer({ min: 1, max: 20_000 }) }),
    { maxLength: 30 },
  );
  const limit = 4000;
  const makes = [
    () => new LineFramer({ limit, onTooLong: skip }),
    () => new LineFramer<Uint8Array>({ text: false, limit, delimiters: ["\r\n", "\0"], onTooLong: skip }),
    () => new LengthPrefixedFramer({ prefix: 2, limit, onTooLong: skip }),
    () => new LengthPrefixedFramer({ prefix: 8, limit, onTooLong: skip }),
    () => new NetstringFramer({ limit, onTooLong: skip }),
    () => new FixedLengthFramer({ length: limit }),
  ] as (() => Framer<unknown>)[];
  fc.assert(fc.property(fc.constantFrom(...makes), large, (make, runs) => {
    const framer = make();
    for (const { byte, count } of runs) {
      try {
        framer.push(new Uint8Array(count).fill(byte));
        while (framer.nextFrame() !== undefined);
      } catch {
        return; // Not a netstring.
      }
      // The longest frame, and what is before and after it.
      assert(framer.buffered <= limit + 20, `${framer.buffered} bytes are held`);
      const memory = framer.getBuffer(65536);
      framer.bufferUpdated(0);
      assert(memory.buffer.byteLength <= 64 * 1024, `${memory.buffer.byteLength} bytes of memory`);
    }
  }));
});

Deno.test("lines that are decoded together are the same lines as those that are decoded one by one", () => {
  const list = Array.from(
    { length: 400 },
    (_, i) => `${"é日a".repeat(i % 7)}${"x".repeat(i % 90)}${i % 3 ? "\r\n" : "\n"}`,
  );
  const ascii = list.map((line) => line.replace(/[é日]/g, "-"));
  for (const [name, lines] of Object.entries({ ascii, list, mixed: [...ascii, ...list, ...ascii] })) {
    const data = new TextEncoder().encode(lines.join(""));
    for (const delimiters of [undefined, "\n", "\r\n", ["a\r\n", "\n"]]) {
      for (const limit of [40, 1000]) {
        const options = { ...(delimiters && { delimiters }), limit, onTooLong: () => {} };
        const texts = () => new LineFramer(options);
        assertEquals(feed(texts(), [data]), feed(texts(), byteByByte(data)), `${name} ${delimiters} ${limit}`);
        const views = () => new LineFramer<Uint8Array>({ ...options, text: false });
        assertEquals(feed(views(), [data]), feed(views(), byteByByte(data)), `${name} ${delimiters} ${limit}`);
        assertEquals(feedBuffers(views(), [data]), feed(views(), [data]));
      }
    }
  }
});
