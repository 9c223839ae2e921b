import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "../std.ts";
import { InvalidStateError, type SubprocessTransport } from "../../mod.ts";
import { runProgram } from "../program.ts";
import { bytes, loop, pattern, turn } from "../kit.ts";
import { exec, ProcessRecorder, run, sh } from "./kit.ts";

Deno.test("getPipeTransport() gives the pipes there are, null for the rest", async () => {
  const child = await exec("cat", [], { stdout: "null" });
  const { transport } = child;
  assertEquals([1, 3, -1].map((fd) => transport.getPipeTransport(fd)), [null, null, null]);
  const [stdin, stderr] = [transport.getPipeTransport(0)!, transport.getPipeTransport(2)!];
  assertStrictEquals(transport.getPipeTransport(0), stdin);
  assertEquals([stdin.canWriteEof(), stderr.isReading()], [true, true]);
  stdin.close();
  await child.untilLost();
  assertEquals([child.count("pipeConnectionLost 1"), child.count("pipeConnectionLost")], [0, 2]);
  // They are still known, and closed.
  assert(transport.getPipeTransport(0)!.isClosing());
});

Deno.test("write() to a child's standard input and its answer carry 4 MiB both ways at once, intact", async () => {
  const child = await exec("cat");
  const data = pattern(4 * 1024 * 1024);
  child.stdin.write(data);
  assert(child.stdin.getWriteBufferSize() > 0);
  child.stdin.close();
  await child.untilLost();
  assertEquals(child.data(1).length, data.length);
  assertEquals(child.data(1), data);
  assertEquals(child.transport.getReturncode(), 0);
  assertEquals(child.log.entries.filter((entry) => entry.endsWith("Writing")), ["pauseWriting", "resumeWriting"]);
});

