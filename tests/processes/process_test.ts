import { runProgram } from "../program.ts";
import { assert, assertEquals, assertGreater, assertInstanceOf, assertRejects, assertThrows } from "../std.ts";
import { ProcessLookupError, type SubprocessTransport } from "../../mod.ts";
import { bytes, captureExceptions, loop, Recorder, turn } from "../kit.ts";
import { exec, ProcessRecorder, run, sh } from "./kit.ts";

Deno.test("subprocessExec() tells of output, of the end, and of every pipe, connectionLost() last", async () => {
  const child = await sh("echo out; echo err >&2; exit 3");
  const { transport, log } = child;
  assertEquals(log.entries, ["connectionMade"]);
  assertGreater(transport.getPid(), 0);
  assertInstanceOf(transport.getExtraInfo("subprocess"), Deno.ChildProcess);
  assertEquals(transport.getReturncode(), null);
  await child.untilLost();
  assertEquals([child.text(1), child.text(2)], ["out\n", "err\n"]);
  assertEquals(log.entries.slice(0, 1), ["connectionMade"]);
  assertEquals(log.entries.slice(-1), ["connectionLost null"]);
  assertEquals(log.entries.slice(1, -1).filter((entry) => !entry.startsWith("pipeDataReceived")).sort(), [
    "pipeConnectionLost 0 null",
    "pipeConnectionLost 1 null",
    "pipeConnectionLost 2 null",
    "processExited 3",
  ]);
  for (const fd of [1, 2]) {
    assert(log.entries.indexOf(`pipeDataReceived ${fd}`) < log.entries.indexOf(`pipeConnectionLost ${fd} null`));
  }
  assertEquals([transport.getReturncode(), transport.isClosing()], [3, true]);
  assertInstanceOf(transport.getExtraInfo("subprocess"), Deno.ChildProcess);
  assertEquals(transport.getExtraInfo("pipe"), null);
});

Deno.test("getReturncode() is the exit code, 126 and 127 of a real program included", async () => {
  for (const code of [0, 1, 2, 126, 127, 255]) {
    for (const stderr of ["piped", "stdout"] as const) {
      const child = await run("/bin/sh", ["-c", `echo ENOENT >&2; exit ${code}`], { stderr });
      assertEquals(child.transport.getReturncode(), code);
      assertEquals(child.text(stderr === "piped" ? 2 : 1), "ENOENT\n");
    }
  }
});

Deno.test("getReturncode() is -N for a child that signal N has ended", async () => {
  const ends: [(transport: SubprocessTransport) => void, number][] = [
    [(transport) => transport.terminate(), -15],
    [(transport) => transport.kill(), -9],
    [(transport) => transport.sendSignal("SIGINT"), -2],
    [(transport) => transport.sendSignal("SIGUSR1"), -10],
    [(transport) => transport.sendSignal(1), -1],
  ];
  for (const [end, code] of ends) {
    const child = await exec("sleep", ["60"]);
    end(child.transport);
    await child.untilLost();
    assertEquals(child.transport.getReturncode(), code);
    assertEquals(child.count("processExited"), 1);
    assertEquals(child.log.entries.at(-1), "connectionLost null");
  }
});

Deno.test({
  name: "getReturncode() is -N for a signal that has a number only",
  // Real-time signals.
  ignore: Deno.build.os !== "linux",
  async fn() {
    // In a Deno of its own, for ours would keep the child's resource: its status rejects, and so never frees it.
    const { code, stdout, stderr } = await runProgram(
      `
      import { getRunningLoop } from "@tandem/io";
      for (const signal of [34, 64]) {
        const lost = Promise.withResolvers<void>();
        const [transport] = await getRunningLoop().subprocessExec(
          () => ({ processExited: () => console.log("processExited"), connectionLost: () => lost.resolve() }),
          "/bin/sh",
          { args: ["-c", \`kill -\${signal} $$\`] },
        );
        await lost.promise;
        console.log(transport.getReturncode());
      }
      `,
      { flags: ["--allow-run"] },
    );
    assertEquals([code, stderr, stdout], [0, "", "processExited\n-34\nprocessExited\n-64\n"]);
  },
});

Deno.test("sendSignal() reaches a child that handles it", async () => {
  await using child = await sh("trap 'echo caught; exit 4' USR1; echo ready; while :; do sleep 0.05; done");
  await child.untilReceived(6);
  child.transport.sendSignal("SIGUSR1");
  await child.untilLost();
  assertEquals([child.text(1), child.transport.getReturncode()], ["ready\ncaught\n", 4]);
});

