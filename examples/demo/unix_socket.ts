import { type EventLoop, Protocol, type Transport } from "../../mod.ts";
import { bytes, quote, type Story, text } from "./story.ts";

export const title = "Unix socket: the same protocols over a path";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  if (Deno.build.os === "windows") {
    console.log("   left out: Deno has no Unix sockets on Windows");
    return;
  }

  class Greeter extends Protocol {
    override connectionMade(transport: Transport): void {
      story.saw("server", "connectionMade", "writes and closes at once");
      transport.write(bytes("good day"));
      transport.close();
    }

    override connectionLost(error: Error | null): void {
      story.saw("server", "connectionLost", String(error));
    }
  }

  class Client extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    greeting = "";

    override connectionMade(transport: Transport): void {
      const peer = transport.getExtraInfo("peername") as Deno.UnixAddr;
      story.saw("client", "connectionMade", `to .../${peer.path.split("/").at(-1)}`);
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("client", "dataReceived", quote(data));
      this.greeting += text(data);
    }

    override eofReceived(): void {
      story.saw("client", "eofReceived");
    }

    override connectionLost(error: Error | null): void {
      story.saw("client", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  const directory = await Deno.makeTempDir({ prefix: "tandem-demo-" });
  const path = `${directory}/greeter.sock`;
  try {
    const server = await loop.createUnixServer(() => new Greeter(), { path });
    const [, client] = await loop.createUnixConnection(() => new Client(), { path });
    await client.lost.promise;
    story.check("close() sent what was written", client.greeting === "good day");
    server.close();
    await server.waitClosed();
    const left = [...Deno.readDirSync(directory)];
    story.check("the server has removed its socket file", left.length === 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
