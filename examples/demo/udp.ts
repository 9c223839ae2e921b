import { DatagramProtocol, type DatagramTransport, type EventLoop } from "../../mod.ts";
import { at, bytes, quote, size, type Story, text } from "./story.ts";

export const title = "UDP: datagrams, one of them empty and one too large";

/** Larger than any UDP datagram. */
const TOO_MUCH = 70_000;

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Echo extends DatagramProtocol {
    readonly lost = Promise.withResolvers<void>();
    #transport!: DatagramTransport;

    override connectionMade(transport: DatagramTransport): void {
      story.saw("server", "connectionMade", `on ${at(transport.getExtraInfo("sockname")!)}`);
      this.#transport = transport;
    }

    override datagramReceived(data: Uint8Array<ArrayBuffer>, addr: Deno.Addr): void {
      story.saw("server", "datagramReceived", `${quote(data)} from ${at(addr)}`);
      this.#transport.sendto(data, addr);
    }

    override connectionLost(error: Error | null): void {
      story.saw("server", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  class Client extends DatagramProtocol {
    readonly lost = Promise.withResolvers<void>();
    readonly answers: string[] = [];
    errors = 0;
    #transport!: DatagramTransport;

    override connectionMade(transport: DatagramTransport): void {
      story.saw("client", "connectionMade", `to ${at(transport.getExtraInfo("peername")!)}`);
      this.#transport = transport;
      story.did("client", "sendto", `${quote(bytes("ping"))}, ${size(0)}, ${size(TOO_MUCH)}`);
      transport.sendto(bytes("ping"));
      transport.sendto(new Uint8Array(0));
      transport.sendto(new Uint8Array(TOO_MUCH));
    }

    override datagramReceived(data: Uint8Array<ArrayBuffer>, addr: Deno.Addr): void {
      story.saw("client", "datagramReceived", `${quote(data)} from ${at(addr)}`);
      this.answers.push(text(data));
      this.#closeWhenDone();
    }

    override errorReceived(error: Error): void {
      story.saw("client", "errorReceived", error.message);
      this.errors++;
      this.#closeWhenDone();
    }

    override connectionLost(error: Error | null): void {
      story.saw("client", "connectionLost", String(error));
      this.lost.resolve();
    }

    #closeWhenDone(): void {
      if (this.answers.length === 2 && this.errors === 1) this.#transport.close();
    }
  }

  const [transport, server] = await loop.createDatagramEndpoint(() => new Echo(), {
    localAddr: { hostname: "127.0.0.1", port: 0 },
  });
  const { port } = transport.getExtraInfo("sockname") as Deno.NetAddr;
  const [, client] = await loop.createDatagramEndpoint(() => new Client(), {
    remoteAddr: { hostname: "127.0.0.1", port },
  });
  await client.lost.promise;
  transport.close();
  await server.lost.promise;
  story.check("both datagrams came back separately", client.answers.join() === "ping,");
  story.check("errorReceived was called for the one too large, and the transport stayed open", client.errors === 1);
}
