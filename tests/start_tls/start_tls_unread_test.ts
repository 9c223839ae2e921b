/** What a protocol of this package has received in plain text and not delivered, when startTls() is called. */
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { InvalidStateError, TlsError, type Transport } from "../../mod.ts";
import { type StreamPair, type StreamProtocol, toStreams } from "../../streams/mod.ts";
import { bytes, concat, loop, portOf, text, turn } from "../kit.ts";
import { Lines } from "../framing/kit.ts";
import { connectPairs } from "../stream_pairs/kit.ts";
import { serveRaw, writeAll } from "../streams/kit.ts";
import { EXPIRED, SERVER, TRUSTING } from "../tls/kit.ts";
import { ANSWERING, pump, WireHandle } from "./kit.ts";

/** Lines, the first of which asks for TLS. */
class Upgrading extends Lines {
  readonly upgraded = Promise.withResolvers<Transport>();

  override frameReceived(line: string): void {
    super.frameReceived(line);
    if (line !== "STARTTLS") return;
    loop.startTls(this.transport, this, ANSWERING).then((transport) => {
      this.transport = transport;
      this.upgraded.resolve(transport);
    }, this.upgraded.reject);
  }
}

for (const behind of ["EVIL\r\n", "EVIL", "EVIL\r\nand half a li"]) {
  Deno.test(`startTls() by a LineProtocol rejects if ${JSON.stringify(behind)} follows the command, and delivers nothing of it`, async () => {
    await using peer = await serveRaw(() => new Upgrading());
    const { protocol, conn } = peer;
    using client = new WireHandle();
    const failed = assertRejects(() => protocol.upgraded.promise, TlsError);
    await writeAll(conn, concat([bytes(`STARTTLS\r\n${behind}`), await client.clientHello()]));
    const error = await failed;
    assertEquals(error.code, "NOT_TLS");
    await protocol.log.has("connectionLost TlsError");
    assertStrictEquals(protocol.error, error);
    assertEquals(protocol.log.entries, ["connectionMade", "line STARTTLS", "connectionLost TlsError"]);
  });
}

Deno.test("startTls() by a LineProtocol takes a ClientHello in one segment with the command", async () => {
  await using peer = await serveRaw(() => new Upgrading());
  const { protocol, conn } = peer;
  using client = new WireHandle();
  await writeAll(conn, concat([bytes("STARTTLS\r\n"), await client.clientHello()]));
  pump(conn, client);
  await protocol.upgraded.promise;
  client.say("a secret\n");
  await protocol.log.has("line a secret");
  assertEquals(protocol.log.entries, ["connectionMade", "line STARTTLS", "line a secret"]);
});

Deno.test("startTls() gives TLS readAhead, and then what the protocol has received", async () => {
  await using peer = await serveRaw(() => new Lines());
  const { protocol, conn } = peer;
  using client = new WireHandle();
  const hello = await client.clientHello();
  const upgraded = Promise.withResolvers<Transport>();
  protocol.onFrame = () => {
    // The first part is read ahead here, and the second is left in the framer.
    const rest = protocol.takeRest();
    const [ahead, left] = [rest.subarray(0, 20), rest.subarray(20)];
    protocol.setLineMode(left);
    loop.startTls(protocol.transport, protocol, { ...ANSWERING, readAhead: ahead }).then(
      upgraded.resolve,
      upgraded.reject,
    );
  };
  await writeAll(conn, concat([bytes("STARTTLS\r\n"), hello]));
  pump(conn, client);
  protocol.transport = await upgraded.promise;
  protocol.onFrame = () => {};
  client.say("a secret\n");
  await protocol.log.has("line a secret");
});

Deno.test("startTls() that cannot begin gives a LineProtocol its bytes back, in order", async () => {
  await using peer = await serveRaw(() => new Lines());
  const { protocol, conn } = peer;
  const failed = Promise.withResolvers<unknown>();
  protocol.onFrame = (line) => {
    if (line !== "STARTTLS") return;
    const wrong = { serverSide: true, cert: SERVER.cert!, key: EXPIRED.key! }; // Found in a later turn.
    loop.startTls(protocol.transport, protocol, wrong).catch(failed.resolve);
  };
  await writeAll(conn, bytes("STARTTLS\r\none\r\ntw"));
  assertInstanceOf(await failed.promise, Error);
  await writeAll(conn, bytes("o\r\n"));
  await protocol.log.has("line two");
  assertEquals(protocol.log.entries, ["connectionMade", "line STARTTLS", "line one", "line two"]);
});

