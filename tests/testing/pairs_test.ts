/** What `memoryPair()`, `recorder()` and the scripted peer promise. */
import { BufferedProtocol, DatagramProtocol, getRunningLoop, Protocol, type Transport } from "../../mod.ts";
import { LineProtocol } from "../../framing/mod.ts";
import { MemoryLoop, memoryPair, recorder, ScriptedPeer, scriptedPeer } from "../../testing/mod.ts";
import { bytes } from "../kit.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";

/** Answers each line by its length, a second later; closes after "quit". */
class Lengths extends Protocol {
  #loop: MemoryLoop | undefined;
  #transport!: Transport;
  #rest = "";
  constructor(loop?: MemoryLoop) {
    super();
    this.#loop = loop;
  }
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    const lines = (this.#rest + new TextDecoder().decode(data)).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) this.#answer(line);
  }
  #answer(line: string): void {
    if (line === "quit") return this.#transport.close();
    const answer = () => this.#transport.write(bytes(`${line.length}\n`));
    if (this.#loop === undefined) answer();
    else this.#loop.callLater(1000, answer);
  }
}

Deno.test("memoryPair() connects two protocols after connectionMade of both, and disposing of it ends both", async () => {
  const a = recorder();
  const b = recorder();
  {
    await using pair = await memoryPair(a.protocol, b.protocol);
    assertStrictEquals(pair.protocolA, a.protocol);
    assertStrictEquals(pair.transportB.getProtocol(), b.protocol);
    pair.transportA.write(bytes("to b"));
    pair.transportB.write(bytes("to a"));
    await pair.settle();
  }
  assertEquals(a.calls, ["connectionMade", 'dataReceived "to a"', "connectionLost null"]);
  assertEquals(b.calls, ["connectionMade", 'dataReceived "to b"', "connectionLost null"]);
  assertEquals([await a.lost, b.text], [null, "to b"]);
});

Deno.test("memoryPair() rejects what is no protocol, and a loop that is not in memory", async () => {
  await assertRejects(() => memoryPair(null as unknown as Protocol, {}), TypeError, "protocolA must be");
  const loop = getRunningLoop() as MemoryLoop;
  await assertRejects(() => memoryPair({}, {}, { loop }), TypeError, "loop must be a MemoryLoop");
});

Deno.test("recorder() writes every callback in order, with what it returned and threw", async () => {
  class Half extends Protocol {
    override eofReceived(): boolean {
      return true;
    }
  }
  const half = recorder(new Half());
  const throwing = recorder({
    dataReceived() {
      throw new RangeError("bad");
    },
  });
  await using pair = await memoryPair(throwing.protocol, half.protocol);
  pair.loop.setExceptionHandler(() => {});
  pair.transportB.setWriteBufferLimits({ high: 1 });
  pair.transportA.writeEof();
  await pair.settle();
  pair.transportB.write(Uint8Array.of(0, 255));
  await throwing.lost;
  await pair.settle();
  assertEquals(half.calls.slice(0, 5), [
    "connectionMade",
    "eofReceived",
    "eofReceived returned true",
    "pauseWriting",
    "resumeWriting",
  ]);
  assertEquals(
    throwing.toString(),
    [
      "connectionMade",
      "dataReceived <00 ff>",
      "dataReceived threw RangeError",
      "connectionLost RangeError",
    ].join("\n"),
  );
});

Deno.test("recorder() records the frames of a protocol of frames, and counts no byte twice", async () => {
  class Body extends LineProtocol {
    override frameReceived(line: string): void {
      if (line === "body") this.setRawMode(3);
    }
  }
  const lines = recorder(new Body({ limit: 10, tooLong: "skip" }));
  await using pair = await memoryPair(new Protocol(), lines.protocol);
  pair.transportA.write(bytes(`body\n\xff1${"x".repeat(11)}\n`));
  pair.transportA.close();
  await lines.lost;
  assertEquals(lines.calls.filter((call) => /^(frame|raw)/.test(call)), [
    'frameReceived "body"',
    'rawReceived "ÿ1" 0',
    "frameTooLong FrameTooLongError",
  ]);
  assertEquals(lines.text, `body\n\xff1${"x".repeat(11)}\n`);
});

