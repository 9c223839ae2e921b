import { assertEquals, assertStrictEquals } from "./std.ts";
import { bytes, connect, Recorder } from "./kit.ts";

Deno.test("connectionMade() runs once and before createConnection() resolves", async () => {
  const client = new Recorder();
  await using pair = await connect(() => new Recorder(), () => client);
  assertEquals(client.log.entries, ["connectionMade"]);
  assertStrictEquals(client.transport, pair.clientTransport);
});

Deno.test("close() flushes what is buffered, then connectionLost(null) in a later turn", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("last words"));
  clientSide.transport.close();
  assertEquals(clientSide.log.entries, ["connectionMade"]);
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 10", "eofReceived", "connectionLost null"]);
  assertEquals(serverSide.text, "last words");
});
