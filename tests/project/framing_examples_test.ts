/** The examples of frames. */
import { assertEquals } from "../std.ts";
import { bytes, concat, text } from "../kit.ts";
import { Example, run } from "./kit.ts";

/** Sends pieces, each on its own, and reads to the end. */
async function talk(port: number, pieces: string[]): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay();
  for (const piece of pieces) await conn.write(bytes(piece));
  const received: Uint8Array[] = [];
  for await (const chunk of conn.readable) received.push(chunk);
  return text(concat(received));
}

Deno.test("memcached_server.ts stores and finds values, whatever is in them", async () => {
  await using server = new Example("memcached_server.ts", ["0"]);
  const port = await server.port();
  const answer = await talk(port, [
    "set a 7 0 11\r\nget a\r\n",
    "quit\r",
    "\nget a b\r\nset b 0 0 0\r\n\r\nget b\r\nset c 0 0 1\r\nxyz",
    `nonsense\r\n${"x".repeat(3000)}\r\nset d 0 0\r\ndelete a\r\nget a\r\nquit\r\nget b\r\n`,
  ]);
  assertEquals(answer.split("\r\n"), [
    "STORED",
    "VALUE a 7 11",
    "get a",
    "quit",
    "END",
    "STORED",
    "VALUE b 0 0",
    "",
    "END",
    "CLIENT_ERROR bad data chunk",
    "ERROR",
    "CLIENT_ERROR line too long",
    "CLIENT_ERROR bad command line format",
    "DELETED",
    "END",
    "",
  ]);
  server.interrupt();
  assertEquals(await server.end(), { code: 0, stdout: "connected\ndisconnected\nstopped\n", stderr: "" });
});

Deno.test("memcached_server.ts drops a value that is too large, and goes on", async () => {
  await using server = new Example("memcached_server.ts", ["0"]);
  const answer = await talk(await server.port(), [
    "set a 0 0 2000000\r\n",
    "x".repeat(2_000_000),
    "\r\nget a\r\nquit\r\n",
  ]);
  assertEquals(answer, "SERVER_ERROR object too large for cache\r\nEND\r\n");
});

Deno.test("dns_over_tcp_client.ts pipelines its queries, and finds each answer", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    const queries: Uint8Array[] = [];
    const buffer = new Uint8Array(1000);
    for (let held = new Uint8Array(0); queries.length < 2;) {
      held = concat([held, buffer.subarray(0, await conn.read(buffer) ?? 0)]);
      for (let size; held.length >= 2 && held.length >= (size = 2 + held[0]! * 256 + held[1]!);) {
        queries.push(held.slice(2, size));
        held = held.slice(size);
      }
    }
    // The second answer first, byte by byte; the first query has none.
    for (const [i, query] of queries.reverse().entries()) {
      const address = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9];
      const header = [query[0]!, query[1]!, 0x81, i === 0 ? 0x80 : 0x83, 0, 1, 0, i === 0 ? 1 : 0, 0, 0, 0, 0];
      const message = Uint8Array.of(...header, ...query.subarray(12), ...i === 0 ? address : []);
      for (const byte of [message.length >> 8, message.length & 255, ...message]) await conn.write(Uint8Array.of(byte));
    }
    await conn.read(buffer);
  })();
  const { port } = listener.addr;
  const result = await run("dns_over_tcp_client.ts", ["127.0.0.1", `${port}`, "none.test", "some.test"]);
  assertEquals(result, {
    code: 0,
    stdout: "some.test: 192.0.2.9\nnone.test: the server answers with code 3\n",
    stderr: "",
  });
  await serving;
});
