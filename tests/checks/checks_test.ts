/** A wrong kind is a TypeError, a number out of range a RangeError, and every message names the method. */
import {
  checkBoolean,
  checkBytes,
  checkExisting,
  checkFactory,
  checkFunction,
  checkHostname,
  checkInteger,
  checkOneOf,
  checkPath,
  checkPieces,
  checkPort,
  checkProtocol,
  checkSignal,
  checkString,
  checkStrings,
  checkTime,
  checkTimeout,
  MAX_PATH,
} from "../../checks.ts";
import { assertEquals, assertThrows } from "../std.ts";

const M = "call()";
const conn = { read() {}, write() {}, close() {}, localAddr: {}, remoteAddr: {} };

for (
  const [name, check, ErrorClass, message] of [
    [
      "checkFactory",
      () => checkFactory(M, {}),
      TypeError,
      "factory must be a function that returns a protocol, got Object",
    ],
    [
      "checkFactory",
      () => checkFactory(M, class Echo {}),
      TypeError,
      "factory must be a function that returns a protocol, got class Echo; write () => new Echo()",
    ],
    [
      "checkFactory",
      () => checkFactory(M, class {}),
      TypeError,
      "factory must be a function that returns a protocol, got class (anonymous); write () => new MyProtocol()",
    ],
    ["checkFunction", () => checkFunction(M, "cb", 1), TypeError, "cb must be a function, got number 1"],
    [
      "checkPort",
      () => checkPort(M, "port", "80", 1),
      TypeError,
      'port must be a whole number from 1 to 65535, got string "80"',
    ],
    [
      "checkPort",
      () => checkPort(M, "port", 0, 1),
      RangeError,
      "port must be a whole number from 1 to 65535, got number 0",
    ],
    [
      "checkPort",
      () => checkPort(M, "port", 1.5, 0),
      RangeError,
      "port must be a whole number from 0 to 65535, got number 1.5",
    ],
    [
      "checkInteger",
      () => checkInteger(M, "n", "5", 1),
      TypeError,
      'n must be a whole number, 1 or more, got string "5"',
    ],
    [
      "checkInteger",
      () => checkInteger(M, "n", NaN, 0, undefined, "bytes"),
      RangeError,
      "n must be a whole number of bytes, 0 or more, got number NaN",
    ],
    ["checkPath", () => checkPath(M, "path", 1), TypeError, "path must be a non-empty string, got number 1"],
    [
      "checkPath",
      () => checkPath(M, "path", "é".repeat(200)),
      TypeError,
      `path must have at most ${MAX_PATH} bytes, got 400 bytes`,
    ],
    [
      "checkPath",
      () => checkPath(M, "path", "/denied\0x"),
      TypeError,
      'path must be a path without a zero byte, got string "/denied\\u0000x"',
    ],
    [
      "checkHostname",
      () => checkHostname(M, "hostname", ""),
      TypeError,
      'hostname must be a host name or an IP address, got string ""',
    ],
    ["checkSignal", () => checkSignal(M, {}), TypeError, "signal must be an AbortSignal, got Object"],
    [
      "checkExisting",
      () => checkExisting(M, "conn", undefined, ["port"], {}),
      TypeError,
      "conn must be a Deno.Conn, got undefined",
    ],
    [
      "checkExisting",
      () => checkExisting(M, "listener", {}, ["port"], {}),
      TypeError,
      "listener must be a Deno.Listener, got Object",
    ],
    [
      "checkExisting",
      () => checkExisting(M, "conn", conn, ["hostname", "port"], { conn, port: 1 }),
      TypeError,
      "conn and port cannot both be given",
    ],
    ["checkProtocol", () => checkProtocol(M, "protocol", null), TypeError, "protocol must be a protocol, got null"],
    [
      "checkProtocol",
      () => checkProtocol(M, "protocol", Promise.resolve()),
      TypeError,
      "protocol must be a protocol, got Promise",
    ],
    ["checkBytes", () => checkBytes(M, "data", "x"), TypeError, 'data must be a Uint8Array, got string "x"'],
    [
      "checkBytes",
      () => checkBytes(M, "data", Object.defineProperty(new Uint8Array(2), "length", { value: 3 })),
      TypeError,
      "data must be a Uint8Array with the length of its memory, 2, got the length number 3",
    ],
    [
      "checkPieces",
      () => checkPieces(M, "pieces", [new Uint8Array(), "x"]),
      TypeError,
      'pieces[1] must be a Uint8Array, got string "x"',
    ],
    ["checkString", () => checkString(M, "key", ""), TypeError, 'key must be a non-empty string, got string ""'],
    ["checkStrings", () => checkStrings(M, "list", "x"), TypeError, 'list must be an array of strings, got string "x"'],
    [
      "checkStrings",
      () => checkStrings(M, "list", ["x", , "y"]),
      TypeError,
      "list[1] must be a non-empty string, got undefined",
    ],
    ["checkBoolean", () => checkBoolean(M, "on", 1), TypeError, "on must be a boolean, got number 1"],
    [
      "checkOneOf",
      () => checkOneOf(M, "stdin", "pipe", ["piped", "inherit", "null"]),
      TypeError,
      'stdin must be "piped", "inherit" or "null", got string "pipe"',
    ],
    [
      "checkTimeout",
      () => checkTimeout(M, "closeTimeout", "5"),
      TypeError,
      'closeTimeout must be a number of milliseconds from 0 to 2147483647, got string "5"',
    ],
    [
      "checkTimeout",
      () => checkTimeout(M, "closeTimeout", -1),
      RangeError,
      "closeTimeout must be a number of milliseconds from 0 to 2147483647, got number -1",
    ],
    [
      "checkTimeout",
      () => checkTimeout(M, "closeTimeout", NaN),
      RangeError,
      "closeTimeout must be a number of milliseconds from 0 to 2147483647, got number NaN",
    ],
    [
      "checkTimeout",
      () => checkTimeout(M, "closeTimeout", null),
      TypeError,
      "closeTimeout must be a number of milliseconds from 0 to 2147483647, got null",
    ],
    [
      "checkTime",
      () => checkTime(M, "delayMs", "5"),
      TypeError,
      'delayMs must be a finite number of milliseconds, got string "5"',
    ],
    [
      "checkTime",
      () => checkTime(M, "delayMs", Infinity),
      RangeError,
      "delayMs must be a finite number of milliseconds, got number Infinity",
    ],
  ] as const
) {
  Deno.test(`${name}() says: ${message}`, () => {
    const error = assertThrows(check, ErrorClass as new (message: string) => Error);
    assertEquals([error.constructor, error.message], [ErrorClass, `${M}: ${message}`]);
  });
}