Deno.test("pauseWriting() and resumeWriting() of a child's protocol pace what goes to its standard input", async () => {
  const pieces = 64;
  class Feeder extends ProcessRecorder {
    #sent = 0;
    largest = 0;
    override connectionMade(transport: SubprocessTransport): void {
      super.connectionMade(transport);
      this.feed();
    }
    override resumeWriting(): void {
      super.resumeWriting();
      this.feed();
    }
    feed(): void {
      const before = this.count("pauseWriting");
      while (this.count("pauseWriting") === before && this.#sent < pieces) {
        this.stdin.write(pattern(16 * 1024, this.#sent++));
        this.largest = Math.max(this.largest, this.stdin.getWriteBufferSize());
      }
      if (this.#sent === pieces) this.stdin.writeEof();
    }
  }
  const [, child] = await loop.subprocessExec(() => new Feeder(), "cat");
  await child.untilLost();
  const expected = Array.from({ length: pieces }, (_, i) => pattern(16 * 1024, i)).flatMap((piece) => [...piece]);
  assertEquals(child.data(1), new Uint8Array(expected));
  assertEquals(child.largest, 80 * 1024);
  assertEquals(child.count("pauseWriting"), child.count("resumeWriting"));
});

Deno.test("a child that closes its standard input early gives pipeConnectionLost(0, BrokenPipe), and lives on", async () => {
  const child = await sh("exec 0<&-; trap 'echo bye; exit 0' TERM; echo closed; while :; do sleep 0.05; done");
  await child.untilReceived(7);
  child.stdin.write(bytes("unwanted"));
  await child.log.has("pipeConnectionLost 0");
  assertEquals(child.log.entries, ["connectionMade", "pipeDataReceived 1", "pipeConnectionLost 0 BrokenPipe"]);
  assertEquals((child.pipeErrors.get(0) as Error & { code?: string }).code, "EPIPE");
  child.stdin.write(bytes("dropped"));
  assertEquals(child.transport.getReturncode(), null);
  child.transport.terminate();
  await child.untilLost();
  assertEquals([child.text(1), child.transport.getReturncode()], ["closed\nbye\n", 0]);
});

Deno.test("a child that ends with unread input gives pipeConnectionLost(0, BrokenPipe), then connectionLost(null)", async () => {
  const child = await exec("true");
  child.stdin.write(new Uint8Array(1024 * 1024));
  await child.untilLost();
  assertEquals(child.pipeErrors.get(0)!.name, "BrokenPipe");
  assertEquals([child.transport.getReturncode(), child.log.entries.at(-1)], [0, "connectionLost null"]);
});

for (const end of ["close", "writeEof"] as const) {
  Deno.test(`${end}() on a child's standard input is its end of file`, async () => {
    const child = await exec("cat");
    child.stdin.write(bytes("to the end"));
    child.stdin[end]();
    if (end === "writeEof") assertThrows(() => child.stdin.write(bytes("more")), InvalidStateError);
    await child.untilLost();
    assertEquals([child.text(1), child.transport.getReturncode()], ["to the end", 0]);
    assertEquals(child.pipeErrors.get(0), null);
  });
}

Deno.test("abort() on a child's standard input drops what is buffered, and is its end of file", async () => {
  const child = await sh("trap go=1 USR1; echo ready; while [ -z $go ]; do sleep 0.05; done; cat | wc -c");
  await child.untilReceived(6);
  child.stdin.write(new Uint8Array(1024 * 1024));
  child.stdin.abort();
  await child.log.has("pipeConnectionLost 0");
  child.transport.sendSignal("SIGUSR1");
  await child.untilLost();
  assertEquals(child.pipeErrors.get(0), null);
  assertLess(Number(child.text(1).slice(6)), 1024 * 1024);
});

Deno.test("close() on a child's standard output breaks its pipe", async () => {
  const child = await exec("yes");
  await child.untilReceived(1);
  child.transport.getPipeTransport(1)!.close();
  await child.untilLost();
  // 13 is SIGPIPE.
  assertEquals([child.transport.getReturncode(), child.pipeErrors.get(1)], [-13, null]);
});

Deno.test("pauseReading() on a child's standard output stops the child, resumeReading() lets it go on", async () => {
  const size = 8 * 1024 * 1024;
  class Paused extends ProcessRecorder {
    override connectionMade(transport: SubprocessTransport): void {
      super.connectionMade(transport);
      transport.getPipeTransport(1)!.pauseReading();
    }
  }
  const args = ["-c", `${size}`, "/dev/zero"];
  const options = { args, stdin: "null", stderr: "null" } as const;
  const [transport, paused] = await loop.subprocessExec(() => new Paused(), "head", options);
  // Another one, that is read, runs to its end meanwhile.
  await run("head", args);
  assertEquals([transport.getReturncode(), ...paused.log.entries], [null, "connectionMade"]);
  if (Deno.build.os === "linux") {
    const written = /^wchar: (\d+)$/m.exec(Deno.readTextFileSync(`/proc/${transport.getPid()}/io`))![1];
    assertLess(Number(written), size / 8);
  }
  transport.getPipeTransport(1)!.resumeReading();
  await paused.untilReceived(1);
  // Once more, with a read in flight.
  transport.getPipeTransport(1)!.pauseReading();
  const received = paused.data(1).length;
  await run("head", args);
  assertEquals([paused.data(1).length, transport.getReturncode()], [received, null]);
  transport.getPipeTransport(1)!.resumeReading();
  await paused.untilLost();
  assertEquals([paused.data(1).length, transport.getReturncode()], [size, 0]);
});

Deno.test('subprocessExec() with stderr: "stdout" merges both into one pipe, in the order of writing', async () => {
  const script = "i=0; while [ $i -lt 200 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; exit 3";
  const child = await sh(script, { stderr: "stdout" });
  assertEquals(child.transport.getPipeTransport(2), null);
  await child.untilLost();
  assertEquals(child.text(1), Array.from({ length: 200 }, (_, i) => `o${i}\ne${i}\n`).join(""));
  assertEquals(child.data(2).length, 0);
  assertEquals(child.log.entries.filter((entry) => entry.startsWith("pipeConnectionLost")).sort(), [
    "pipeConnectionLost 0 null",
    "pipeConnectionLost 1 null",
  ]);
  assertEquals(child.transport.getReturncode(), 3);
});

Deno.test('subprocessExec() with stderr: "stdout" leaves standard input and signals alone', async () => {
  await using child = await exec("cat", ["-", "/no/such/file"], { stderr: "stdout", env: { LC_ALL: "C" } });
  child.stdin.write(bytes("input\n"));
  child.stdin.close();
  await child.untilLost();
  // By the name that Deno, too, starts it under, which is a path.
  assertMatch(child.text(1), /^input\n\/\S+\/cat: \/no\/such\/file: No such file or directory\n$/);
  assertEquals(child.transport.getReturncode(), 1);
  const killed = await exec("sleep", ["60"], { stderr: "stdout" });
  killed.transport.terminate();
  await killed.untilLost();
  assertEquals(killed.transport.getReturncode(), -15);
});

Deno.test('subprocessExec() with stderr: "stdout" and stdout: "null" drops both', async () => {
  const child = await run("/bin/sh", ["-c", "echo out; echo err >&2; exit 6"], { stdout: "null", stderr: "stdout" });
  assertEquals(child.log.entries, ["connectionMade", "processExited 6", "connectionLost null"]);
});

Deno.test('stdin: "null" is at its end at once; stdout and stderr: "null" are nowhere', async () => {
  const child = await exec("sh", ["-c", "cat; echo out; echo err >&2"], {
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  await child.untilLost();
  assertEquals(child.log.entries, ["connectionMade", "processExited 0", "connectionLost null"]);
});

Deno.test('stdout and stderr: "inherit" are our own, merged or not', async () => {
  const { code, stdout, stderr } = await runProgram(
    `import { getRunningLoop } from "@tandem/io";
    const loop = getRunningLoop();
    for (const stderr of ["inherit", "stdout"]) {
      const ended = Promise.withResolvers();
      await loop.subprocessShell(() => ({ connectionLost: ended.resolve }), "cat; echo out; echo err >&2", {
        stdin: "inherit",
        stdout: "inherit",
        stderr,
      });
      await ended.promise;
    }`,
    { flags: ["--allow-run"] },
  );
  assertEquals([code, stdout, stderr], [0, "out\nout\nerr\n", "err\n"]);
});

Deno.test("pipeDataReceived() is given bytes that are never overwritten", async () => {
  await using child = await exec("cat");
  for (let i = 0; i < 3; i++) {
    child.stdin.write(new Uint8Array(1000).fill(i));
    await child.untilReceived(1000 * (i + 1));
    await turn();
  }
  assertEquals(child.data(1), new Uint8Array(3000).map((_, i) => Math.floor(i / 1000)));
  assertNotEquals(child.pieces.length, 0);
});
