/** Bad input: each error names the call, the argument, what is accepted and what was given. */
import { assertEquals, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes } from "../kit.ts";
import { InvalidStateError } from "../../mod.ts";
import {
  FixedLengthFramer,
  FixedLengthProtocol,
  FrameProtocol,
  type Framer,
  FrameTooLongError,
  InvalidFrameError,
  LengthPrefixedFramer,
  LengthPrefixedProtocol,
  LineFramer,
  LineProtocol,
  NetstringFramer,
  NetstringProtocol,
} from "../../framing/mod.ts";

// deno-lint-ignore no-explicit-any -- the options are wrong on purpose, so no type of ours fits them
type Any = any;

/** Each class, its options, and the error. */
const wrong: [Class: Any, options: unknown, error: typeof TypeError | typeof RangeError, message: string][] = [
  [LineFramer, { limit: -1 }, RangeError, "limit must be a whole number of bytes, 1 or more, got number -1"],
  [LineFramer, { limit: "9" }, TypeError, 'limit must be a whole number of bytes, 1 or more, got string "9"'],
  [LineFramer, { delimiters: "" }, TypeError, 'delimiters must be a non-empty string, got string ""'],
  [LineFramer, { delimiters: [] }, TypeError, "delimiters must have at least one delimiter, got none"],
  [LineFramer, { delimiters: ["a", new Uint8Array()] }, TypeError, "delimiters[1] must not be empty, got 0 bytes"],
  [
    LineFramer,
    { delimiters: 10 },
    TypeError,
    "delimiters must be a string or a Uint8Array, or an array of these, got number 10",
  ],
  [
    LineFramer,
    { delimiters: ["\r\n", "\r"] },
    TypeError,
    '"\\r\\n" can never end a line, because "\\r" ends it before',
  ],
  [LineFramer, { delimiters: ["xaby", "ab"] }, TypeError, '"xaby" can never end a line, because "ab" ends it before'],
  [LineFramer, { delimiters: [5] }, TypeError, "delimiters[0] must be a string or a Uint8Array, got number 5"],
  // deno-lint-ignore no-sparse-arrays
  [LineFramer, { delimiters: [, "a"] }, TypeError, "delimiters[0] must be a string or a Uint8Array, got undefined"],
  [LineFramer, { text: 1 }, TypeError, "text must be a boolean, got number 1"],
  [LineFramer, { onTooLong: 1 }, TypeError, "onTooLong must be a function, got number 1"],
  [LineFramer, { limits: 1 }, TypeError, "limits is not an option; did you mean limit?"],
  [LineProtocol, { limit: 0 }, RangeError, "limit must be a whole number of bytes, 1 or more, got number 0"],
  [LineProtocol, { frameTimeout: 0 }, RangeError, "frameTimeout must be a number of milliseconds from 1 to"],
  [LineProtocol, { tooLong: "drop" }, TypeError, 'tooLong must be "close" or "skip", got string "drop"'],
  [LineProtocol, { loop: {} }, TypeError, "loop must be an EventLoop, got Object"],
  [LineProtocol, { onTooLong: () => {} }, TypeError, "onTooLong is not an option"],
  [LineProtocol, [], TypeError, "options must be a plain object, got Array"],
  [LengthPrefixedFramer, { prefix: 5 }, TypeError, 'prefix must be 1, 2, 3, 4, 8 or "varint", got number 5'],
  [LengthPrefixedFramer, { offset: -1 }, RangeError, "offset must be a whole number, 0 or more, got number -1"],
  [LengthPrefixedFramer, { strip: 5 }, RangeError, "strip must be a whole number from 0 to 4, got number 5"],
  [LengthPrefixedFramer, { littleEndian: "yes" }, TypeError, "littleEndian must be a boolean"],
  [LengthPrefixedFramer, { adjustment: 0.5 }, RangeError, "adjustment must be a whole number"],
  [
    LengthPrefixedFramer,
    { prefix: 1, limit: 1000 },
    RangeError,
    "limit must be from 1 to 255 bytes, the most that a length of 1 byte can say, got 1000",
  ],
  [
    LengthPrefixedProtocol,
    { prefix: 2, adjustment: 10, limit: 65546 },
    RangeError,
    "limit must be from 1 to 65545 bytes, the most that a length of 2 bytes and the adjustment can say, got 65546",
  ],
  [
    LengthPrefixedProtocol,
    { prefix: 1, adjustment: -255 },
    RangeError,
    "adjustment must be a whole number, -254 or more, got number -255",
  ],
  [LengthPrefixedProtocol, { limit: Infinity }, RangeError, "limit must be a whole number of bytes, 1 or more"],
  [LengthPrefixedProtocol, { lenght: 2 }, TypeError, "lenght is not an option"],
  [FixedLengthFramer, {}, TypeError, "length must be a whole number of bytes, 1 or more, got undefined"],
  [FixedLengthProtocol, { length: 0 }, RangeError, "length must be a whole number of bytes, 1 or more, got number 0"],
  [NetstringFramer, { limit: 1e15 }, RangeError, "limit must be a whole number of bytes from 1 to 999999999999999"],
  [NetstringProtocol, { limit: -1 }, RangeError, "limit must be a whole number of bytes from 1 to"],
];

