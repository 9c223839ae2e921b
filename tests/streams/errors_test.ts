import type { ExceptionContext, StreamCallbacks, Transport } from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "../std.ts";
import { describe } from "../../errors.ts";
import { bytes, captureExceptions, connect, loop, pattern, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks, serveRaw } from "./kit.ts";

/** A recorder that throws in one callback, after recording it. */
function throwing(callback: string, error: unknown): Recorder {
  const recorder = new Recorder();
  const methods = recorder as unknown as Record<string, (argument: unknown) => unknown>;
  const original = methods[callback]!.bind(recorder);
  methods[callback] = (argument) => {
    original(argument);
    throw error;
  };
  return recorder;
}

for (const callback of ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost"]) {
  Deno.test(`an exception in ${callback}() only reaches the exception handler`, async () => {
    using captured = captureExceptions();
    const error = new Error("oops");
    const handle = new FakeHandle();
    const protocol = throwing(callback, error);
    const transport = makeTransport(protocol, handle);
    transport.write(pattern(100_000));
    await microtasks();
    await handle.take(100_000);
    handle.deliver(bytes("alive"));
    transport.close();
    await turn();
    assertEquals(protocol.log.entries, [
      "connectionMade",
      "pauseWriting",
      "resumeWriting",
      "dataReceived 5",
      "connectionLost null",
    ]);
    assertEquals(handle.closed, true);
    assertContexts(captured.contexts, [{ message: `Exception in protocol.${callback}()`, error, transport, protocol }]);
  });
}

Deno.test("a callback that is async and rejects reaches the exception handler and ends nothing", async () => {
  const callbacks = [
    "connectionMade",
    "dataReceived",
    "pauseWriting",
    "resumeWriting",
    "eofReceived",
    "connectionLost",
  ];
  for (const callback of callbacks) {
    using captured = captureExceptions();
    const error = new Error(callback);
    const protocol: StreamCallbacks = { [callback]: () => Promise.reject(error) };
    const handle = new FakeHandle();
    const transport = makeTransport(protocol, handle);
    transport.write(pattern(100_000));
    await microtasks();
    await handle.take(100_000);
    handle.deliver(bytes("x"));
    await microtasks();
    assertEquals(transport.isClosing(), false);
    handle.end();
    transport.close();
    await turn();
    await turn();
    const message = `protocol.${callback}() is async and rejected`;
    assertContexts(captured.contexts, [{ message, error, transport, protocol }]);
  }
});

Deno.test("bufferUpdated() that is async and rejects reaches the exception handler and ends nothing", async () => {
  using captured = captureExceptions();
  const error = new Error("later");
  const handle = new FakeHandle();
  const protocol: StreamCallbacks = {
    getBuffer: () => new Uint8Array(8),
    bufferUpdated: () => Promise.reject(error) as unknown as void,
  };
  const transport = makeTransport(protocol, handle);
  handle.deliver(bytes("x"));
  await microtasks();
  assertEquals(transport.isClosing(), false);
  const message = "protocol.bufferUpdated() is async and rejected";
  assertContexts(captured.contexts, [{ message, error, transport, protocol }]);
  transport.abort();
  await turn();
});

Deno.test("getBuffer() that is async is fatal, and its rejection ends nothing", async () => {
  using captured = captureExceptions();
  const getBuffer = () => Promise.reject(new Error("later")) as unknown as Uint8Array;
  await using peer = await serveRaw(() => ({ getBuffer, bufferUpdated() {} }));
  // Over Deno, the connection has already ended, because getBuffer() is called before bytes are there.
  await peer.conn.write(bytes("x")).catch(() => {});
  await captured.log.has("Fatal error: protocol.getBuffer()");
  const fatal = captured.contexts.filter(({ message }) => message.startsWith("Fatal error: protocol.getBuffer()"));
  assertEquals(fatal.length, 1);
  assert(fatal[0]!.error!.message.includes("Promise"));
});

Deno.test("an exception handler that throws or rejects itself ends nothing", async () => {
  const printed: string[] = [];
  const { error: print } = console;
  console.error = (...parts) => void printed.push(parts.map(String).join(" "));
  const before = loop.getExceptionHandler();
  try {
    for (const fail of ["throw", "reject"] as const) {
      loop.setExceptionHandler(() => {
        if (fail === "throw") throw new Error("handler");
        return Promise.reject(new Error("handler"));
      });
      await using peer = await serveRaw(() => throwing("dataReceived", new Error("protocol")));
      await peer.conn.write(bytes("x"));
      await peer.protocol.untilLost();
      assertEquals(peer.protocol.log.entries, ["connectionMade", "dataReceived 1", "connectionLost Error"]);
    }
  } finally {
    loop.setExceptionHandler(before);
    console.error = print;
  }
  const both = ["Exception in the exception handler", "Fatal error: protocol.dataReceived() call failed."];
  assertEquals(printed.length, 4);
  for (const [i, line] of printed.entries()) assertStringIncludes(line, both[i % 2]!);
});