Deno.test("sendSignal(), terminate() and kill() throw ProcessLookupError after connectionLost()", async () => {
  const child = await run("true");
  const { transport } = child;
  for (const method of ["sendSignal", "terminate", "kill"] as const) {
    const error = assertThrows(() => transport[method]("SIGTERM"), ProcessLookupError);
    assertInstanceOf(error, Deno.errors.NotFound);
    assertEquals([error.name, error.code], ["ProcessLookupError", "ESRCH"]);
    assertEquals(error.message, `${method}(): process ${transport.getPid()} has ended`);
  }
  transport.close();
  await turn();
  assertEquals(child.count("connectionLost"), 1);
});

Deno.test("sendSignal(), terminate() and kill() do nothing from processExited() to connectionLost()", async () => {
  class Late extends ProcessRecorder {
    #signal(): void {
      this.transport.sendSignal("SIGTERM");
      this.transport.terminate();
      this.transport.kill();
    }
    override processExited(): void {
      super.processExited();
      this.#signal();
    }
    override pipeConnectionLost(fd: number, error: Error | null): void {
      super.pipeConnectionLost(fd, error);
      this.#signal();
    }
    override connectionLost(error: Error | null): void {
      super.connectionLost(error);
      this.#signal();
    }
  }
  using exceptions = captureExceptions();
  const [transport, child] = await loop.subprocessExec(() => new Late(), "true");
  await child.untilLost();
  await turn();
  assertEquals(exceptions.log.entries, []);
  assertThrows(() => transport.kill(), ProcessLookupError);
});

Deno.test("sendSignal() throws for what is no signal, and the child lives on", async () => {
  await using child = await exec("cat");
  assertThrows(() => child.transport.sendSignal("SIGNONE" as Deno.Signal), TypeError, "SIGNONE");
  assertThrows(() => child.transport.sendSignal(12345), TypeError);
  child.stdin.write(bytes("alive"));
  await child.untilReceived(5);
  assertEquals(child.text(1), "alive");
});

Deno.test("close() kills a child that runs; its pipes go, then it exits, then connectionLost(null)", async () => {
  const child = await exec("cat");
  child.stdin.write(bytes("x"));
  await child.untilReceived(1);
  child.transport.close();
  child.transport.close();
  assert(child.transport.isClosing());
  assertEquals(child.log.entries, ["connectionMade", "pipeDataReceived 1"]);
  await child.untilLost();
  assertEquals(child.log.entries, [
    "connectionMade",
    "pipeDataReceived 1",
    "pipeConnectionLost 0 null",
    "pipeConnectionLost 1 null",
    "pipeConnectionLost 2 null",
    "processExited -9",
    "connectionLost null",
  ]);
});

Deno.test("close() in connectionMade() kills the child before it is heard of", async () => {
  class Closer extends ProcessRecorder {
    override connectionMade(transport: SubprocessTransport): void {
      super.connectionMade(transport);
      transport.close();
    }
  }
  const [transport, child] = await loop.subprocessExec(() => new Closer(), "yes");
  await child.untilLost();
  assertEquals(transport.getReturncode(), -9);
  assertEquals(child.count("pipeDataReceived"), 0);
  assertEquals(child.log.entries.slice(-2), ["processExited -9", "connectionLost null"]);
});

Deno.test("close() drops what waits for the child's standard input", async () => {
  const child = await exec("sleep", ["60"]);
  child.stdin.write(new Uint8Array(1024 * 1024));
  child.transport.close();
  await child.untilLost();
  assertEquals(child.log.entries.slice(-2), ["processExited -9", "connectionLost null"]);
  assertEquals(child.pipeErrors.get(0), null);
});

Deno.test("using kills a child that runs", async () => {
  const [transport, child] = await loop.subprocessExec(() => new ProcessRecorder(), "cat");
  {
    using _ = transport;
  }
  await child.untilLost();
  assertEquals(transport.getReturncode(), -9);
});

Deno.test("connectionLost() waits for a grandchild that holds the child's standard output", async () => {
  const child = await sh("sleep 60 & echo $!", { stdin: "null", stderr: "null" });
  await child.log.has("processExited");
  await turn();
  assertEquals(child.log.entries, ["connectionMade", "pipeDataReceived 1", "processExited 0"]);
  assertEquals(child.transport.isClosing(), false);
  Deno.kill(Number(child.text(1)), "SIGKILL");
  await child.untilLost();
  assertEquals(child.log.entries.slice(3), ["pipeConnectionLost 1 null", "connectionLost null"]);
});

Deno.test("close() lets go of pipes that a grandchild holds", async () => {
  const child = await sh("sleep 60 & echo $!", { stdin: "null", stderr: "null" });
  await child.log.has("processExited");
  child.transport.close();
  await child.untilLost();
  assertEquals(child.log.entries.slice(3), ["pipeConnectionLost 1 null", "connectionLost null"]);
  Deno.kill(Number(child.text(1)), "SIGKILL");
});

