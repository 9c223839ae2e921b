/** A child's pipes when the child has ended, and a child of its own still holds them. */
import { assert, assertEquals, assertLess } from "../std.ts";
import { bytes, loop, pattern, tempPath, text, turn } from "../kit.ts";
import { ProcessRecorder, sh } from "./kit.ts";

/** A few turns, in which what is about to happen by itself happens. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** Makes a FIFO that a grandchild writes, and reads it to its end, which is the grandchild's. */
async function listenTo(path: string): Promise<{ output: Promise<string> }> {
  const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
  assert(success);
  return { output: Deno.readFile(path).then(text) };
}

for (
  const [holds, redirected] of [["output", "2>/dev/null"], ["error", "1>&2"], ["output and error", ""]] as const
) {
  Deno.test(`write() reaches a grandchild that reads the standard input, and holds the standard ${holds}`, async () => {
    const child = await sh(`exec 3<&0; cat <&3 ${redirected} & exit 4`);
    await child.log.has("processExited 4");
    await settle();
    assertEquals(child.stdin.isClosing(), false);
    child.stdin.write(bytes("one "));
    await child.untilReceived(4);
    await settle();
    child.stdin.write(bytes("two"));
    await child.untilReceived(7);
    assertEquals(child.text(holds === "error" ? 2 : 1), "one two");
    assertEquals(child.count("pipeConnectionLost 0"), 0);
    child.stdin.close();
    await child.untilLost();
    assertEquals(child.pipeErrors, new Map([[0, null], [1, null], [2, null]]));
    assertEquals(child.log.entries.at(-1), "connectionLost null");
  });
}

Deno.test("connectionLost() comes by itself when a grandchild ends that has read the standard input", async () => {
  const child = await sh("exec 3<&0; head -c 5 <&3 & exit 0");
  await child.log.has("processExited");
  await settle();
  child.stdin.write(bytes("hello"));
  await child.untilLost();
  assertEquals(child.text(1), "hello");
  assertEquals(child.log.entries.slice(-2), ["pipeConnectionLost 0 null", "connectionLost null"]);
});

Deno.test("write() to a grandchild that holds the standard output alone gives pipeConnectionLost(0, BrokenPipe)", async () => {
  // It tells its number when it has let go of the standard input.
  const child = await sh("sh -c 'echo $$; exec sleep 60' </dev/null & exit 0", { stderr: "null" });
  await child.log.has("processExited");
  await child.untilReceived(1);
  await settle();
  assertEquals(child.stdin.isClosing(), false);
  child.stdin.write(bytes("not read"));
  await child.log.has("pipeConnectionLost 0 BrokenPipe");
  assertEquals(child.count("connectionLost"), 0);
  Deno.kill(Number(child.text(1)), "SIGKILL");
  await child.untilLost();
});

/** Writes at the pace of flow control, to the end, whatever has ended by then. */
class Feeder extends ProcessRecorder {
  sent = 0;
  sentAtExit = 0;
  #resumed = Promise.withResolvers<void>();

  override resumeWriting(): void {
    super.resumeWriting();
    this.#resumed.resolve();
  }

  override processExited(): void {
    super.processExited();
    this.sentAtExit = this.sent;
  }

  async feed(size: number): Promise<void> {
    const piece = pattern(64 * 1024);
    while (this.sent < size) {
      this.#resumed = Promise.withResolvers();
      const before = this.count("pauseWriting");
      while (this.sent < size && this.count("pauseWriting") === before) {
        this.stdin.write(piece);
        this.sent += piece.length;
      }
      await this.#resumed.promise;
    }
  }
}

for (const stdio of ["null", "piped"] as const) {
  const where = stdio === "null" ? "where there is no other pipe" : "that holds no other pipe";
  Deno.test(`what waits for the standard input of a grandchild ${where} arrives, and more that is written meanwhile`, async () => {
    using temp = tempPath("fifo");
    const size = 4 * 1024 * 1024;
    const { output } = await listenTo(temp.path);
    const script = `exec 3<&0; { cat <&3 | wc -c; } >${temp.path} 2>/dev/null & exit 0`;
    const [, child] = await loop.subprocessShell(() => new Feeder(), script, { stdout: stdio, stderr: stdio });
    child.feed(size);
    await child.untilLost();
    assertEquals(Number(await output), size);
    assertEquals([child.sent, child.pipeErrors.get(0)], [size, null]);
    assertLess(child.sentAtExit, size);
    assertEquals(child.log.entries.at(-1), "connectionLost null");
  });
}

Deno.test("write() inside processExited() and pipeConnectionLost() reaches a grandchild that holds no other pipe", async () => {
  using temp = tempPath("fifo");
  class Late extends ProcessRecorder {
    override processExited(): void {
      super.processExited();
      this.stdin.write(bytes("exited "));
    }
    override pipeConnectionLost(fd: number, error: Error | null): void {
      super.pipeConnectionLost(fd, error);
      if (fd !== 0) this.stdin.write(bytes("lost "));
    }
  }
  const { output } = await listenTo(temp.path);
  const [, child] = await loop.subprocessShell(() => new Late(), `exec 3<&0; cat <&3 >${temp.path} 2>&1 & exit 0`);
  await child.untilLost();
  assertEquals((await output).split(" ").sort(), ["", "exited", "lost", "lost"]);
  assertEquals(child.pipeErrors.get(0), null);
});

Deno.test("a child that ends alone is lost by itself, whatever is piped", async () => {
  for (const stdout of ["piped", "null"] as const) {
    for (const stderr of ["piped", "null", "stdout"] as const) {
      const child = await sh("exit 0", { stdout, stderr });
      await child.untilLost();
      assertEquals(child.pipeErrors.get(0), null);
      assert(child.stdin.isClosing());
      assertEquals(child.log.entries.at(-1), "connectionLost null");
    }
  }
});

Deno.test("connectionLost() waits for output that is not read yet, and the standard input with it", async () => {
  const child = await sh("echo output; exit 0", { stderr: "null" });
  child.transport.getPipeTransport(1)!.pauseReading();
  await child.log.has("processExited");
  await settle();
  assertEquals([child.stdin.isClosing(), ...child.log.entries], [false, "connectionMade", "processExited 0"]);
  child.transport.getPipeTransport(1)!.resumeReading();
  await child.untilLost();
  assertEquals(child.text(1), "output\n");
});