for (const [Class, options, error, message] of wrong) {
  Deno.test(`${Class.name}() rejects ${JSON.stringify(options)}`, () => {
    assertThrows(() => new Class(options), error, `${Class.name}(): `);
    assertThrows(() => new Class(options), error, message);
  });
}

Deno.test("encode() rejects a frame longer than its prefix can say, and other frames that would not arrive", () => {
  const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [
      () => new LengthPrefixedFramer({ prefix: 1 }).encode(new Uint8Array(256)),
      RangeError,
      "encode(): frame must have from 0 to 255 bytes after its length, which the length can say, got 256",
    ],
    [
      () => new LengthPrefixedFramer({ prefix: 1, adjustment: 2 }).encode(new Uint8Array(1)),
      RangeError,
      "frame must have from 2 to 257 bytes after its length, which the length can say, got 1",
    ],
    [
      () => new LengthPrefixedFramer({ offset: 1 }).encode(new Uint8Array(1), new Uint8Array(2)),
      RangeError,
      "encode(): head must have 1 bytes, got 2 bytes",
    ],
    [
      () => new LengthPrefixedFramer({ strip: 0 }).encode(new Uint8Array(3)),
      RangeError,
      "encode(): frame must have the header that strip leaves in it, got 3 bytes",
    ],
    [
      () => new LengthPrefixedFramer({ prefix: "varint", strip: 0 }).encode(Uint8Array.of(2, 0)),
      RangeError,
      "encode(): frame must have its length in it, 1, as a varint",
    ],
    [() => new LengthPrefixedFramer().encode("x" as Any), TypeError, 'frame must be a Uint8Array, got string "x"'],
    [() => new LineFramer().encode("a\nb"), TypeError, "encode(): line must not contain a delimiter"],
    [() => new LineFramer().encode("QUIT\r\n"), TypeError, "encode(): line must not contain a delimiter"],
    [
      () => new LineFramer({ delimiters: ["\n", "\r\n"] }).encode("a\r"),
      TypeError,
      "line must not contain a delimiter",
    ],
    [() => new LineFramer().encode(1 as Any), TypeError, "line must be a string or a Uint8Array, got number 1"],
    [() => new FixedLengthFramer({ length: 2 }).encode(bytes("a")), RangeError, "frame must have 2 bytes, got 1 bytes"],
    [() => new NetstringFramer().encode(null as Any), TypeError, "encode(): frame must be a Uint8Array, got null"],
  ];
  for (const [run, error, message] of cases) assertThrows(run, error, message);
});

Deno.test("sendFrame() rejects the same frames, and its errors name it", () => {
  const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [() => new LineProtocol().sendFrame("a\nb"), TypeError, "sendFrame(): line must not contain a delimiter: it would"],
    [
      () => new LengthPrefixedProtocol({ prefix: 1 }).sendFrame(new Uint8Array(256)),
      RangeError,
      "sendFrame(): frame must have from 0 to 255 bytes after its length, which the length can say, got 256",
    ],
    [
      () => new LengthPrefixedProtocol({ offset: 1 }).sendFrame(new Uint8Array(1), new Uint8Array(2)),
      RangeError,
      "sendFrame(): head must have 1 bytes, got 2 bytes",
    ],
    [
      () => new FixedLengthProtocol({ length: 2 }).sendFrame(bytes("a")),
      RangeError,
      "sendFrame(): frame must have 2 bytes, got 1 bytes",
    ],
    [
      () => new NetstringProtocol().sendFrame(null as Any),
      TypeError,
      "sendFrame(): frame must be a Uint8Array, got null",
    ],
  ];
  for (const [run, error, message] of cases) {
    const { stack } = assertThrows(run, error, message);
    assertEquals(stack?.includes(message), true);
  }
  // An error of a framer of one's own is passed on as it is.
  const own = new SyntaxError("encode(): mine");
  class Own extends LineFramer {
    override encode(): never {
      throw own;
    }
  }
  assertStrictEquals(assertThrows(() => new FrameProtocol(new Own()).sendFrame(""), SyntaxError), own);
});

