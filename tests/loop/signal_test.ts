import { assert, assertEquals, assertThrows } from "../std.ts";
import { program } from "../program.ts";
import { captureExceptions, EventLog, loop, text, turn } from "../kit.ts";

const posix = { ignore: Deno.build.os === "windows" };

/** Sends a signal to this very process. */
function raise(signal: Deno.Signal): void {
  Deno.kill(Deno.pid, signal);
}

/** Keeps the process alive: a signal handler alone does not. */
function keepAlive(): Disposable {
  const timer = loop.callLater(60_000, () => {});
  return { [Symbol.dispose]: () => timer.cancel() };
}

Deno.test("addSignalHandler() runs the callback with its arguments whenever the signal arrives", posix, async () => {
  using _ = keepAlive();
  const log = new EventLog();
  loop.addSignalHandler("SIGUSR1", (a: number, b: string) => log.add(`${a} ${b}`), 1, "two");
  raise("SIGUSR1");
  assertEquals(log.entries, []);
  await log.until(() => log.entries.length === 1);
  raise("SIGUSR1");
  await log.until(() => log.entries.length === 2);
  assertEquals(loop.removeSignalHandler("SIGUSR1"), true);
  assertEquals(log.entries, ["1 two", "1 two"]);
});

Deno.test(
  "addSignalHandler() replaces the callback of the same signal, and leaves other signals alone",
  posix,
  async () => {
    using _ = keepAlive();
    const log = new EventLog();
    loop.addSignalHandler("SIGUSR1", () => log.add("old"));
    loop.addSignalHandler("SIGUSR2", () => log.add("other"));
    loop.addSignalHandler("SIGUSR1", () => log.add("new"));
    raise("SIGUSR1");
    await log.until(() => log.entries.length === 1);
    raise("SIGUSR2");
    await log.until(() => log.entries.length === 2);
    assertEquals(loop.removeSignalHandler("SIGUSR1"), true);
    assertEquals(loop.removeSignalHandler("SIGUSR2"), true);
    assertEquals(log.entries, ["new", "other"]);
  },
);

Deno.test("removeSignalHandler() tells whether there was one", posix, () => {
  assertEquals(loop.removeSignalHandler("SIGUSR1"), false);
  loop.addSignalHandler("SIGUSR1", () => {});
  assertEquals(loop.removeSignalHandler("SIGUSR1"), true);
  assertEquals(loop.removeSignalHandler("SIGUSR1"), false);
  assertEquals(loop.removeSignalHandler("SIGNONE" as Deno.Signal), false);
});

Deno.test("removeSignalHandler() gives the signal its old meaning back", posix, async () => {
  // A program that has removed its handler is ended by the signal.
  using made = program(
    `
    import { getRunningLoop } from "@tandem/io";
    const loop = getRunningLoop();
    loop.addSignalHandler("SIGUSR1", () => {
      console.log("handled");
      loop.removeSignalHandler("SIGUSR1");
      // Again and again, because Deno may still be about to give the signal back.
      const end = () => {
        Deno.kill(Deno.pid, "SIGUSR1");
        loop.callLater(100, end);
      };
      end();
    });
    loop.callLater(60_000, () => {});
    Deno.kill(Deno.pid, "SIGUSR1");
  `,
    { flags: ["--allow-run"] },
  );
  const { stdout, signal } = await made.command().output();
  assertEquals([text(stdout), signal], ["handled\n", "SIGUSR1"]);
});

Deno.test("addSignalHandler() callback that throws or rejects reaches the exception handler", posix, async () => {
  using _ = keepAlive();
  using exceptions = captureExceptions();
  loop.addSignalHandler("SIGUSR1", function thrower() {
    throw new EvalError("thrown");
  });
  raise("SIGUSR1");
  await exceptions.log.until(() => exceptions.contexts.length === 1);
  loop.addSignalHandler("SIGUSR1", () => Promise.reject(new EvalError("rejected")) as unknown as void);
  raise("SIGUSR1");
  await exceptions.log.until(() => exceptions.contexts.length === 2);
  loop.removeSignalHandler("SIGUSR1");
  assertEquals(exceptions.contexts.map(({ error }) => error!.message), ["thrown", "rejected"]);
  assertEquals(exceptions.contexts[0]!.message, "Exception in callback thrower");
  assert(exceptions.contexts.every(({ handle }) => handle !== undefined));
});

Deno.test("addSignalHandler() throws for what cannot be handled, and the handler before stays", posix, async () => {
  using _ = keepAlive();
  assertThrows(() => loop.addSignalHandler("SIGKILL", () => {}), TypeError, "SIGKILL");
  assertThrows(() => loop.addSignalHandler("SIGNONE" as Deno.Signal, () => {}), TypeError, "SIGNONE");
  const log = new EventLog();
  loop.addSignalHandler("SIGUSR1", () => log.add("still there"));
  assertThrows(
    () => loop.addSignalHandler("SIGUSR1", null as unknown as () => void),
    TypeError,
    "callback must be a function, got null",
  );
  raise("SIGUSR1");
  await log.has("still there");
  loop.removeSignalHandler("SIGUSR1");
  await turn();
});

Deno.test("addSignalHandler() lets a server end in an orderly way on SIGTERM", posix, async () => {
  using made = program(
    `
    import { getRunningLoop, Protocol } from "@tandem/io";
    const loop = getRunningLoop();
    const server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0 });
    loop.addSignalHandler("SIGTERM", (reason) => {
      console.log(reason);
      loop.removeSignalHandler("SIGTERM");
      server.close();
    }, "asked to end");
    console.log("ready");
    await server.serveForever();
    console.log("ended");
  `,
    { flags: ["--allow-net"] },
  );
  const child = made.command({ stdout: "piped", stderr: "inherit" }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let output = (await reader.read()).value!;
  child.kill("SIGTERM");
  for (let part = await reader.read(); !part.done; part = await reader.read()) output += part.value;
  assertEquals([output, (await child.status).code], ["ready\nasked to end\nended\n", 0]);
});
