/** What becomes of exceptions: rules 13 and 14. */
import type { ExceptionContext, Transport } from "../../../mod.ts";
import { assertEquals, assertInstanceOf, assertStrictEquals } from "../../std.ts";
import { BufferedRecorder, bytes, pattern, Recorder } from "../../kit.ts";
import { type Medium, Scenarios } from "../scenario.ts";

/** A recorder that throws in one callback, after recording it. */
function throwing<R extends Recorder | BufferedRecorder>(recorder: R, callback: string, error: unknown): R {
  const methods = recorder as unknown as Record<string, (argument: unknown) => unknown>;
  const original = methods[callback]!.bind(recorder);
  methods[callback] = (argument) => {
    original(argument);
    throw error;
  };
  return recorder;
}

/** Asserts what the exception handler was told, once. */
function assertTold(contexts: ExceptionContext[], message: string, error: unknown, protocol: { transport: Transport }) {
  assertEquals(contexts.map((context) => context.message), [message]);
  assertEquals(Object.keys(contexts[0]!).sort(), ["error", "message", "protocol", "transport"]);
  assertStrictEquals<unknown>(contexts[0]!.error, error);
  assertStrictEquals<unknown>(contexts[0]!.transport, protocol.transport);
  assertStrictEquals<unknown>(contexts[0]!.protocol, protocol);
}

export const errors = new Scenarios();

for (const callback of ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost"]) {
  errors.add(`an exception in ${callback}() only reaches the exception handler`, async (medium) => {
    using captured = medium.captureExceptions();
    const error = new Error("oops");
    const protocol = throwing(new Recorder(), callback, error);
    await using pair = await medium.connect(() => protocol, () => new Recorder());
    const { transport } = protocol;
    transport.setWriteBufferLimits({ high: 10 });
    transport.write(pattern(100));
    await pair.clientSide.untilReceived(100);
    await protocol.log.has("resumeWriting");
    pair.clientTransport.write(bytes("alive"));
    await protocol.untilReceived(5);
    transport.close();
    await protocol.untilLost();
    assertEquals(protocol.log.entries, [
      "connectionMade",
      "pauseWriting",
      "resumeWriting",
      "dataReceived 5",
      "connectionLost null",
    ]);
    await medium.turn();
    assertTold(captured.contexts, `Exception in protocol.${callback}()`, error, protocol);
  });
}

/** Has a protocol fail by a byte that it receives, while much waits to be sent. */
async function expectFatal(medium: Medium, protocol: Recorder | BufferedRecorder, callback: string, entries: string[]) {
  using captured = medium.captureExceptions();
  const error = new RangeError("bad bytes");
  throwing(protocol, callback, error);
  await using pair = await medium.connect(() => protocol, () => new Recorder());
  pair.clientTransport.pauseReading();
  protocol.transport.write(pattern(medium.much));
  pair.clientTransport.write(bytes("x"));
  await captured.log.has("Fatal error");
  assertEquals(protocol.transport.isClosing(), true);
  await protocol.untilLost();
  const told = protocol.log.entries.filter((entry) => entry !== "pauseWriting");
  assertEquals(told, ["connectionMade", ...entries, "connectionLost RangeError"]);
  assertStrictEquals(protocol.error, error);
  assertTold(captured.contexts, `Fatal error: protocol.${callback}() call failed.`, error, protocol);
}

errors.add(
  "an exception in dataReceived() is fatal: the handler is told, then connectionLost(error)",
  async (medium) => {
    await expectFatal(medium, new Recorder(), "dataReceived", ["dataReceived 1"]);
  },
);

errors.add(
  "an exception in bufferUpdated() is fatal: the handler is told, then connectionLost(error)",
  async (medium) => {
    await expectFatal(medium, new BufferedRecorder(), "bufferUpdated", ["bufferUpdated 1"]);
  },
);

errors.add("an exception in getBuffer() is fatal: the handler is told, then connectionLost(error)", async (medium) => {
  using captured = medium.captureExceptions();
  const error = new RangeError("no memory");
  const protocol = throwing(new BufferedRecorder(), "getBuffer", error);
  await using pair = await medium.connect(() => protocol, () => new Recorder());
  pair.clientTransport.write(bytes("x"));
  await protocol.untilLost();
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost RangeError"]);
  assertStrictEquals(protocol.error, error);
  assertTold(captured.contexts, "Fatal error: protocol.getBuffer() call failed.", error, protocol);
});

errors.add("a fatal exception on one connection leaves the others alone", async (medium) => {
  using captured = medium.captureExceptions();
  class Picky extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      if (this.text.includes("!")) throw new Error("picky");
      this.transport.write(data);
    }
  }
  await using pair = await medium.connect(() => new Picky(), () => new Recorder());
  const [rude, rudeSide] = await medium.dial(pair.server, () => new Recorder());
  rude.write(bytes("!"));
  await captured.log.has("Fatal error");
  pair.clientTransport.write(bytes("still there?"));
  await pair.clientSide.untilReceived(12);
  assertEquals(captured.contexts.length, 1);
  await rudeSide.untilLost();
});

errors.add("what is thrown and is no Error arrives wrapped in one, whatever it is", async (medium) => {
  const thrown = ["text", undefined, null, 42n, Symbol("s"), Object.create(null)];
  for (const value of thrown) {
    using captured = medium.captureExceptions();
    const protocol = throwing(new Recorder(), "dataReceived", value);
    await using pair = await medium.connect(() => protocol, () => new Recorder());
    pair.clientTransport.write(bytes("x"));
    await protocol.untilLost();
    const { error } = protocol;
    assertInstanceOf(error, Error);
    assertStrictEquals(error.cause, value);
    assertStrictEquals(captured.contexts[0]!.error, error);
  }
});