Deno.test("check functions accept what is allowed, at both ends of each range", () => {
  checkFactory(M, () => ({}));
  for (const factory of [function () {}, { class() {} }.class, { classy() {} }.classy, Object]) {
    checkFactory(M, factory);
  }
  for (const port of [0, 1, 65535]) checkPort(M, "port", port, 0);
  for (const n of [1, Number.MAX_SAFE_INTEGER]) checkInteger(M, "n", n, 1);
  checkPath(M, "path", "x".repeat(MAX_PATH));
  checkPath(M, "path", "\0abstract\0name");
  checkHostname(M, "hostname", "::1");
  for (const signal of [undefined, AbortSignal.abort()]) checkSignal(M, signal);
  checkExisting(M, "conn", conn, ["port"], { conn, port: undefined });
  checkProtocol(M, "protocol", {});
  checkBytes(M, "data", new Uint8Array());
  checkPieces(M, "pieces", [new Uint8Array(), new Uint8Array(1)]);
  checkStrings(M, "list", ["x"]);
  for (const on of [undefined, true, false]) checkBoolean(M, "on", on);
  checkOneOf(M, "stdin", "null", ["piped", "null"]);
  for (const ms of [undefined, 0, 0.5, 2 ** 31 - 1]) checkTimeout(M, "closeTimeout", ms);
  for (const ms of [-1, 0, 1e300]) checkTime(M, "delayMs", ms);
});
