/** One buffer for all connections of a loop, which the epoll engine allows. */
import { Protocol, type Transport } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { epollLoop, epollTest } from "./epoll_kit.ts";
import { closed, concat, portOf, Recorder } from "../kit.ts";

const shared = new Uint8Array(4096);

/** Echoes, and pauses at each `getBuffer` until it has been paused once. */
class Echo extends Protocol {
  #transport!: Transport;
  paused = Promise.withResolvers<void>();
  #pauses: boolean;
  constructor(pauses: boolean) {
    super();
    this.#pauses = pauses;
  }
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  getBuffer(): Uint8Array {
    if (this.#pauses) {
      this.#pauses = false;
      this.#transport.pauseReading();
      this.paused.resolve();
    }
    return shared;
  }
  bufferUpdated(count: number): void {
    this.#transport.write(shared.subarray(0, count));
  }
  resume(): void {
    this.#transport.resumeReading();
  }
}

epollTest("getBuffer() may return one buffer for all connections, also while one of them is paused", async () => {
  const loop = epollLoop();
  const echoes = [new Echo(true), new Echo(false)];
  let next = 0;
  await using server = await loop.createServer(() => echoes[next++]!, { hostname: "127.0.0.1", port: 0 });
  const connect = () => loop.createConnection(() => new Recorder(), { hostname: "127.0.0.1", port: portOf(server) });
  const [[a, first], [b, second]] = [await connect(), await connect()];
  a.write(new Uint8Array(3000).fill(1));
  await echoes[0]!.paused.promise;
  b.write(new Uint8Array(4000).fill(2));
  await second.untilReceived(4000);
  assertEquals(first.received, 0);
  echoes[0]!.resume();
  await first.untilReceived(3000);
  assertEquals(concat(first.pieces), new Uint8Array(3000).fill(1));
  assertEquals(concat(second.pieces), new Uint8Array(4000).fill(2));
  await closed(a, first);
  await closed(b, second);
});
