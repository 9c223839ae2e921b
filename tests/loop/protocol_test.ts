/** Every call that is given a protocol, or makes one, refuses callbacks that cannot be meant. */
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { Protocol, type Transport } from "../../mod.ts";
import { bytes, captureExceptions, connect, loop, Recorder, turn } from "../kit.ts";

class Typo extends Protocol {
  dataRecieved(): void {}
}

const said = "protocol Typo has dataRecieved(), which is never called; did you mean dataReceived()?";

Deno.test("createConnection() rejects for a misspelt callback, and closes the connection", async () => {
  await using server = await loop.createServer(() => new Recorder(), { hostname: "127.0.0.1", port: 0 });
  const attempt = () => loop.createConnection(() => new Typo(), { port: server.port });
  for (let i = 0; i < 2; i++) {
    const { message } = await assertRejects(attempt, TypeError);
    assertEquals(message, `createConnection(): ${said}`);
  }
});

Deno.test("createServer() reports a misspelt callback of each connection to the exception handler, and goes on", async () => {
  using exceptions = captureExceptions();
  const protocols = [() => new Typo(), () => new Typo(), () => new Recorder()];
  await using server = await loop.createServer(() => protocols.shift()!(), { hostname: "127.0.0.1", port: 0 });
  for (let i = 0; i < 2; i++) {
    const [transport, recorder] = await loop.createConnection(() => new Recorder(), { port: server.port });
    await recorder.untilLost();
    assertEquals(transport.isClosing(), true);
  }
  const [transport, recorder] = await loop.createConnection(() => new Recorder(), { port: server.port });
  transport.close();
  await recorder.untilLost();
  assertEquals(
    exceptions.contexts.map(({ error }) => error?.message),
    Array(2).fill(`createServer(): ${said}`),
  );
});

Deno.test("the calls of datagrams, pipes and processes reject for misspelt callbacks of theirs", async () => {
  for (
    const [call, message] of [
      [
        () => loop.createDatagramEndpoint(() => ({ datagramRecieved() {} } as object), {}),
        "createDatagramEndpoint(): protocol Object has datagramRecieved(), which is never called; did you mean " +
        "datagramReceived()?",
      ],
      [
        () => loop.connectReadPipe(() => new Typo(), new ReadableStream()),
        `connectReadPipe(): ${said}`,
      ],
      [
        () => loop.subprocessExec(() => ({ process_exited() {} } as object), "true"),
        "subprocessExec(): protocol Object has process_exited(), which is never called; did you mean processExited()?",
      ],
    ] as const
  ) assertEquals((await assertRejects(call, TypeError)).message, message);
});

Deno.test("setProtocol() and startTls() refuse a misspelt callback, and the connection goes on as it was", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { clientTransport, clientSide, serverSide } = pair;
  const { message } = assertThrows(() => clientTransport.setProtocol(new Typo()), TypeError);
  assertEquals(message, `setProtocol(): ${said}`);
  const upgrade = () => loop.startTls(clientTransport, new Typo(), { serverHostname: "localhost" });
  assertEquals((await assertRejects(upgrade, TypeError)).message, `startTls(): ${said}`);
  assertStrictEquals(clientTransport.getProtocol(), clientSide);
  serverSide.transport.write(bytes("hello"));
  await clientSide.untilReceived(5);
  const [endpoint] = await loop.createDatagramEndpoint(() => ({}), {});
  assertThrows(() => endpoint.setProtocol({ error_received() {} } as object), TypeError, "errorReceived()?");
  endpoint.abort();
  await turn();
});

Deno.test("debug mode reports an async callback of a class once, however many connections it has", async () => {
  class Awaits extends Recorder {
    override async dataReceived(data: Uint8Array): Promise<void> {
      await Promise.resolve();
      super.dataReceived(data);
    }
  }
  using exceptions = captureExceptions();
  loop.setDebug(true);
  try {
    for (let i = 0; i < 3; i++) {
      await using pair = await connect(() => new Awaits(), () => new Protocol());
      (pair.clientTransport as Transport).write(bytes("x"));
      await pair.serverSide.untilReceived(1);
    }
  } finally {
    loop.setDebug(false);
  }
  assertEquals(exceptions.log.entries, [
    "Protocol Awaits has an async dataReceived(): the next call does not wait for this one to end",
  ]);
});
