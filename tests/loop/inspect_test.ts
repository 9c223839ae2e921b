/** `loop.inspect()` over the sockets of the engine under test. */
import { DatagramProtocol, SubprocessProtocol, type TransportInfo } from "../../mod.ts";
import { assert, assertEquals, assertGreater } from "../std.ts";
import { bytes, EventLog, loop, Recorder, turn } from "../kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;

class ServerSide extends Recorder {}
class ClientSide extends Recorder {}

/** What the loop has of the protocols of one class. Other tests may have left something. */
function ofProtocol(name: string): TransportInfo[] {
  return loop.inspect().transports.filter(({ protocol }) => protocol === name);
}

for (const options of [{}, { tls: SERVER }]) {
  const tls = "tls" in options;
  Deno.test(`inspect() describes both ends of a ${tls ? "TLS" : "TCP"} connection and its server`, async () => {
    const side = new ServerSide();
    const client = new ClientSide();
    await using server = await loop.createServer(() => side, { ...LOCAL, ...options });
    const to = { hostname: "127.0.0.1", port: server.port, ...tls && { tls: TRUSTING } };
    await loop.createConnection(() => client, to);
    client.transport.write(bytes("hello"));
    await side.untilReceived(5);
    side.transport.write(bytes("hi"));
    await client.untilReceived(2);

    const [{ age, idle, ...rest }, ...more] = ofProtocol("ClientSide") as [TransportInfo];
    assertEquals(more, []);
    assert(age >= 0 && idle === 0);
    assertEquals(rest, {
      kind: "stream",
      protocol: "ClientSide",
      peername: client.transport.getExtraInfo("peername"),
      sockname: client.transport.getExtraInfo("sockname"),
      tls,
      bytesReceived: 2,
      bytesSent: 5,
      writeBufferSize: 0,
      closing: false,
      readingPaused: null,
      writingPaused: null,
      pid: null,
      pipes: [],
    });
    const [accepted] = ofProtocol("ServerSide");
    assertEquals([accepted!.bytesReceived, accepted!.bytesSent, accepted!.peername], [5, 2, rest.sockname]);

    const find = () =>
      loop.inspect().servers.filter(({ addresses: [a] }) => a && "port" in a && a.port === server.port);
    const [described] = find();
    assertEquals({ ...described, age: 0 }, {
      addresses: server.addresses,
      serving: true,
      draining: false,
      connections: 1,
      handshakes: 0,
      proxyHeaders: 0,
      age: 0,
    });
    assertEquals(JSON.parse(JSON.stringify(described)), described);
    client.transport.close();
    assert(ofProtocol("ClientSide")[0]!.closing);
    await client.untilLost();
    await side.untilLost();
    server.close();
    await server.waitClosed();
    assertEquals([ofProtocol("ClientSide"), ofProtocol("ServerSide"), find()], [[], [], []]);
  });
}

Deno.test("inspect() says who has paused a direction, and since when", async () => {
  const side = new ServerSide();
  const client = new ClientSide();
  await using server = await loop.createServer(() => side, LOCAL);
  await loop.createConnection(() => client, { port: server.port });
  client.transport.pauseReading();
  client.transport.pauseReading();
  const { readingPaused } = ofProtocol("ClientSide")[0]!;
  assertEquals(readingPaused!.by, "program");
  assert(readingPaused!.for! >= 0 && readingPaused!.for! < 60_000);
  await turn();
  while (side.transport === undefined) await turn();
  side.transport.writeOwned(new Uint8Array(30_000_000));
  const { writingPaused, writeBufferSize } = ofProtocol("ServerSide")[0]!;
  assertEquals(writingPaused!.by, "peer");
  assertGreater(writeBufferSize, 65_536);
  client.transport.resumeReading();
  assertEquals(ofProtocol("ClientSide")[0]!.readingPaused, null);
  await client.untilReceived(30_000_000);
  assertEquals(ofProtocol("ServerSide")[0]!.writingPaused, null);
  client.transport.close();
  await client.untilLost();
});

Deno.test("inspect() describes datagrams", async () => {
  const log = new EventLog();
  let count = 0;
  class Receiver extends DatagramProtocol {
    override datagramReceived(): void {
      count++;
      log.changed();
    }
  }
  class Sender extends DatagramProtocol {}
  const [receiver] = await loop.createDatagramEndpoint(() => new Receiver(), { localAddr: LOCAL });
  const remoteAddr = receiver.getExtraInfo("sockname") as Deno.NetAddr;
  const [sender] = await loop.createDatagramEndpoint(() => new Sender(), {
    remoteAddr: { hostname: remoteAddr.hostname, port: remoteAddr.port },
  });
  sender.sendto(bytes("abc"));
  sender.sendto(bytes("de"));
  await log.until(() => count === 2);
  await turn();
  const [sent] = ofProtocol("Sender");
  assertEquals([sent!.kind, sent!.bytesSent, sent!.bytesReceived], ["datagram", 5, 0]);
  assertEquals(sent!.peername, sender.getExtraInfo("peername"));
  const [received] = ofProtocol("Receiver");
  assertEquals([received!.bytesSent, received!.bytesReceived], [0, 5]);
  assertEquals([received!.peername, received!.sockname], [null, remoteAddr]);
  sender.close();
  receiver.close();
  while (ofProtocol("Sender").length + ofProtocol("Receiver").length > 0) await turn();
});

Deno.test(
  "inspect() describes a child with its pipes, and a pipe",
  { ignore: Deno.build.os === "windows" },
  async () => {
    const lost = Promise.withResolvers<void>();
    const log = new EventLog();
    let received = 0;
    class Child extends SubprocessProtocol {
      override pipeDataReceived(_fd: number, data: Uint8Array): void {
        received += data.length;
        log.changed();
      }
      override connectionLost(): void {
        lost.resolve();
      }
    }
    const [transport] = await loop.subprocessExec(() => new Child(), "cat", {});
    transport.getPipeTransport(0)!.write(bytes("hello"));
    await log.until(() => received === 5);
    const [child] = ofProtocol("Child");
    const counts = [child!.kind, child!.pid, child!.bytesReceived, child!.bytesSent];
    assertEquals(counts, ["subprocess", transport.getPid(), 5, 5]);
    assertEquals(child!.pipes.map(({ fd, bytesReceived, bytesSent }) => [fd, bytesReceived, bytesSent]), [
      [0, 0, 5],
      [1, 5, 0],
      [2, 0, 0],
    ]);
    transport.getPipeTransport(0)!.close();
    await lost.promise;
    await turn();
    assertEquals(ofProtocol("Child"), []);

    const pipe = new ClientSide();
    const { readable, writable } = new TransformStream<Uint8Array>();
    await loop.connectReadPipe(() => pipe, readable);
    assertEquals(ofProtocol("ClientSide").map(({ kind, peername }) => [kind, peername]), [["pipe", null]]);
    await writable.close();
    await pipe.untilLost();
    await turn();
    assertEquals(ofProtocol("ClientSide"), []);
  },
);
