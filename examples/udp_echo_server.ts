/**
 * UDP echo server: sends every datagram back to its sender.
 *
 *     deno run --allow-net examples/udp_echo_server.ts [port] [host]
 */
import { DatagramProtocol, type DatagramTransport, getRunningLoop } from "../mod.ts";

class EchoServer extends DatagramProtocol {
  readonly lost = Promise.withResolvers<void>();
  #transport!: DatagramTransport;

  override connectionMade(transport: DatagramTransport): void {
    this.#transport = transport;
  }

  override datagramReceived(data: Uint8Array<ArrayBuffer>, addr: Deno.NetAddr): void {
    console.log(`${data.length} bytes from ${addr.hostname}:${addr.port}`);
    this.#transport.sendto(data, addr);
  }

  override errorReceived(error: Error): void {
    // The transport stays open, and the next datagram may be sent.
    console.log(`error: ${error.message}`);
  }

  override connectionLost(): void {
    this.lost.resolve();
  }
}

const [port = "9999", hostname = "127.0.0.1"] = Deno.args;
const loop = getRunningLoop();
const [transport, server] = await loop.createDatagramEndpoint(() => new EchoServer(), {
  localAddr: { hostname, port: Number(port) },
});
loop.addSignalHandler("SIGINT", () => transport.close());

const address = transport.getExtraInfo("sockname") as Deno.NetAddr;
console.log(`serving on ${address.hostname}:${address.port}`);
await server.lost.promise;
console.log("stopped");
