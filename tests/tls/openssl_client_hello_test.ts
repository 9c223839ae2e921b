/** The name that a ClientHello requests, before OpenSSL has seen it. */
import { isWholeHello, readServerName } from "../../tls/openssl/client_hello.ts";
import { assertEquals } from "../std.ts";

const sized = (width: number, bytes: number[]): number[] => [
  ...Array.from({ length: width }, (_, i) => bytes.length >> 8 * (width - 1 - i) & 255),
  ...bytes,
];
const record = (bytes: number[]): number[] => [22, 3, 1, ...sized(2, bytes)];
const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

/** A ClientHello with extensions. */
function hello(extensions: number[] | null): number[] {
  const body = [3, 3, ...new Array(32).fill(7), ...sized(1, []), ...sized(2, [0x13, 1]), ...sized(1, [0])];
  return [1, ...sized(3, extensions === null ? body : [...body, ...sized(2, extensions)])];
}

const sni = (name: string, kind = 0) => [0, 0, ...sized(2, sized(2, [kind, ...sized(2, ascii(name))]))];
const other = [0, 16, ...sized(2, [0, 3, 2, 104, 50])];

Deno.test("readServerName() returns the name, behind other extensions, and an empty one if there is none", () => {
  const read = (message: number[]) => readServerName(new Uint8Array(record(message)));
  assertEquals(read(hello([...other, ...sni("a.test")])), "a.test");
  assertEquals(read(hello(other)), "");
  assertEquals(read(hello([])), "");
  assertEquals(read(hello(null)), "");
  assertEquals(read(hello(sni("a.test", 1))), "");
  assertEquals(read(hello(sni("a\u0000b"))), "");
});

Deno.test("readServerName() returns a host name in lower case, and never a path, an address or what no certificate is for", () => {
  const read = (name: string) => readServerName(new Uint8Array(record(hello(sni(name)))));
  const long = `${"a".repeat(63)}.`.repeat(4);
  for (
    const name of ["a.test", "a-b.c_d.test", "xn--bcher-kva.test", "1.test", "localhost", "localhost.", long.slice(2)]
  ) {
    assertEquals(read(name.toUpperCase()), name);
  }
  const wrong = [
    "../../secret",
    "a/b",
    "a\\b",
    "a..b",
    ".",
    "-a",
    "a-",
    "*.test",
    "a b",
    "é",
    "",
    `a${long}`,
    "a".repeat(64),
  ];
  for (const name of [...wrong, "127.0.0.1", "::1", "[::1]", "12", "a.12", "x".repeat(60_000)]) {
    assertEquals(read(name), "", name);
  }
});

Deno.test("readServerName() waits for all of a ClientHello, which records and reads can divide", () => {
  const message = hello([...sni("a.test"), ...other]);
  const whole = new Uint8Array([
    ...record(message.slice(0, 3)),
    ...record(message.slice(3, 60)),
    ...record(message.slice(60)),
  ]);
  const ends = [5, 8, 13, 70, 75, whole.length];
  for (let size = 0; size < whole.length; size++) {
    assertEquals(readServerName(whole.subarray(0, size)), ends.find((end) => end > size));
  }
  assertEquals(readServerName(whole), "a.test");
  assertEquals(readServerName(new Uint8Array([...whole, 20, 3, 3, 0, 1, 1])), "a.test");
});

Deno.test("readServerName() does not wait for what is no ClientHello", () => {
  const cases = [ascii("GET / HTTP/1.1\r\n"), [22, 9], [21, 3, 3, 0, 2, 2, 40], [22, 3, 1, 0, 0], [22, 3, 1, 255, 255]];
  cases.push(record([2, 0, 0, 1, 0]), [22, 3, 1, 0, 9, 2], record([1, 0, 0, 2, 3, 3]));
  for (const bytes of cases) assertEquals(readServerName(new Uint8Array(bytes)), "", `${bytes}`);
});

Deno.test("readServerName() gives up a ClientHello that is longer, or of more records, than any client makes, in time", () => {
  const message = [1, ...sized(3, new Array(50_000).fill(0))];
  const tiny = new Uint8Array(message.flatMap((byte) => record([byte])));
  assertEquals(readServerName(tiny), null);
  assertEquals(readServerName(new Uint8Array(record([1, 0, 0xff, 0xfb]))), 14);
  assertEquals(readServerName(new Uint8Array(record([1, 0, 0xff, 0xfc]))), null);
  assertEquals(readServerName(new Uint8Array([1, 1, 0, 0].flatMap((byte) => record([byte])))), null);
});

Deno.test("isWholeHello() is true for a ClientHello in one record, whatever follows, and for nothing else", () => {
  const whole = record(hello([...sni("a.test"), ...other]));
  const is = (bytes: number[]) => isWholeHello(new Uint8Array(bytes));
  assertEquals([is(whole), is([...whole, 20, 3]), is(record([...hello([]), 4, 0]))], [true, true, true]);
  for (let size = 0; size < whole.length; size++) assertEquals(is(whole.slice(0, size)), false);
  const message = hello([]);
  const divided = [...record(message.slice(0, 20)), ...record(message.slice(20))];
  const long = record([1, ...sized(3, new Array(16 * 1024 - 3).fill(0))]);
  const cases = [divided, long, record([2, ...message.slice(1)]), [23, ...whole.slice(1)], [22, 2, ...whole.slice(2)]];
  for (const bytes of [...cases, ascii("GET / HTTP/1.1\r\n"), record([1, 0, 0])]) assertEquals(is(bytes), false);
});
