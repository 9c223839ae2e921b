/** The pair of a child process, by `subprocessExec()`. */
import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "../std.ts";
import { InvalidStateError } from "../../mod.ts";
import { toStreams } from "../../streams/mod.ts";
import { bytes, captureExceptions, loop, pattern, text, turn } from "../kit.ts";

/** Starts a shell with a script. */
function sh(script: string, options: Parameters<typeof loop.subprocessShell>[2] = {}, limit?: number) {
  return loop.subprocessShell(toStreams({ limit }), script, options);
}

Deno.test("toStreams() makes a pair of a child, whose writer is its input and whose reader its output", async () => {
  const [child, { pair, stderr }] = await loop.subprocessExec(toStreams(), "sort");
  pair.writer.write(bytes("pear\napple\n"));
  pair.writer.writeEof();
  const lines = [];
  for await (const line of pair.reader.lines()) lines.push(text(line));
  assertEquals(lines, ["apple\n", "pear\n"]);
  assertEquals((await stderr!.read()).length, 0);
  await pair.closed;
  assertEquals(child.getReturncode(), 0);
  assertEquals(pair.transport.getExtraInfo("subprocess"), child.getExtraInfo("subprocess"));
  await turn();
});

Deno.test("the pair of a child has its standard error as another reader, and closed waits for the child", async () => {
  const [child, { pair, stderr }] = await sh("echo out; echo bad >&2; exit 3", { stdin: "null" });
  assertEquals(text(await stderr!.readLine()), "bad\n");
  assertEquals(text(await pair.reader.read()), "out\n");
  assertEquals((await stderr!.read()).length, 0);
  await pair.closed;
  assertEquals(child.getReturncode(), 3);
  assertThrows(() => pair.writer.write(bytes("x")), InvalidStateError);
  await turn();
});

Deno.test("the web streams of a child's pair carry megabytes through it, with none lost", async () => {
  const [, { pair }] = await loop.subprocessExec(toStreams(), "cat", { stderr: "null" });
  const data = pattern(3_000_000);
  const [, received] = await Promise.all([
    new Blob([data]).stream().pipeTo(pair.writable),
    new Response(pair.readable).bytes(),
  ]);
  assertEquals(received.length, data.length);
  assert(received.every((byte, i) => byte === data[i]));
  await pair.closed;
  await turn();
});

Deno.test("a child whose output is not read is paused, and drain() waits for one that does not read", async () => {
  const [child, { pair }] = await sh("exec yes", { stderr: "null" }, 1000);
  const stdout = child.getPipeTransport(1)!;
  while (stdout.isReading()) await turn();
  pair.writer.write(new Uint8Array(300_000));
  assertGreater(pair.transport.getWriteBufferSize(), 0);
  await assertRejects(() => pair.writer.drain({ signal: AbortSignal.abort(new EvalError("enough")) }), EvalError);
  const draining = pair.writer.drain();
  child.kill();
  await assertRejects(() => draining, Error);
  pair.close(); // what was not read keeps the pipe open
  await pair.closed;
  await turn();
});

Deno.test("cancelling readable closes the child's output alone, and close() all of its pipes", async () => {
  const [child, { pair, stderr }] = await sh("yes; echo ended >&2; cat >&2");
  await pair.readable.cancel();
  assertEquals(child.getPipeTransport(1)!.isClosing(), true);
  assertEquals(text(await stderr!.readUntil("ended\n")).slice(-6), "ended\n");
  pair.writer.write(bytes("still open\n"));
  assertEquals(text(await stderr!.readLine()), "still open\n");
  pair.close();
  assertEquals([0, 1, 2].map((fd) => child.getPipeTransport(fd)!.isClosing()), [true, true, true]);
  await pair.closed;
  await turn();
});

Deno.test("a handler gets the pair of a child, and debug mode has nothing to report", async () => {
  using exceptions = captureExceptions();
  loop.setDebug(true);
  try {
    const lines: string[] = [];
    const factory = toStreams({ handler: async ({ reader }) => lines.push(text(await reader.readLine())) });
    const [, { pair }] = await loop.subprocessExec(factory, "echo", { args: ["hello"], stdin: "null", stderr: "null" });
    await pair.closed;
    assertEquals(lines, ["hello\n"]);
    assertEquals(exceptions.contexts, []);
    await turn();
  } finally {
    loop.setDebug(false);
  }
});

Deno.test("toStreams() reports a child without pipes", async () => {
  using exceptions = captureExceptions();
  const options = { args: ["0"], stdin: "null" as const, stdout: "null" as const, stderr: "null" as const };
  const [, { pair }] = await loop.subprocessExec(toStreams(), "sleep", options);
  assertEquals(exceptions.contexts.map(({ error }) => error!.message), [
    "toStreams(): the child must have a pipe, got none",
  ]);
  await pair.closed;
  await turn();
});
