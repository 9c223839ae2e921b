import { type EventLoop, Protocol } from "../../mod.ts";
import { size, type Story } from "./story.ts";

export const title = "sendfile: a part of a file, at the pace of the receiver";

const LENGTH = 3_000_000;
const OFFSET = 1_000_000;
const COUNT = 1_500_000;

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Receiver extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    readonly data = new Uint8Array(COUNT);
    received = 0;

    override connectionMade(): void {
      story.saw("receiver", "connectionMade");
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("receiver", "dataReceived", size(data.length));
      this.data.set(data, this.received);
      this.received += data.length;
    }

    override eofReceived(): void {
      story.saw("receiver", "eofReceived");
    }

    override connectionLost(error: Error | null): void {
      story.saw("receiver", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  const content = Uint8Array.from({ length: LENGTH }, (_, i) => i % 241);
  const path = await Deno.makeTempFile({ prefix: "tandem-demo-" });
  try {
    await Deno.writeFile(path, content);
    using file = await Deno.open(path);
    const receiver = new Receiver();
    await using server = await loop.createServer(() => receiver, { hostname: "127.0.0.1", port: 0 });
    const { port } = server.addresses[0] as Deno.NetAddr;
    const [transport] = await loop.createConnection(() => new Protocol(), { port });
    const sent = await loop.sendfile(transport, file, { offset: OFFSET, count: COUNT });
    story.did("sender", "sendfile", `${size(sent)} from ${OFFSET.toLocaleString("en")}`);
    transport.close();
    await receiver.lost.promise;
    const isSame = receiver.data.every((byte, i) => byte === content[OFFSET + i]);
    story.check("exactly that part of the file arrived", sent === COUNT && receiver.received === COUNT && isSame);
    story.check(
      "the file's position is behind the last byte sent",
      await file.seek(0, Deno.SeekMode.Current) === OFFSET + COUNT,
    );
  } finally {
    await Deno.remove(path);
  }
}