Deno.test("recorder() records a BufferedProtocol and datagrams", async () => {
  class Filling extends BufferedProtocol {
    #memory = new Uint8Array(3);
    override getBuffer(): Uint8Array {
      return this.#memory;
    }
  }
  const buffered = recorder(new Filling());
  const pair = await memoryPair(new Protocol(), buffered.protocol);
  pair.transportA.write(bytes("hello"));
  await pair.settle();
  pair.transportA.abort({ reset: true });
  await buffered.until("connectionLost");
  assertEquals(buffered.calls, [
    "connectionMade",
    "getBuffer",
    'bufferUpdated "hel"',
    "getBuffer",
    'bufferUpdated "lo"',
    "connectionLost ConnectionReset ECONNRESET",
  ]);
  const { loop } = pair;
  const datagrams = recorder(new DatagramProtocol());
  const [transport] = await loop.createDatagramEndpoint(() => datagrams.protocol, {
    localAddr: { hostname: "a.test", port: 53 },
    remoteAddr: { hostname: "a.test", port: 53 },
  });
  transport.sendto(bytes("query"));
  await datagrams.until("datagramReceived");
  transport.close();
  await datagrams.lost;
  assertEquals(datagrams.calls, ["connectionMade", 'datagramReceived "query"', "connectionLost null"]);
  assertThrows(() => recorder(Object.freeze({})), TypeError, "must be extensible");
});

Deno.test("ScriptedPeer tests a small protocol in three lines", async () => {
  await using peer = await scriptedPeer(new Lengths());
  peer.send("four\nseven");
  await peer.expect("4\n");
});

Deno.test("ScriptedPeer.expect() says what came instead, and that nothing comes", async () => {
  await using peer = await scriptedPeer(new Lengths());
  peer.send("four\n");
  await assertRejects(() => peer.expect("5\n"), Error, 'expect(): expected "5\\n", got "4\\n"');
  await peer.expect("4\n");
  await assertRejects(() => peer.expect("x"), Error, 'expect(): expected "x", got "" within 0 ms, and no timer is set');
  peer.send("quit\n");
  await assertRejects(() => peer.expect("x"), Error, 'expected "x", got "", and the stream has ended');
  await peer.expectEnd();
});

Deno.test("ScriptedPeer.expect() moves the clock as far as it must, and no further than within", async () => {
  const loop = new MemoryLoop();
  await using peer = await scriptedPeer(new Lengths(loop), { loop });
  peer.send("four\n");
  await assertRejects(() => peer.expect("4\n", { within: 999 }), Error, "within 999 ms");
  await peer.expectNothing(999);
  await peer.expect("4\n", { within: 60_000 });
  assertEquals(loop.time(), 1000);
  peer.send("1\n");
  await assertRejects(() => peer.expectNothing(1000), Error, 'expectNothing(): got "1\\n"');
});

Deno.test("ScriptedPeer.reset(), end() and close() are what the protocol sees", async () => {
  for (const [how, seen] of [["reset", "connectionLost ConnectionReset ECONNRESET"], ["end", "eofReceived"]] as const) {
    const { protocol, calls } = recorder();
    await using peer = await scriptedPeer(protocol);
    peer.send("x");
    await peer.expectNothing();
    peer[how]();
    await peer.expectNothing().catch(() => {});
    assertEquals(calls[2], seen);
  }
});

Deno.test("ScriptedPeer.expectLost() returns the error of the connection", async () => {
  const { protocol } = recorder();
  await using peer = await scriptedPeer(protocol);
  await assertRejects(() => peer.expectLost(), Error, "expectLost(): the connection is still open within 0 ms");
  const transport = Promise.withResolvers<Transport>();
  const second = await scriptedPeer({ connectionMade: transport.resolve });
  (await transport.promise).abort({ reset: true });
  assertInstanceOf(await second.expectLost(), Deno.errors.ConnectionReset);
});

Deno.test("ScriptedPeer is a protocol, for a client that connects by itself, on any loop", async () => {
  const loop = getRunningLoop();
  const peer = new ScriptedPeer();
  assertThrows(() => peer.transport, Error, "the peer is not connected");
  const server = await loop.createServer(() => peer, { hostname: "127.0.0.1", port: 0 });
  const { protocol, lost } = recorder();
  const [transport] = await loop.createConnection(() => protocol, { port: server.port });
  transport.write(bytes("hello"));
  await peer.expect("hel");
  await peer.expect("lo");
  peer.close();
  assertEquals(await lost, null);
  await server[Symbol.asyncDispose]();
});

Deno.test("ScriptedPeer rejects wrong arguments", async () => {
  await using peer = await scriptedPeer({});
  assertThrows(() => peer.send(1 as unknown as string), TypeError, "send(): data must be");
  await assertRejects(() => peer.expect(null as unknown as string), TypeError, "expect(): data must be");
  await assertRejects(() => peer.expect("", { within: -1 }), RangeError, "expect(): within must be");
});
