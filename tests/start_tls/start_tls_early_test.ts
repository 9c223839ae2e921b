/** Bytes that come before anybody has asked for them: which side of startTls() they go to. */
import { assertEquals, assertInstanceOf, assertRejects } from "../std.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { EventLoop, TlsError, type Transport } from "../../mod.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import { BufferedRecorder, bytes, concat, loop, Recorder, text, turn } from "../kit.ts";
import { makeTransport, readBytes, serveRaw, writeAll } from "../streams/kit.ts";
import { ANSWERING, pump, WireHandle } from "./kit.ts";

const COMMAND = "STARTTLS\r\n";

/** Either kind of protocol. */
const KINDS: [name: string, make: () => Recorder | BufferedRecorder][] = [
  ["Protocol", () => new Recorder()],
  ["BufferedProtocol", () => new BufferedRecorder()],
];

/** What of a handle is going on when the ClientHello comes. */
const MOMENTS: Record<string, (handle: WireHandle, hello: Uint8Array, upgrade: () => void) => void> = {
  "in a read in flight, right after startTls()": (handle, hello, upgrade) => {
    upgrade();
    deliver(handle, hello);
  },
  "while reading was paused": (handle, hello, upgrade) => {
    handle.transport!.pauseReading();
    deliver(handle, hello);
    upgrade();
  },
  "while reading was paused, and resumeReading() came too late": (handle, hello, upgrade) => {
    handle.transport!.pauseReading();
    deliver(handle, hello);
    handle.transport!.resumeReading();
    upgrade();
  },
  "without a reader": (handle, hello, upgrade) => {
    upgrade();
    handle.hold(hello);
  },
};

/** Completes the read in flight with as much as it takes; the rest comes with the reads to follow. */
function deliver(handle: WireHandle, data: Uint8Array): void {
  const count = Math.min(data.length, handle.target!.length);
  handle.hold(data.subarray(count));
  handle.deliver(data.subarray(0, count));
}

for (const [kind, make] of KINDS) {
  for (const [moment, act] of Object.entries(MOMENTS)) {
    Deno.test(`startTls() with a ${kind} takes the ClientHello that comes ${moment}`, async () => {
      using handle = new WireHandle();
      const protocol = make();
      const old = handle.transport = makeTransport(protocol, handle);
      const hello = await handle.clientHello();
      const upgrading = Promise.withResolvers<Transport>();
      act(handle, hello, () => upgrading.resolve(loop.startTls(old, protocol, ANSWERING)));
      handle.goOn();
      const transport = await upgrading.promise;
      handle.say("a secret");
      transport.write(bytes("another"));
      await protocol.untilReceived(8);
      await handle.received.until(() => handle.text === "another");
      assertEquals(text(protocol.data), "a secret");
      transport.abort();
      await protocol.untilLost();
      const data = kind === "Protocol" ? "dataReceived 8" : "bufferUpdated 8";
      assertEquals(protocol.log.entries, ["connectionMade", data, "connectionLost null"]);
      await turn();
      assertEquals(handle.closed, true);
    });
  }

  Deno.test(`startTls() with a ${kind} takes the end and the reset that came while reading was paused`, async () => {
    for (const end of [true, false]) {
      using handle = new WireHandle();
      const protocol = make();
      const old = makeTransport(protocol, handle);
      old.pauseReading();
      if (end) handle.end();
      else handle.failRead(new Deno.errors.ConnectionReset("gone"));
      const Class = end ? Deno.errors.UnexpectedEof : Deno.errors.ConnectionReset;
      await assertRejects(() => loop.startTls(old, protocol, ANSWERING), Class);
      await protocol.untilLost();
      assertInstanceOf(protocol.error, Class);
      assertEquals(protocol.log.entries.length, 2);
      await turn();
    }
  });
}

Deno.test("startTls() gives TLS readAhead first, then what was held, then what arrives", async () => {
  using handle = new WireHandle();
  const protocol = new Recorder();
  const old = makeTransport(protocol, handle);
  const hello = await handle.clientHello();
  const readAhead = hello.slice(0, 20);
  old.pauseReading();
  deliver(handle, hello.subarray(20, 40));
  const upgrading = loop.startTls(old, protocol, { ...ANSWERING, readAhead });
  readAhead.fill(0);
  handle.hold(hello.subarray(40));
  handle.goOn();
  const transport = await upgrading;
  handle.say("a secret");
  await protocol.untilReceived(8);
  assertEquals(text(protocol.data), "a secret");
  transport.abort();
  await protocol.untilLost();
  await turn();
});

Deno.test("startTls() rejects a readAhead that is not bytes, and leaves the transport as it was", async () => {
  using handle = new WireHandle();
  const protocol = new Recorder();
  const old = makeTransport(protocol, handle);
  const upgrading = loop.startTls(old, protocol, { ...ANSWERING, readAhead: "hello" as unknown as Uint8Array });
  const message = 'startTls(): readAhead must be a Uint8Array, got string "hello"';
  await assertRejects(() => upgrading, TypeError, message);
  assertEquals([old.isClosing(), old.isReading()], [false, true]);
  old.abort();
  await protocol.untilLost();
  await turn();
});

Deno.test("startTls() resolves before the bytes that came in one piece with the handshake are told", async () => {
  using handle = new WireHandle();
  const protocol = new Recorder();
  const old = makeTransport(protocol, handle);
  const hello = await handle.clientHello();
  handle.say("a secret");
  const upgraded = loop.startTls(old, protocol, ANSWERING).then((transport) => {
    protocol.log.add("resolved");
    return transport;
  });
  deliver(handle, hello);
  handle.goOn();
  const transport = await upgraded;
  await protocol.untilReceived(8);
  assertEquals(protocol.log.entries, ["connectionMade", "resolved", "dataReceived 8"]);
  transport.abort();
  await protocol.untilLost();
  await turn();
});

