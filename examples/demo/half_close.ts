import { type EventLoop, Protocol, type Transport } from "../../mod.ts";
import { bytes, quote, type Story, text } from "./story.ts";

export const title = "Half-close: the question ends before the answer begins";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Server extends Protocol {
    #question = "";
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      story.saw("server", "connectionMade");
      this.#transport = transport;
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("server", "dataReceived", quote(data));
      this.#question += text(data);
    }

    override eofReceived(): boolean {
      story.saw("server", "eofReceived", "returns true: still open for writing");
      loop.callLater(10, () => {
        this.#transport.write(bytes(this.#question.toUpperCase()));
        this.#transport.close();
      });
      return true;
    }

    override connectionLost(error: Error | null): void {
      story.saw("server", "connectionLost", String(error));
    }
  }

  class Client extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    answer = "";

    override connectionMade(transport: Transport): void {
      story.saw("client", "connectionMade", "writes and calls writeEof()");
      transport.write(bytes("is this all?"));
      transport.writeEof();
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("client", "dataReceived", quote(data));
      this.answer += text(data);
    }

    override eofReceived(): void {
      story.saw("client", "eofReceived");
    }

    override connectionLost(error: Error | null): void {
      story.saw("client", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  await using server = await loop.createServer(() => new Server(), { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [transport, client] = await loop.createConnection(() => new Client(), { port });
  let refused = "nothing";
  try {
    transport.write(bytes("one more thing"));
  } catch (error) {
    refused = (error as Error).name;
  }
  story.check("a write after writeEof() is an InvalidStateError", refused === "InvalidStateError");
  await client.lost.promise;
  story.check("the answer arrived after the end of the question", client.answer === "IS THIS ALL?");
}
