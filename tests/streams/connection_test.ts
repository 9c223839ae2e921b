import { Protocol } from "../../mod.ts";
import { Socket } from "../../engines/epoll/mod.ts";
import { assert, assertEquals, assertStrictEquals } from "../std.ts";
import { bytes, connect, loop, pattern, Recorder, turn } from "../kit.ts";
import { closeQuietly, FakeHandle, makeTransport, microtasks, serveResettable } from "./kit.ts";

/** Whether two types are the same, not only assignable. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;

Deno.test("createConnection() gives back the factory's own type and object", async () => {
  class Own extends Protocol {
    readonly answer = 42;
  }
  const own = new Own();
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { port } = pair.server.addresses[0] as Deno.NetAddr;
  const [transport, protocol] = await loop.createConnection(() => own, { hostname: "127.0.0.1", port });
  const sameType: Same<typeof protocol, Own> = true;
  assert(sameType);
  assertStrictEquals(protocol, own);
  assertStrictEquals(transport.getProtocol(), own);
  const literal = { connectionMade() {}, colour: "red" };
  const [other, plain] = await loop.createConnection(() => literal, { hostname: "127.0.0.1", port });
  const sameLiteral: Same<typeof plain, { connectionMade(): void; colour: string }> = true;
  assert(sameLiteral);
  assertEquals(plain.colour, "red");
  transport.abort();
  other.abort();
  await turn();
});

Deno.test("connectionLost() runs once and last, with the system's error, when the peer resets", async () => {
  await using peer = await serveResettable(() => new Recorder());
  await peer.reset();
  await peer.protocol.untilLost();
  await afterTheEnd(peer.protocol);
  assertEquals(peer.protocol.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
  assertEquals((peer.protocol.error as Error & { code: string }).code, "ECONNRESET");
});

Deno.test("connectionLost() never runs inside close() or abort(), nor before the next turn of the loop", async () => {
  for (const method of ["close", "abort"] as const) {
    const recorder = new Recorder();
    const transport = makeTransport(recorder, new FakeHandle());
    transport[method]();
    assertEquals(recorder.log.entries, ["connectionMade"]);
    await microtasks();
    assertEquals(recorder.log.entries, ["connectionMade"], method);
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  }
});

Deno.test("connectionLost() never runs inside write(), even on a handle that fails at once", async () => {
  const recorder = new Recorder();
  const handle = new FakeHandle();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("a"));
  await microtasks();
  await handle.failWrite(new Deno.errors.BrokenPipe("gone"));
  transport.write(bytes("b"));
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost BrokenPipe"]);
});

Deno.test("connectionLost() runs once when a read and a write fail together", async () => {
  const recorder = new Recorder();
  const handle = new FakeHandle();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("a"));
  await microtasks();
  handle.failRead(new Deno.errors.ConnectionReset("read"));
  await handle.failWrite(new Deno.errors.BrokenPipe("write"));
  transport.abort();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
  assertEquals(handle.closed, true);
});

Deno.test("getExtraInfo() still answers after the transport has closed", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { clientTransport, clientSide, serverSide } = pair;
  clientTransport.close();
  await clientSide.untilLost();
  await serverSide.untilLost();
  const peername = clientTransport.getExtraInfo("peername");
  const typed: Same<typeof peername, Deno.Addr | null> = true;
  assert(typed);
  assertEquals(peername, pair.server.addresses[0]!);
  assertEquals(clientTransport.getExtraInfo("sockname"), serverSide.transport.getExtraInfo("peername"));
  const socket = clientTransport.getExtraInfo("socket") as Deno.TcpConn | Socket;
  if (socket instanceof Socket) assertEquals(socket.fd, -1);
  else assertEquals(socket.remoteAddr, peername as Deno.NetAddr);
});

Deno.test("getExtraInfo() gives the default for what it does not know, TLS on a plain connection included", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const transport = pair.clientTransport;
  assertEquals(transport.getExtraInfo("pipe"), null);
  assertEquals(transport.getExtraInfo("pipe", "none"), "none");
  assertEquals(transport.getExtraInfo("toString"), null);
  for (const key of ["cipher", "compression", "peercert", "sslcontext", "sslObject", "alpnProtocol"]) {
    assertEquals(transport.getExtraInfo(key), null);
    assertEquals(transport.getExtraInfo(key, "none"), "none");
  }
});

/** Provokes whatever might still call a protocol whose connection is lost. */
async function afterTheEnd({ transport }: Recorder): Promise<void> {
  transport.write(pattern(200_000));
  transport.setWriteBufferLimits({ high: 0 });
  transport.pauseReading();
  transport.resumeReading();
  transport.close();
  transport.abort();
  closeQuietly({ close: () => transport.writeEof() });
  for (let i = 0; i < 3; i++) await turn();
}
