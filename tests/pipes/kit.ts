/** For the tests of pipes: FIFOs, and web streams that record. */
import { EventLog, text } from "../kit.ts";

/** The two ends of a FIFO that has no name any more. */
export async function fifo(): Promise<{ reader: Deno.FsFile; writer: Deno.FsFile }> {
  const directory = Deno.makeTempDirSync({ prefix: "tandem-test-" });
  try {
    const path = `${directory}/fifo`;
    const { success } = await new Deno.Command("mkfifo", { args: [path] }).output();
    if (!success) throw new Error("mkfifo failed");
    // Opening one end waits for the other.
    const [reader, writer] = await Promise.all([Deno.open(path, { read: true }), Deno.open(path, { write: true })]);
    return { reader, writer };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** A sink for `WritableStream` that keeps what it is given and takes the next only when it is told to. */
export class RecordingSink implements UnderlyingSink<Uint8Array> {
  readonly log = new EventLog();
  readonly chunks: Uint8Array[] = [];
  /** Whether a write waits for {@linkcode take}. */
  stuck = false;
  #taken = Promise.withResolvers<void>();

  async write(chunk: Uint8Array): Promise<void> {
    this.chunks.push(chunk);
    this.log.add(`write ${chunk.length}`);
    if (this.stuck) await this.#taken.promise;
  }

  close(): void {
    this.log.add("close");
  }

  abort(reason: unknown): void {
    this.log.add(`abort ${reason}`);
  }

  /** Lets a stuck write go on; those that follow do not get stuck. */
  take(): void {
    this.stuck = false;
    this.#taken.resolve();
  }

  /** Makes a stuck write fail. */
  fail(error: Error): void {
    this.#taken.reject(error);
  }

  /** What was written, as text. */
  get texts(): string[] {
    return this.chunks.map(text);
  }
}

/** A source for `ReadableStream` that tells of being pulled and cancelled. */
export class RecordingSource implements UnderlyingDefaultSource<Uint8Array> {
  readonly log = new EventLog();
  controller!: ReadableStreamDefaultController<Uint8Array>;

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.controller = controller;
  }

  pull(): void {
    this.log.add("pull");
  }

  cancel(): void {
    this.log.add("cancel");
  }
}
