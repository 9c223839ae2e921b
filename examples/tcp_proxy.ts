/**
 * TCP proxy: connects each client to an upstream server. If one side reads more slowly than the other sends, the sender is
 * paused, so memory stays bounded.
 *
 *     deno run --allow-net examples/tcp_proxy.ts [port] [upstream port] [upstream host]
 */
import { getRunningLoop, Protocol, type Transport } from "../mod.ts";

/** One of the two connections. It sends what it receives to the other. */
class Side extends Protocol {
  transport!: Transport;
  other?: Side;
  #ended = false;

  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    // Not copied: this protocol does not use the bytes any more.
    this.other!.transport.writeOwned(data);
  }

  // Flow control: while this connection cannot send, the other one does not read.
  override pauseWriting(): void {
    this.other!.transport.pauseReading();
  }

  override resumeWriting(): void {
    this.other!.transport.resumeReading();
  }

  // Half-close: the end of one direction is passed on. The other direction goes on until its own end.
  override eofReceived(): boolean {
    this.#ended = true;
    this.other!.transport.writeEof();
    if (!this.other!.#ended) return true;
    this.other!.transport.close();
    return false;
  }

  override connectionLost(error: Error | null): void {
    if (error) this.other?.transport.abort();
    else this.other?.transport.close();
  }
}

/** The connection to the upstream server. */
class UpstreamSide extends Side {
  constructor(client: Side) {
    super();
    this.other = client;
  }

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    const client = this.other!;
    client.other = this;
    client.transport.resumeReading();
  }
}

/** The connection of a client. It does not read until the upstream server is connected. */
class ClientSide extends Side {
  #connecting = new AbortController();

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.pauseReading();
    const { signal } = this.#connecting;
    loop.createConnection(() => new UpstreamSide(this), { hostname: upstreamHost, port: Number(upstreamPort), signal })
      .catch((error: Error) => {
        if (signal.aborted) return;
        console.log(`upstream: ${error.message}`);
        transport.abort();
      });
  }

  override connectionLost(error: Error | null): void {
    this.#connecting.abort();
    super.connectionLost(error);
  }
}

const [port = "8889", upstreamPort = "8888", upstreamHost = "127.0.0.1"] = Deno.args;
const loop = getRunningLoop();
const server = await loop.createServer(() => new ClientSide(), { hostname: "127.0.0.1", port: Number(port) });
loop.addSignalHandler("SIGINT", () => server.close());

const address = server.addresses[0] as Deno.NetAddr;
console.log(`serving on ${address.hostname}:${address.port}, upstream is ${upstreamHost}:${upstreamPort}`);
await server.serveForever();
server.abortClients();
await server.waitClosed();
console.log("stopped");
