import { BufferedProtocol, type EventLoop, Protocol } from "../../mod.ts";
import { size, type Story } from "./story.ts";

export const title = "BufferedProtocol: bytes are read straight into the protocol's memory";

const LENGTH = 1_000_000;

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Receiver extends BufferedProtocol {
    // One byte more than the data: an empty buffer is an error, even if only the end of file follows.
    readonly memory = new Uint8Array(LENGTH + 1);
    readonly lost = Promise.withResolvers<void>();
    received = 0;

    override connectionMade(): void {
      story.saw("receiver", "connectionMade");
    }

    override getBuffer(sizeHint: number): Uint8Array {
      const free = this.memory.subarray(this.received);
      story.saw("receiver", "getBuffer", `asks for ${size(sizeHint)}, gets ${size(free.length)}`);
      return free;
    }

    override bufferUpdated(nbytes: number): void {
      story.saw("receiver", "bufferUpdated", size(nbytes));
      this.received += nbytes;
    }

    override eofReceived(): void {
      story.saw("receiver", "eofReceived");
    }

    override connectionLost(error: Error | null): void {
      story.saw("receiver", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  const sent = Uint8Array.from({ length: LENGTH }, (_, i) => i % 251);
  const receiver = new Receiver();
  await using server = await loop.createServer(() => receiver, { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [transport] = await loop.createConnection(() => new Protocol(), { port });
  story.did("sender", "write", size(LENGTH));
  transport.write(sent);
  transport.close();
  await receiver.lost.promise;
  story.check(`all ${size(LENGTH)} are in place`, receiver.memory.subarray(0, LENGTH).every((b, i) => b === sent[i]));
  story.check("and nothing else is", receiver.received === LENGTH && receiver.memory[LENGTH] === 0);
}
