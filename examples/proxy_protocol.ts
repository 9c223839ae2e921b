/**
 * A server behind a proxy: the PROXY protocol tells the server the address of the proxy's client.
 *
 *     deno run --allow-net examples/proxy_protocol.ts [message]
 *
 * The server, the proxy and a client run in this program, which ends by itself. In front of the server, HAProxy
 * (`send-proxy-v2`) or nginx (`proxy_protocol on`) can take the place of the proxy.
 */
import { getRunningLoop, Protocol, type Transport } from "../mod.ts";
import { openConnection, startServer } from "../streams/mod.ts";

/** Answers each message with the address of its client and the message. */
class Greeter extends Protocol {
  #transport!: Transport;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    // The socket's own peer is `proxyPeername`.
    console.log(`server: a client at ${this.#peer()}, by a proxy: ${transport.getExtraInfo("proxyPeername") !== null}`);
  }

  override dataReceived(data: Uint8Array): void {
    this.#transport.write(new TextEncoder().encode(`${this.#peer()} sent ${new TextDecoder().decode(data)}`));
    this.#transport.close();
  }

  #peer(): string {
    const { hostname, port } = this.#transport.getExtraInfo("peername") as Deno.NetAddr;
    return `${hostname}:${port}`;
  }
}

const [message = "hello"] = Deno.args;
const LOCAL = { hostname: "127.0.0.1", port: 0 };
const loop = getRunningLoop();

// Trust your proxies only: a trusted peer can claim any address.
await using server = await loop.createServer(() => new Greeter(), {
  ...LOCAL,
  proxyProtocol: { trusted: ["127.0.0.1"], untrusted: "refuse" },
});

await using proxy = await startServer(async (client) => {
  await using upstream = await openConnection({
    port: server.port,
    // The header is written before everything else, TLS included.
    proxyProtocol: {
      source: client.transport.getExtraInfo("peername") as Deno.NetAddr,
      destination: client.transport.getExtraInfo("sockname") as Deno.NetAddr,
    },
  });
  await Promise.all([client.readable.pipeTo(upstream.writable), upstream.readable.pipeTo(client.writable)]);
}, LOCAL);

await using client = await openConnection({ port: proxy.port });
const { port } = client.transport.getExtraInfo("sockname") as Deno.NetAddr;
console.log(`client: at 127.0.0.1:${port}`);
client.writer.write(new TextEncoder().encode(message));
client.writer.writeEof();
console.log(`client: received "${new TextDecoder().decode(await client.reader.read())}"`);
