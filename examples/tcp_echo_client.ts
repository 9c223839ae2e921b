/**
 * TCP echo client: sends one message and prints the reply.
 *
 *     deno run --allow-net examples/tcp_echo_client.ts [port] [host] [message]
 */
import { getRunningLoop, Protocol, type Transport } from "../mod.ts";

class EchoClient extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  #message: string;
  #decoder = new TextDecoder();

  constructor(message: string) {
    super();
    this.#message = message;
  }

  override connectionMade(transport: Transport): void {
    transport.write(new TextEncoder().encode(this.#message));
    // Tells the server that the message is complete. The reply can still be received.
    transport.writeEof();
    console.log(`sent ${JSON.stringify(this.#message)}`);
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    console.log(`received ${JSON.stringify(this.#decoder.decode(data, { stream: true }))}`);
  }

  override connectionLost(error: Error | null): void {
    if (error) this.lost.reject(error);
    else this.lost.resolve();
  }
}

const [port = "8888", hostname = "127.0.0.1", message = "Hello, world!"] = Deno.args;
const loop = getRunningLoop();
const [, client] = await loop.createConnection(() => new EchoClient(message), { hostname, port: Number(port) });
await client.lost.promise;
console.log("the server closed the connection");
