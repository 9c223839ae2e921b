import { type EventLoop, Protocol, type Transport } from "../../mod.ts";
import { at, bytes, quote, type Story, text } from "./story.ts";

export const title = "TCP echo";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Echo extends Protocol {
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      story.saw("server", "connectionMade", `from ${at(transport.getExtraInfo("peername")!)}`);
      this.#transport = transport;
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("server", "dataReceived", quote(data));
      this.#transport.write(data);
    }

    override eofReceived(): void {
      story.saw("server", "eofReceived", "returns nothing: the transport closes");
    }

    override connectionLost(error: Error | null): void {
      story.saw("server", "connectionLost", String(error));
    }
  }

  class Client extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    answer = "";
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      story.saw("client", "connectionMade", `to ${at(transport.getExtraInfo("peername")!)}`);
      this.#transport = transport;
      // Three writes in one callback are one system call.
      transport.writelines([bytes("Hello"), bytes(", ")]);
      transport.write(bytes("world!"));
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("client", "dataReceived", quote(data));
      this.answer += text(data);
      if (this.answer.endsWith("!")) this.#transport.close();
    }

    override connectionLost(error: Error | null): void {
      story.saw("client", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  await using server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [, client] = await loop.createConnection(() => new Client(), { port });
  story.check("connectionMade was called before createConnection resolved", story.hasSeen("client", "connectionMade"));
  await client.lost.promise;
  story.check("the reply is what was sent", client.answer === "Hello, world!");
}