Deno.test("push(), bufferUpdated(), takeBytes() and unread() reject what they cannot use", () => {
  const framer = new LineFramer();
  assertThrows(() => framer.push("x" as Any), TypeError, 'push(): bytes must be a Uint8Array, got string "x"');
  assertThrows(() => framer.bufferUpdated(1), InvalidStateError, "bufferUpdated(): getBuffer() must be called before");
  const { length } = framer.getBuffer();
  assertThrows(() => framer.bufferUpdated(length + 1), RangeError, `nbytes must be a whole number from 0 to ${length}`);
  assertThrows(() => framer.takeBytes(-1), RangeError, "takeBytes(): max must be a whole number, 0 or more");
  assertThrows(() => framer.unread([] as Any), TypeError, "unread(): bytes must be a Uint8Array, got Array");
  const protocol = new LineProtocol();
  assertThrows(
    () => protocol.setRawMode(-1),
    RangeError,
    "setRawMode(): count must be a whole number of bytes, 0 or more",
  );
  assertThrows(() => protocol.setLineMode("x" as Any), TypeError, "setLineMode(): rest must be a Uint8Array");
  assertThrows(
    () => new FrameProtocol(new LineFramer(), { x: 1 } as Any),
    TypeError,
    "FrameProtocol(): x is not an option",
  );
});

Deno.test("nextFrame() throws the error of a frame again and again, and push() too", () => {
  const framer = new LineFramer({ limit: 2 });
  framer.push(bytes("ab\nabc\nab\n"));
  assertEquals(framer.nextFrame(), "ab");
  for (let i = 0; i < 2; i++) {
    assertThrows(() => framer.nextFrame(), FrameTooLongError, "longer than the limit of 2 bytes");
  }
  assertThrows(() => framer.push(bytes("x")), FrameTooLongError);
  assertEquals(framer.buffered, 0);
});

Deno.test("bytes that are no frame are an InvalidFrameError, which says what was expected", () => {
  const cases: [Framer<unknown>, Uint8Array, string][] = [
    [new NetstringFramer(), bytes("x"), "a netstring must have a digit, got the byte 120"],
    [
      new NetstringFramer(),
      bytes("3abc"),
      "a netstring must have a digit or a colon after the length, got the byte 97",
    ],
    [new NetstringFramer(), bytes("03:abc,"), "a netstring must have no zero before a length, got the byte 51"],
    [new NetstringFramer(), bytes("3:abcd"), "a netstring must have a comma at its end, got the byte 100"],
    [
      new NetstringFramer(),
      bytes("1234567890123456"),
      "a netstring must have a length of 15 digits at most, got the byte 54",
    ],
    [new LengthPrefixedFramer({ adjustment: -4 }), Uint8Array.of(0, 0, 0, 3), "a length is 3, but must be 4 or more"],
    [new LengthPrefixedFramer({ prefix: "varint" }), new Uint8Array(10).fill(255), "a varint has more than 10 bytes"],
  ];
  for (const [framer, data, message] of cases) {
    framer.push(data);
    assertThrows(() => framer.nextFrame(), InvalidFrameError, message);
    assertThrows(() => framer.nextFrame(), InvalidFrameError, message);
  }
});

Deno.test("a lone U+FEFF and bytes that are not UTF-8 stay characters of a line", () => {
  const framer = new LineFramer();
  framer.push(Uint8Array.of(0xef, 0xbb, 0xbf, 97, 10, 0xff, 98, 10, 99, 10));
  assertEquals([...framer], ["\ufeffa", "\ufffdb", "c"]);
});
