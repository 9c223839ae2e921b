/** What the default exception handler prints about handlers of connections. */
import { assertEquals, assertMatch } from "../std.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { type StreamHandler, toStreams } from "../../streams/mod.ts";
import { Protocol } from "../../mod.ts";
import { bytes, turn } from "../kit.ts";

/** Returns what is printed when `count` clients send `data` and end. */
async function printed(handler: StreamHandler, count: number, data: string): Promise<string[]> {
  const lines: string[] = [];
  const { error } = console;
  console.error = (_format, line) => void lines.push(line);
  try {
    const loop = new MemoryLoop();
    let calls = 0;
    const counted: StreamHandler = (pair) => (calls++, handler(pair));
    const server = await loop.createServer(toStreams({ handler: counted, limit: 100, loop }), {
      hostname: "10.0.0.1",
      port: 99,
    });
    for (let i = 0; i < count; i++) {
      const [transport] = await loop.createConnection(() => new Protocol(), { hostname: "10.0.0.1", port: 99 });
      transport.write(bytes(data));
      transport.writeEof();
    }
    while (calls < count) await turn();
    server.close();
    while (loop.inspect().transports.length > 0) await turn();
    await server.waitClosed();
  } finally {
    console.error = error;
  }
  return lines;
}

for (
  const [name, handler, data, first] of [
    [
      "IncompleteReadError",
      ({ reader }) => reader.readExactly(10),
      "12345",
      /: IncompleteReadError: the stream ended /,
    ],
    ["LimitOverrunError", ({ reader }) => reader.readLine(), "x".repeat(101), /: LimitOverrunError: no separator was /],
  ] as [string, StreamHandler, string, RegExp][]
) {
  Deno.test(`a flood of connections whose handler throws an ${name} is a few lines of the default exception handler`, async () => {
    const lines = await printed(handler, 45, data);
    assertEquals(lines.length, 12);
    assertMatch(lines[0]!, /^Exception in the handler of a connection: /);
    assertMatch(lines[0]!, first);
    assertMatch(lines.at(-1)!, / \(40 failures of peers; most are no longer printed\)$/);
    assertEquals(lines.some((line) => line.includes("\n")), false);
  });
}

Deno.test("an error of the program in a handler is printed with its stack, however often", async () => {
  const lines = await printed(() => Promise.reject(new RangeError("mine")), 15, "");
  assertEquals(lines.length, 15);
  for (const line of lines) assertMatch(line, /RangeError: mine\n +at /);
});
