/**
 * Tests of a small protocol, without sockets, permissions or waiting.
 *
 *     deno test examples/line_protocol_test.ts
 */
import { type EventLoop, Protocol, type TimerHandle, type Transport } from "../mod.ts";
import { MemoryLoop, scriptedPeer, verifyProtocol, withSeed } from "../testing/mod.ts";

/** Answers each line by its length, and closes a connection that is silent for a minute. */
class Lengths extends Protocol {
  #loop: EventLoop;
  #transport!: Transport;
  #rest = "";
  #timer: TimerHandle | undefined;

  constructor(loop: EventLoop) {
    super();
    this.#loop = loop;
  }

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    this.#restartTimer();
  }

  override dataReceived(data: Uint8Array): void {
    this.#restartTimer();
    const lines = (this.#rest + new TextDecoder().decode(data)).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) this.#transport.write(new TextEncoder().encode(`${line.length}\n`));
  }

  // If the client stops reading answers, stop reading its lines.
  override pauseWriting(): void {
    this.#transport.pauseReading();
  }

  override resumeWriting(): void {
    this.#transport.resumeReading();
  }

  override connectionLost(): void {
    this.#timer?.cancel();
  }

  #restartTimer(): void {
    this.#timer?.cancel();
    this.#timer = this.#loop.callLater(60_000, () => this.#transport.close());
  }
}

Deno.test("Lengths answers a line by its length", async () => {
  const loop = new MemoryLoop();
  await using peer = await scriptedPeer(new Lengths(loop), { loop });
  peer.send("hello\n");
  await peer.expect("5\n");
});

Deno.test("Lengths closes a connection that is silent for a minute", async () => {
  const loop = new MemoryLoop();
  await using peer = await scriptedPeer(new Lengths(loop), { loop });
  await peer.expectNothing(59_999);
  await peer.expectEnd({ within: 1 });
});

Deno.test("Lengths does not depend on how its bytes arrive", async () => {
  await verifyProtocol((loop) => new Lengths(loop), { send: "one\nthree\n\nfour", expect: "3\n5\n0\n" });
});

Deno.test("Lengths answers over a slow network", async () => {
  await withSeed(async (seed) => {
    const loop = new MemoryLoop({ seed });
    await using peer = await scriptedPeer(new Lengths(loop), { loop });
    loop.engine.inject({ upstream: { latency: { latency: 200, jitter: 100 }, slicer: { averageSize: 1 } } });
    peer.send("hello\n");
    await peer.expect("5\n", { within: 300 });
  }, { runs: 10 });
});