Deno.test("startTls() rejects while a line that is too long is skipped, and the connection goes on in plain text", async () => {
  await using peer = await serveRaw(() => new Lines({ limit: 10, tooLong: "skip" }));
  const { protocol, conn } = peer;
  await writeAll(conn, bytes("STARTTLS\r\nlonger than ten bytes"));
  await protocol.log.has("frameTooLong");
  await assertRejects(
    () => loop.startTls(protocol.transport, protocol, ANSWERING),
    InvalidStateError,
    "startTls() cannot be called while a frame that is too long is skipped",
  );
  await writeAll(conn, bytes(", and more\r\nnext\r\n"));
  await protocol.log.has("line next");
  assertEquals(protocol.log.entries, ["connectionMade", "line STARTTLS", "frameTooLong", "line next"]);
});

Deno.test("startTls() of the loop takes what the reader of a pair has not read, with a BYOB reader, too", async () => {
  for (const byob of [false, true]) {
    const served = Promise.withResolvers<StreamPair>();
    let serving!: StreamProtocol;
    const factory = toStreams({ handler: served.resolve });
    await using server = await loop.createServer(() => serving = factory(), { hostname: "127.0.0.1", port: 0 });
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
    const { reader, readable, transport } = await served.promise;
    if (byob) {
      await writeAll(conn, bytes("x"));
      const direct = readable.getReader({ mode: "byob" });
      assertEquals(text((await direct.read(new Uint8Array(1))).value!), "x");
      direct.releaseLock();
    }
    await writeAll(conn, bytes("STARTTLS\nEVIL\n"));
    await reader.peek(14);
    assertEquals(text(await reader.readLine()), "STARTTLS\n");
    const error = await assertRejects(() => loop.startTls(transport, serving, ANSWERING), TlsError);
    assertEquals(error.code, "NOT_TLS");
    assertStrictEquals(await assertRejects(() => reader.readLine(), Error), error);
  }
});

Deno.test("a read that waits during startTls() returns no byte that arrived in plain text", async () => {
  for (const kind of ["readExactly", "readLine", "read"] as const) {
    await using ends = await connectPairs();
    const { reader } = ends.served;
    ends.client.writer.write(bytes("12345"));
    await reader.peek(5);
    const waiting = kind === "read" ? reader.read() : kind === "readLine" ? reader.readLine() : reader.readExactly(8);
    await turn();
    const failed = assertRejects(() => waiting, TlsError);
    const error = await assertRejects(() => ends.served.writer.startTls(SERVER), TlsError);
    assertEquals(error.code, "NOT_TLS");
    assertStrictEquals(await failed, error);
  }
});

Deno.test("a read that waits begins anew with what arrives over TLS, if the plain bytes were the ClientHello", async () => {
  await using ends = await connectPairs();
  const { reader } = ends.served;
  // No ClientHello has this: the read looks at it, and waits.
  const waiting = reader.readUntil("; the end");
  const client = ends.client.writer.startTls(TRUSTING);
  await turn();
  await Promise.all([client, ends.served.writer.startTls(SERVER)]);
  ends.client.writer.write(bytes("a secret; the end"));
  assertEquals(text(await waiting), "a secret; the end");
});

Deno.test("readable keeps no plain bytes for a read that was given up before startTls()", async () => {
  await using ends = await connectPairs();
  const { reader, readable, writer } = ends.served;
  const abandoned = readable.getReader();
  abandoned.read().catch(() => {});
  await turn();
  abandoned.releaseLock();
  ends.client.writer.write(bytes("STARTTLS\n"));
  // The read that was given up waits until something arrives.
  while (await reader.peek(1).then(() => false, (error) => error instanceof InvalidStateError)) await turn();
  assertEquals(text(await reader.readLine()), "STARTTLS\n");
  await Promise.all([ends.client.writer.startTls(TRUSTING), writer.startTls(SERVER)]);
  ends.client.writer.write(bytes("a secret"));
  assertEquals(text((await readable.getReader().read()).value!), "a secret");
});
