/**
 * TCP echo server: sends every byte back to its client.
 *
 *     deno run --allow-net examples/tcp_echo_server.ts [port] [host]
 */
import { getRunningLoop, Protocol, type Transport } from "../mod.ts";

class EchoServer extends Protocol {
  #transport!: Transport;

  override connectionMade(transport: Transport): void {
    const peer = transport.getExtraInfo("peername") as Deno.NetAddr;
    console.log(`connection from ${peer.hostname}:${peer.port}`);
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    console.log(`${data.length} bytes`);
    this.#transport.write(data);
  }

  // If the client stops reading replies, stop reading its requests: memory stays bounded.
  override pauseWriting(): void {
    this.#transport.pauseReading();
  }

  override resumeWriting(): void {
    this.#transport.resumeReading();
  }

  override connectionLost(error: Error | null): void {
    console.log(`connection lost${error ? `: ${error.message}` : ""}`);
  }
}

const [port = "8888", hostname = "127.0.0.1"] = Deno.args;
const loop = getRunningLoop();
// With closeTimeout, a client that does not read can delay the end by at most two seconds.
const options = { hostname, port: Number(port), closeTimeout: 2000 };
const server = await loop.createServer(() => new EchoServer(), options);
loop.addSignalHandler("SIGINT", () => server.close());

for (const address of server.addresses as Deno.NetAddr[]) {
  console.log(`serving on ${address.hostname}:${address.port}`);
}
await server.serveForever();
server.closeClients();
await server.waitClosed();
console.log("stopped");
