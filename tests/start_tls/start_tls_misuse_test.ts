/** What cannot be upgraded, and what it cannot be upgraded with: the transport goes on as before. */
import { assertEquals, assertRejects } from "../std.ts";
import {
  DatagramProtocol,
  InvalidStateError,
  type StartTlsOptions,
  SubprocessProtocol,
  TlsContext,
  type Transport,
} from "../../mod.ts";
import { bytes, closed, EventLog, loop, pattern, Recorder, turn } from "../kit.ts";
import { plainPair, upgrade } from "./kit.ts";
import { CA, CLIENT, clientTls, EXPIRED } from "../tls/kit.ts";

Deno.test("startTls() is an InvalidStateError on a transport that is being upgraded, or was", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide } = pair;
  const old = clientSide.transport;
  const upgrading = upgrade(pair);
  await assertRejects(() => loop.startTls(old, clientSide, clientTls()), InvalidStateError, "taken");
  await upgrading;
  await assertRejects(() => loop.startTls(old, clientSide, clientTls()), InvalidStateError, "taken");
  clientSide.transport.write(bytes("still here"));
  await pair.serverSide.untilReceived(10);
});

Deno.test("startTls() is an InvalidStateError on a transport that is closing, half closed or lost", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  serverSide.keepOpen = true;
  const { transport } = clientSide;
  const refused = () => assertRejects(() => loop.startTls(transport, clientSide, clientTls()), InvalidStateError);
  transport.writeEof();
  await refused();
  serverSide.transport.write(bytes("half open"));
  await clientSide.untilReceived(9);
  transport.close();
  await refused();
  await clientSide.untilLost();
  await refused();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 9", "connectionLost null"]);
});

Deno.test({
  name: "startTls() is an InvalidStateError during sendfile(), which goes on",
  async fn() {
    await using pair = await plainPair("TCP");
    const { clientSide, serverSide } = pair;
    const path = await Deno.makeTempFile();
    await Deno.writeFile(path, pattern(16_000_000));
    using file = await Deno.open(path);
    await Deno.remove(path);
    const refused = () => {
      return assertRejects(
        () => loop.startTls(clientSide.transport, clientSide, clientTls()),
        InvalidStateError,
        "sendfile()",
      );
    };
    // More than the system takes while nobody reads: it cannot be done before it has been looked at.
    serverSide.transport.pauseReading();
    const sending = loop.sendfile(clientSide.transport, file);
    await refused();
    for (let i = 0; i < 5; i++) {
      await turn();
      await refused();
    }
    serverSide.transport.resumeReading();
    assertEquals(await sending, 16_000_000);
    await serverSide.untilReceived(16_000_000);
    assertEquals(serverSide.data, pattern(16_000_000));
    await upgrade(pair);
  },
});

Deno.test("startTls() is a TypeError on what is no byte stream in both directions", async () => {
  const protocol = new Recorder();
  const refused = (transport: unknown) => {
    return assertRejects(() => loop.startTls(transport as Transport, protocol, clientTls()), TypeError, "transport");
  };
  for (const transport of [undefined, null, {}, protocol, Deno.stdin]) await refused(transport);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [reader] = await loop.connectReadPipe(() => new Recorder(), readable);
  const [writer] = await loop.connectWritePipe(() => new Recorder(), writable);
  const [child, { log }] = await loop.subprocessExec(() => new Child(), "cat", {});
  const [datagrams, endpoint] = await loop.createDatagramEndpoint(() => new Endpoint(), {
    localAddr: { hostname: "127.0.0.1", port: 0 },
  });
  for (const transport of [reader, writer, child, child.getPipeTransport(0), datagrams]) await refused(transport);
  child.close();
  await log.has("connectionLost");
  await closed(datagrams, endpoint);
  writer.abort();
  reader.close();
  await turn();
});

/** What has no data for the test, and an end. */
class Endpoint extends DatagramProtocol {
  readonly log = new EventLog();
  override connectionLost(): void {
    this.log.add("connectionLost");
  }
}

/** The same of a child. */
class Child extends SubprocessProtocol {
  readonly log = new EventLog();
  override connectionLost(): void {
    this.log.add("connectionLost");
  }
}

const BAD_OPTIONS: Record<string, StartTlsOptions> = {
  "no serverHostname": { caCerts: [CA] },
  "an empty serverHostname": clientTls({ serverHostname: "" }),
  "a server with no certificate": { serverSide: true },
  "cert without key": clientTls({ cert: CLIENT.cert }),
  "a key that is another's": clientTls({ cert: CLIENT.cert, key: EXPIRED.key }),
  "a certificate that is none": clientTls({
    caCerts: ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
  }),
  "alpnProtocols that is no array": clientTls({ alpnProtocols: "h2" as unknown as string[] }),
  "context and caCerts": { ...clientTls(), context: new TlsContext() },
  "a version that is none": clientTls({ minVersion: "TLSv1.1" as "TLSv1.2" }),
  "versions the wrong way round": clientTls({ minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }),
  "a handshakeTimeout that is none": clientTls({ handshakeTimeout: -1 }),
  "an option that there is not": { ...clientTls(), native: true } as StartTlsOptions,
  "null": null as unknown as StartTlsOptions,
};

for (const [name, options] of Object.entries(BAD_OPTIONS)) {
  for (const paused of [false, true]) {
    const state = paused ? ", paused" : "";
    Deno.test(`startTls() with ${name} rejects, and the transport goes on as before${state}`, async () => {
      await using pair = await plainPair("TCP");
      const { clientSide, serverSide } = pair;
      const { transport } = clientSide;
      if (paused) transport.pauseReading();
      await assertRejects(() => loop.startTls(transport, clientSide, options), Error);
      assertEquals([transport.isReading(), transport.isClosing()], [!paused, false]);
      transport.resumeReading();
      transport.write(bytes("there"));
      serverSide.transport.write(bytes("back"));
      await Promise.all([clientSide.untilReceived(4), serverSide.untilReceived(5)]);
      await upgrade(pair);
      assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 4"]);
    });
  }
}

for (
  const [name, pem] of Object.entries({
    "caCerts": `${CA}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  })
) {
  Deno.test({
    name: `startTls() with ${name} of which only the first is good rejects, and the transport goes on as before`,
    async fn() {
      await using pair = await plainPair("TCP");
      const { clientSide } = pair;
      await assertRejects(
        () => loop.startTls(clientSide.transport, clientSide, clientTls({ caCerts: [pem] })),
        TypeError,
        "caCerts[0]",
      );
      await upgrade(pair);
    },
  });
}

Deno.test("pauseReading() while startTls() finds out that its options are bad is not undone", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  const { transport } = clientSide;
  const failed = assertRejects(() => loop.startTls(transport, clientSide, clientTls({ caCerts: ["none"] })), TypeError);
  transport.pauseReading();
  await failed;
  assertEquals(transport.isReading(), false);
  serverSide.transport.write(bytes("held"));
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(clientSide.received, 0);
  transport.resumeReading();
  await clientSide.untilReceived(4);
});

Deno.test("startTls() with a protocol that is none rejects, and the transport goes on as before", async () => {
  await using pair = await plainPair("TCP");
  for (const protocol of [undefined, null, "protocol", 5]) {
    await assertRejects(
      () => loop.startTls(pair.clientSide.transport, protocol as unknown as Recorder, clientTls()),
      TypeError,
      "protocol",
    );
  }
  await upgrade(pair);
});
