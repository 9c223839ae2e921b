/**
 * UDP echo client: sends one datagram and waits at most a second for the reply.
 *
 *     deno run --allow-net examples/udp_echo_client.ts [port] [host] [message]
 */
import { DatagramProtocol, type DatagramTransport, getRunningLoop, type TimerHandle } from "../mod.ts";

const ANSWER_TIMEOUT = 1000;
const loop = getRunningLoop();

class EchoClient extends DatagramProtocol {
  /** Resolves to `true` if a reply was received. */
  readonly done = Promise.withResolvers<boolean>();
  #message: string;
  #answered = false;
  #transport!: DatagramTransport;
  #timer!: TimerHandle;

  constructor(message: string) {
    super();
    this.#message = message;
  }

  override connectionMade(transport: DatagramTransport): void {
    this.#transport = transport;
    transport.sendto(new TextEncoder().encode(this.#message));
    console.log(`sent ${JSON.stringify(this.#message)}`);
    // A lost datagram is not an error, so only a timer can notice it.
    this.#timer = loop.callLater(ANSWER_TIMEOUT, () => transport.close());
  }

  override datagramReceived(data: Uint8Array<ArrayBuffer>): void {
    console.log(`received ${JSON.stringify(new TextDecoder().decode(data))}`);
    this.#answered = true;
    this.#transport.close();
  }

  override connectionLost(): void {
    this.#timer.cancel();
    this.done.resolve(this.#answered);
  }
}

const [port = "9999", hostname = "127.0.0.1", message = "Hello, world!"] = Deno.args;
const [, client] = await loop.createDatagramEndpoint(() => new EchoClient(message), {
  remoteAddr: { hostname, port: Number(port) },
});
if (!await client.done.promise) {
  console.error(`no answer within ${ANSWER_TIMEOUT} ms`);
  Deno.exitCode = 1;
}
