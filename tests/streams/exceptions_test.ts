import { assert, assertEquals, assertMatch, assertStrictEquals, assertStringIncludes, assertThrows } from "../std.ts";
import type { ExceptionContext } from "../../mod.ts";
import { runProgram } from "../program.ts";
import { captureExceptions, loop } from "../kit.ts";

/** Runs a program that is to survive what it does, and gives what it has printed to standard error. */
async function errorsOf(source: string): Promise<string> {
  const { code, stdout, stderr } = await runProgram(
    `
    import { getRunningLoop, Protocol, socketPair } from "@tandem/io";
    const loop = getRunningLoop();
    ${source}
    loop.callLater(20, console.log, "survived");
  `,
    { flags: ["--allow-net"] },
  );
  assertEquals([code, stdout], [0, "survived\n"]);
  return stderr;
}

Deno.test("setExceptionHandler() says who is told, getExceptionHandler() who that is", () => {
  const before = loop.getExceptionHandler();
  const told: ExceptionContext[] = [];
  const handler = (context: ExceptionContext) => void told.push(context);
  loop.setExceptionHandler(handler);
  assertStrictEquals(loop.getExceptionHandler(), handler);
  const context = { message: "for you", error: new EvalError("an error") };
  loop.callExceptionHandler(context);
  loop.setExceptionHandler(null);
  assertStrictEquals(loop.getExceptionHandler(), null);
  loop.setExceptionHandler(before);
  assertEquals(told.length, 1);
  assertStrictEquals(told[0], context);
});

Deno.test("setExceptionHandler() throws for what is neither a function nor null, and keeps the handler before", () => {
  using exceptions = captureExceptions();
  for (const bad of [undefined, "handler", {}, 5]) {
    assertThrows(() => loop.setExceptionHandler(bad as unknown as null), TypeError, "must be a function or null, got");
  }
  loop.callExceptionHandler({ message: "still told" });
  assertEquals(exceptions.contexts, [{ message: "still told" }]);
});

Deno.test("setExceptionHandler() inside a handler counts from the next exception on", () => {
  using exceptions = captureExceptions();
  const inner = loop.getExceptionHandler();
  let calls = 0;
  loop.setExceptionHandler(() => {
    calls++;
    loop.setExceptionHandler(inner);
  });
  loop.callExceptionHandler({ message: "first" });
  loop.callExceptionHandler({ message: "second" });
  assertEquals([calls, exceptions.contexts], [1, [{ message: "second" }]]);
});

Deno.test("the default exception handler prints the message, the error with its stack, and the transport and protocol concerned", async () => {
  const stderr = await errorsOf(`
    class Chatty extends Protocol {
      dataReceived() {
        throw new RangeError("bad bytes");
      }
    }
    const [near, far] = await socketPair();
    await loop.createConnection(() => new Chatty(), { conn: near });
    await far.write(new Uint8Array(1));
    far.close();
    loop.callSoon(function failing() {
      throw new EvalError("in a callback");
    });
  `);
  assertStringIncludes(stderr, "Exception in callback failing");
  assertMatch(stderr, /EvalError: in a callback\n +at failing/);
  assertStringIncludes(stderr, "Fatal error: protocol.dataReceived() call failed.");
  assertMatch(stderr, /transport: StreamTransport/);
  assertMatch(stderr, /protocol: Chatty/);
  assertMatch(stderr, /RangeError: bad bytes\n +at Chatty.dataReceived/);
});

Deno.test("the default exception handler prints the address of the peer", async () => {
  const stderr = await errorsOf(`
    const failing = () => ({
      connectionMade() {
        throw new EvalError("no");
      },
    });
    const reported = Promise.withResolvers();
    loop.setExceptionHandler(reported.resolve);
    const server = await loop.createServer(failing, { hostname: "127.0.0.1", port: 0 });
    const conn = await Deno.connect({ port: server.port });
    console.error("port", conn.localAddr.port);
    loop.defaultExceptionHandler(await reported.promise);
    conn.close();
    await server[Symbol.asyncDispose]();
    const report = (peername) => {
      loop.defaultExceptionHandler({ message: "one", transport: { getExtraInfo: () => peername } });
    };
    report({ transport: "tcp", hostname: "::1", port: 80 });
    report({ transport: "unix", path: "/run/socket" });
    report({ transport: "unix", path: "" });
    report({ bus: 7 });
  `);
  const [, port] = /^port (\d+)\n/.exec(stderr)!;
  assertEquals([...stderr.matchAll(/^ {2}peer: (.*)$/gm)].map(([, peer]) => peer), [
    `127.0.0.1:${port}`,
    "[::1]:80",
    "/run/socket",
    "a Unix socket without a path",
    "{ bus: 7 }",
  ]);
});

Deno.test("the default exception handler prints messages as they are", async () => {
  const stderr = await errorsOf(`loop.defaultExceptionHandler({ message: "100%d of %s %c %%" });`);
  assertEquals(stderr, "100%d of %s %c %%\n");
});

Deno.test("an exception handler that throws or rejects hands over to the default one, and nothing ends", async () => {
  for (
    const handler of [
      "() => { throw new EvalError('of the handler'); }",
      "async () => { throw new EvalError('of the handler'); }",
    ]
  ) {
    const stderr = await errorsOf(`
      loop.setExceptionHandler(${handler});
      loop.callSoon(function failing() {
        throw new RangeError("of the callback");
      });
    `);
    assertStringIncludes(stderr, "Exception in the exception handler");
    assertStringIncludes(stderr, "EvalError: of the handler");
    assertStringIncludes(stderr, "Exception in callback failing");
    assertStringIncludes(stderr, "RangeError: of the callback");
  }
});

Deno.test("callExceptionHandler() never throws, even for an error that cannot be printed", async () => {
  const stderr = await errorsOf(`
    const evil = new Error("evil");
    Object.defineProperty(evil, Symbol.for("Deno.customInspect"), {
      value() {
        throw new Error("of inspect");
      },
    });
    loop.callExceptionHandler({ message: "one", error: evil });
    loop.setExceptionHandler(() => {
      throw evil;
    });
    loop.callExceptionHandler({ message: "two" });
    loop.setExceptionHandler(null);
    for (const thrown of [Object.create(null), Symbol("odd"), undefined]) {
      loop.callSoon(() => {
        throw thrown;
      });
    }
  `);
  assertMatch(stderr, /^one \(the rest of the exception context cannot be printed\)\n/);
  assert(stderr.includes("two") && stderr.includes("Symbol(odd)"));
  assertEquals(stderr.match(/Exception in callback/g)!.length, 3);
});
