/**
 * TCP echo server: sends back whatever a client sends.
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

  override dataReceived(data: Uint8Array): void {
    console.log(`${data.length} bytes`);
    this.#transport.write(data);
  }

  // A client that sends and does not read is not read from either, or we would keep all that it sends.
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
// A client that does not read cannot hold up the end for more than two seconds.
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