/** An engine whose connections are a handle of the test's. */
class OneHandleEngine extends DenoEngine {
  #handle: WireHandle;

  constructor(handle: WireHandle) {
    super();
    this.#handle = handle;
  }

  override adopt(): StreamEnd {
    return { handle: this.#handle, extra: {} };
  }
}

/** Upgrades as soon as it is connected. */
class EagerProtocol extends Recorder {
  readonly upgraded = Promise.withResolvers<Transport>();
  #loop: EventLoop;

  constructor(onLoop: EventLoop) {
    super();
    this.#loop = onLoop;
  }

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.#loop.startTls(transport, this, ANSWERING).then((secure) => {
      this.log.add("resolved");
      this.upgraded.resolve(secure);
    });
  }
}

Deno.test("startTls() in connectionMade() of an accepted socket resolves before the first bytes are told", async () => {
  using handle = new WireHandle();
  const own = new EventLoop({ engine: new OneHandleEngine(handle) });
  handle.hold(await handle.clientHello());
  handle.say("a secret");
  const conn = { read() {}, write() {}, close() {}, localAddr: null, remoteAddr: null } as unknown as Deno.Conn;
  const [, protocol] = await own.connectAcceptedSocket(() => new EagerProtocol(own), conn);
  // In this turn reading would have begun without the upgrade.
  await turn(own);
  handle.goOn();
  const transport = await protocol.upgraded.promise;
  await protocol.untilReceived(8);
  assertEquals(protocol.log.entries, ["connectionMade", "resolved", "dataReceived 8"]);
  transport.abort();
  await protocol.untilLost();
  await turn(own);
});

Deno.test("startTls() reads nothing while sni is asked, also where the ClientHello came before", async () => {
  using handle = new WireHandle();
  const protocol = new Recorder();
  const old = makeTransport(protocol, handle);
  const hello = await handle.clientHello();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<null>();
  const sni = () => (asked.resolve(), answer.promise);
  const upgraded = loop.startTls(old, protocol, { ...ANSWERING, sni });
  deliver(handle, hello);
  await asked.promise;
  await turn();
  // Whatever a client sends meanwhile would pile up in memory, for as long as the answer takes.
  assertEquals(handle.reading, false);
  answer.resolve(null);
  handle.goOn();
  (await upgraded).abort();
  await protocol.untilLost();
  await turn();
});

/** Reads the command alone; what is behind it is TLS. */
class ExactProtocol extends BufferedRecorder {
  readonly upgraded = Promise.withResolvers<Transport>();
  #secure = false;

  override getBuffer(): Uint8Array {
    return this.#secure ? this.buffer : this.buffer.subarray(0, COMMAND.length - this.received);
  }

  override bufferUpdated(count: number): void {
    super.bufferUpdated(count);
    if (this.#secure || this.received < COMMAND.length) return;
    this.#secure = true;
    this.upgraded.resolve(loop.startTls(this.transport, this, ANSWERING));
  }
}

Deno.test("startTls() takes a ClientHello in one segment with the command, where getBuffer() asks for no more", async () => {
  await using peer = await serveRaw(() => new ExactProtocol());
  using client = new WireHandle();
  await writeAll(peer.conn, concat([bytes(COMMAND), await client.clientHello()]));
  const { protocol } = peer;
  pump(peer.conn, client);
  const transport = await protocol.upgraded.promise;
  client.say("a secret");
  transport.write(bytes("another"));
  await Promise.all([
    protocol.untilReceived(COMMAND.length + 8),
    client.received.until(() => client.text === "another"),
  ]);
  assertEquals(text(protocol.data), `${COMMAND}a secret`);
  transport.abort();
  await protocol.untilLost();
});

Deno.test("a TLS connection within another may begin in one piece with the command, for an exact getBuffer()", async () => {
  using outer = new WireHandle();
  const plain = new Recorder();
  const old = outer.transport = makeTransport(plain, outer);
  const hello = await outer.clientHello();
  const upgrading = loop.startTls(old, plain, ANSWERING);
  deliver(outer, hello);
  outer.goOn();
  const first = await upgrading;
  const protocol = new ExactProtocol();
  protocol.transport = first;
  first.setProtocol(protocol);
  using inner = new WireHandle();
  outer.sayBytes(concat([bytes(COMMAND), await inner.clientHello()]));
  outer.relay(inner);
  const second = await protocol.upgraded.promise;
  inner.say("a secret");
  second.write(bytes("another"));
  await Promise.all([
    protocol.untilReceived(COMMAND.length + 8),
    inner.received.until(() => inner.text === "another"),
  ]);
  assertEquals(text(protocol.data), `${COMMAND}a secret`);
  second.abort();
  await protocol.untilLost();
  await turn();
});

Deno.test("dataReceived() is given all of one segment, the command and what is behind it, which TLS never sees", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { protocol, conn } = peer;
  using client = new WireHandle();
  const hello = await client.clientHello();
  await writeAll(conn, concat([bytes(COMMAND), hello]));
  await protocol.untilReceived(COMMAND.length + hello.length);
  assertEquals(protocol.data.subarray(COMMAND.length), hello);
  // As in asyncio: these bytes are the plain protocol's, so the handshake has not begun. Lies are found out.
  const failed = assertRejects(() => loop.startTls(protocol.transport, protocol, ANSWERING), TlsError);
  await writeAll(conn, bytes("QUIT\r\n"));
  await failed;
  assertEquals((await readBytes(conn, 1))[0], 21);
  await protocol.untilLost();
});
