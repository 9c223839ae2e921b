import { type EventLoop, Protocol, type Transport } from "../../mod.ts";
import { size, type Story } from "./story.ts";

export const title = "Flow control: a fast writer and a slow reader";

const TOTAL = 16 * 1024 * 1024;
const BLOCK = 32 * 1024;
/** The default high-water mark, plus the write that exceeds it. */
const MOST_BUFFERED = 64 * 1024 + BLOCK;

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Writer extends Protocol {
    written = 0;
    /** The largest size of the write buffer. */
    mostBuffered = 0;
    pauses = 0;
    resumes = 0;
    #paused = false;
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      const [low, high] = transport.getWriteBufferLimits();
      story.saw("writer", "connectionMade", `pauses over ${size(high)}, resumes at ${size(low)}`);
      this.#transport = transport;
      this.#writeOn();
    }

    override pauseWriting(): void {
      story.saw("writer", "pauseWriting", `${size(this.#transport.getWriteBufferSize())} wait`);
      this.pauses++;
      this.#paused = true;
    }

    override resumeWriting(): void {
      story.saw("writer", "resumeWriting", `${size(this.#transport.getWriteBufferSize())} wait`);
      this.resumes++;
      this.#paused = false;
      this.#writeOn();
    }

    override connectionLost(error: Error | null): void {
      story.saw("writer", "connectionLost", String(error));
    }

    #writeOn(): void {
      while (!this.#paused && this.written < TOTAL) {
        this.#transport.write(new Uint8Array(BLOCK));
        this.written += BLOCK;
        this.mostBuffered = Math.max(this.mostBuffered, this.#transport.getWriteBufferSize());
      }
      if (this.written === TOTAL) this.#transport.close();
    }
  }

  class Reader extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    received = 0;
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      story.saw("reader", "connectionMade", "does not read for 100 ms");
      this.#transport = transport;
      transport.pauseReading();
      loop.callLater(100, () => {
        story.did("reader", "resumeReading", `${size(writer.written)} of ${size(TOTAL)} are written by now`);
        story.check("the writer stopped while the reader did", writer.written < TOTAL);
        transport.resumeReading();
      });
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("reader", "dataReceived", `${size(data.length)}, and a rest of 1 ms after each`);
      this.received += data.length;
      this.#transport.pauseReading();
      loop.callLater(1, () => this.#transport.resumeReading());
    }

    override eofReceived(): void {
      story.saw("reader", "eofReceived");
    }

    override connectionLost(error: Error | null): void {
      story.saw("reader", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  const writer = new Writer();
  await using server = await loop.createServer(() => writer, { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [, reader] = await loop.createConnection(() => new Reader(), { port });
  await reader.lost.promise;
  story.check(`all ${size(TOTAL)} arrived`, reader.received === TOTAL);
  story.check(`the writer never held more than ${size(MOST_BUFFERED)}`, writer.mostBuffered <= MOST_BUFFERED);
  story.check("each pauseWriting had its resumeWriting", writer.pauses > 0 && writer.pauses === writer.resumes);
}
