/**
 * An existing socket: a protocol waits for data on a socket that other code has opened.
 *
 *     deno run --allow-net examples/existing_socket.ts [message]
 */
import { getRunningLoop, Protocol, socketPair, type Transport } from "../mod.ts";

class Waiter extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  #transport!: Transport;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    console.log(`received ${JSON.stringify(new TextDecoder().decode(data))}`);
    // connectionLost() is called next.
    this.#transport.close();
  }

  override connectionLost(): void {
    this.lost.resolve();
  }
}

const [message = "abc"] = Deno.args;
const loop = getRunningLoop();

// Two connected sockets: the transport owns one, this program the other.
const [theirs, ours] = await socketPair();
const [, waiter] = await loop.createConnection(() => new Waiter(), { conn: theirs });

// Simulates data from elsewhere.
loop.callSoon(() => ours.write(new TextEncoder().encode(message)));
await waiter.lost.promise;
ours.close();
console.log("closed");