Deno.test("subprocessExec() starts 50 children at once, each with output of its own", async () => {
  const children = await Promise.all(Array.from({ length: 50 }, (_, i) => exec("echo", [`${i}`])));
  await Promise.all(children.map((child) => child.untilLost()));
  assertEquals(children.map((child) => child.text(1)), Array.from({ length: 50 }, (_, i) => `${i}\n`));
  assertEquals(new Set(children.map((child) => child.transport.getPid())).size, 50);
  assertEquals(children.map((child) => child.transport.getReturncode()), Array(50).fill(0));
});

Deno.test("callbacks of a SubprocessProtocol that throw reach the exception handler only", async () => {
  using exceptions = captureExceptions();
  const thrower = (name: string) => () => {
    throw new Error(name);
  };
  const names = [
    "connectionMade",
    "pipeDataReceived",
    "pipeConnectionLost",
    "processExited",
    "connectionLost",
  ] as const;
  const protocol = Object.fromEntries(names.map((name) => [name, thrower(name)]));
  const [transport] = await loop.subprocessExec(() => protocol, "echo", {
    args: ["x"],
    stdin: "null",
    stderr: "null",
  });
  await exceptions.log.has("Exception in protocol.connectionLost()");
  await turn();
  assertEquals(exceptions.contexts.map(({ error }) => error!.message).sort(), [...names].sort());
  assert(exceptions.contexts.every((context) => context.transport === transport && context.protocol === protocol));
});

Deno.test("setProtocol() on a child's transport hands it to the other protocol, pipes included", async () => {
  const first = await exec("cat");
  const second = new ProcessRecorder();
  first.transport.setProtocol(second);
  assertEquals(first.transport.getProtocol(), second);
  second.transport = first.transport;
  first.stdin.write(bytes("to the second"));
  first.stdin.close();
  await second.untilLost();
  assertEquals(second.text(1), "to the second");
  assertEquals(first.log.entries, ["connectionMade"]);
  assertThrows(() => first.transport.setProtocol(null as unknown as object), TypeError);
});

Deno.test("setProtocol() on a child's pipe takes its callbacks, and connectionLost still comes once all has ended", async () => {
  const child = await exec("cat");
  const other = new Recorder();
  child.transport.getPipeTransport(1)!.setProtocol(other);
  child.stdin.write(bytes("to the other"));
  child.stdin.close();
  await child.untilLost();
  assertEquals(other.text, "to the other");
  assertEquals(other.log.entries.at(-1), "connectionLost null");
  assertEquals(child.pieces, []);
  assertEquals([...child.pipeErrors.keys()].sort(), [0, 2]);
});

Deno.test("subprocessExec() takes a plain object with some of the callbacks", async () => {
  const lost = Promise.withResolvers<Error | null>();
  const options = { args: ["-c", "echo x; exit 5"] };
  const [transport] = await loop.subprocessExec(() => ({ connectionLost: lost.resolve }), "sh", options);
  assertEquals([await lost.promise, transport.getReturncode()], [null, 5]);
});

Deno.test("subprocessShell() runs a command line with the shell", async () => {
  const [transport, child] = await loop.subprocessShell(
    () => new ProcessRecorder(),
    `cat | tr a-z A-Z; echo "$((6 * 7)) $GREETING"; exit 9`,
    { env: { GREETING: "hello there" } },
  );
  child.stdin.write(bytes("input\n"));
  child.stdin.close();
  await child.untilLost();
  assertEquals([child.text(1), transport.getReturncode()], ["INPUT\n42 hello there\n", 9]);
});

Deno.test("subprocessExec() and subprocessShell() reject arguments of the wrong kind and start nothing", async () => {
  const start = (program: unknown, options: unknown = {}, factory: unknown = () => ({})) =>
    loop.subprocessExec(factory as () => object, program as string, options as Record<string, never>);
  await assertRejects(() => start(""), TypeError, "program");
  await assertRejects(() => start(null), TypeError, "null");
  await assertRejects(
    () => start("true", { stdin: "pipe" }),
    TypeError,
    'stdin must be "piped", "inherit" or "null"',
  );
  await assertRejects(() => start("true", { stdout: "stdout" }), TypeError, 'got string "stdout"');
  await assertRejects(() => start("true", { stderr: 2 }), TypeError, "number 2");
  await assertRejects(() => start("true", {}, null), TypeError, "factory");
  await assertRejects(() => start("true", {}, () => undefined), TypeError, "protocol, got undefined");
  const failing = () => {
    throw new EvalError("factory");
  };
  await assertRejects(() => start("true", {}, failing), EvalError);
  await assertRejects(
    () => loop.subprocessShell(() => ({}), ["echo"] as unknown as string),
    TypeError,
    "command must be a string",
  );
});
