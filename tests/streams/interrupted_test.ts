/** What a call that waits is told when its transport ends: the error that connectionLost() gets, the same one. */
import { assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { SendfileError } from "../../mod.ts";
import { bytes, loop, pattern, Recorder, tempPath, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

function patternFile(): Disposable & { file: Deno.FsFile } {
  const temp = tempPath("file");
  Deno.writeFileSync(temp.path, pattern(1_000_000));
  const file = Deno.openSync(temp.path);
  return {
    file,
    [Symbol.dispose]() {
      file.close();
      temp[Symbol.dispose]();
    },
  };
}

Deno.test("sendfile() has connectionLost()'s error as its cause, wherever the end interrupts it", async () => {
  using source = patternFile();
  const reset = new Deno.errors.ConnectionReset("reset by the test");
  const ends: Record<string, (handle: FakeHandle) => unknown> = {
    "while it reads the file": (handle) => handle.failRead(reset),
    "while the kernel takes bytes": async (handle) => {
      while (!handle.writing) await turn();
      handle.failRead(reset);
    },
    "by the write": async (handle) => {
      while (!handle.writing) await turn();
      await handle.failWrite(reset);
    },
  };
  for (const [when, end] of Object.entries(ends)) {
    const handle = new FakeHandle();
    const protocol = new Recorder();
    const transport = makeTransport(protocol, handle);
    const rejection = assertRejects(() => loop.sendfile(transport, source.file), SendfileError);
    await end(handle);
    const { cause, bytesSent } = await rejection;
    await protocol.untilLost();
    assertStrictEquals(protocol.error, reset, when);
    assertStrictEquals(cause, reset, when);
    assertEquals(bytesSent, 0, when);
  }
});

for (const how of ["close", "abort"] as const) {
  Deno.test(`sendfile() that ${how}() interrupts has no cause, as connectionLost() has none`, async () => {
    using source = patternFile();
    const handle = new FakeHandle();
    const protocol = new Recorder();
    const transport = makeTransport(protocol, handle);
    const rejection = assertRejects(() => loop.sendfile(transport, source.file), SendfileError);
    transport[how]();
    const { cause } = await rejection;
    await protocol.untilLost();
    assertEquals([cause, protocol.error], [undefined, null]);
  });
}

Deno.test("startTls() rejects with connectionLost()'s error, wherever the end interrupts it", async () => {
  const reset = new Deno.errors.ConnectionReset("reset by the test");
  for (const when of ["while TLS is loaded", "while bytes leave"] as const) {
    const handle = new FakeHandle();
    const protocol = new Recorder();
    const transport = makeTransport(protocol, handle);
    transport.write(bytes("before"));
    await microtasks();
    const rejection = assertRejects(
      () => loop.startTls(transport, new Recorder(), { serverHostname: "localhost" }),
      Error,
    );
    if (when === "while bytes leave") { for (let i = 0; i < 20; i++) await turn(); }
    await handle.failWrite(reset);
    assertStrictEquals(await rejection, reset, when);
    await protocol.untilLost();
    assertStrictEquals(protocol.error, reset, when);
  }
});