Deno.test("an error of the system reaches connectionLost() and not the exception handler", async () => {
  using captured = captureExceptions();
  const handle = new FakeHandle();
  const recorder = new Recorder();
  makeTransport(recorder, handle);
  const error = new Deno.errors.ConnectionReset("gone");
  handle.failRead(error);
  await turn();
  assertStrictEquals(recorder.error, error);
  assertEquals(captured.contexts, []);
});

Deno.test("writeOwned() of an array that is then detached ends that connection only", async () => {
  for (const size of [10, 100_000]) {
    await using pair = await connect(() => new Recorder(), () => new Recorder());
    const data = pattern(size);
    pair.clientTransport.writeOwned(data);
    structuredClone(data, { transfer: [data.buffer] });
    await pair.clientSide.untilLost();
    await pair.serverSide.untilLost();
    assertInstanceOf(pair.clientSide.error, TypeError);
    assertEquals(pair.serverSide.received, 0);
  }
});

Deno.test("writeOwned() of an array that is detached or shrunk while its write is pending ends that connection only", async () => {
  for (const harm of ["detach", "shrink"]) {
    await using pair = await connect(() => new Recorder(), () => new Recorder());
    const { serverSide, clientSide, clientTransport } = pair;
    serverSide.transport.pauseReading();
    const memory = new ArrayBuffer(20_000_000, { maxByteLength: 20_000_000 });
    clientTransport.writeOwned(new Uint8Array(memory));
    // Until the kernel takes no more.
    for (let left = -1; left !== clientTransport.getWriteBufferSize(); await turn()) {
      left = clientTransport.getWriteBufferSize();
    }
    if (harm === "detach") memory.transfer();
    else memory.resize(10);
    serverSide.transport.resumeReading();
    await clientSide.untilLost();
    assertInstanceOf(clientSide.error, Error);
    await serverSide.untilLost();
    assertEquals(serverSide.data.every((byte) => byte === 0), true);
  }
});

Deno.test("memory of getBuffer() that is detached during the read ends that connection only", async () => {
  const handle = new FakeHandle();
  const buffer = new Uint8Array(16);
  const recorder = new Recorder();
  const transport = makeTransport({ getBuffer: () => buffer, bufferUpdated() {} }, handle);
  transport.setProtocol(recorder);
  structuredClone(buffer, { transfer: [buffer.buffer] });
  handle.fill(3);
  await turn();
  assertEquals(transport.isClosing(), true);
  assertInstanceOf(recorder.error, TypeError);
});

Deno.test("a {conn} whose methods throw at once ends that connection only", async () => {
  for (const method of ["read", "write", "closeWrite"] as const) {
    const error = new Deno.errors.BadResource("no such thing");
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    using peer = await listener.accept();
    conn[method] = () => {
      throw error;
    };
    const recorder = new Recorder();
    const [transport] = await loop.createConnection(() => recorder, { conn });
    transport.write(bytes("x"));
    if (method === "closeWrite") {
      await peer.read(new Uint8Array(1));
      await turn();
      transport.writeEof();
    }
    await recorder.untilLost();
    assertStrictEquals(recorder.error, error);
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost BadResource"], method);
    await turn();
  }
});

Deno.test("createConnection() to a port without a listener rejects with Deno's own error and its code", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  let made = 0;
  const error = await assertRejects(
    () => loop.createConnection(() => (made++, new Recorder()), { hostname: "127.0.0.1", port }),
    Deno.errors.ConnectionRefused,
  );
  assertEquals((error as Error & { code: string }).code, "ECONNREFUSED");
  assertEquals(made, 0);
});

Deno.test("createConnection() to a host that has no address rejects with Deno's own error, and names it", async () => {
  // A label of 64 characters cannot be: no name server is asked.
  const hostname = `${"x".repeat(64)}.invalid`;
  const ours = await assertRejects(() => loop.createConnection(() => new Recorder(), { hostname, port: 1 }), Error);
  const denos = await assertRejects(() => Deno.connect({ hostname, port: 1 }), Error);
  assertEquals(
    [ours.name, ours.message],
    [denos.name, `createConnection(): cannot resolve ${hostname}: ${denos.message}`],
  );
});

/** Compares contexts key by key, objects by identity. */
function assertContexts(actual: ExceptionContext[], expected: ExceptionContext[]): void {
  assertEquals(actual.map(({ message }) => message), expected.map(({ message }) => message));
  for (const [i, context] of actual.entries()) {
    assertEquals(Object.keys(context).sort(), Object.keys(expected[i]!).sort());
    for (const key of ["error", "protocol"] as const) assertStrictEquals(context[key], expected[i]![key]);
    assertStrictEquals(context.transport as Transport, expected[i]!.transport as Transport);
  }
}

Deno.test("an error calls an instance of a class without a name an object", () => {
  const Anonymous = (() => class {})();
  assertEquals([describe(new Anonymous()), describe({}), describe(Object.create(null))], [
    "object",
    "Object",
    "object",
  ]);
});
