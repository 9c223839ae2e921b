/**
 * File receiver: a BufferedProtocol that reads each file into its final place in memory, without a copy. A file is sent as
 * 8 bytes with its size, most significant first, and then its bytes.
 *
 *     deno run --allow-net examples/file_receiver.ts [port] [host]
 *     deno run --allow-net --allow-read examples/file_receiver.ts --send [file] [port] [host]
 */
import { createHash } from "node:crypto";
import { BufferedProtocol, getRunningLoop, Protocol, type Transport } from "../mod.ts";

/** The largest file. A client that announces more is disconnected, so that it cannot make us allocate more. */
const MAX_SIZE = 1024 ** 3;

class FileReceiver extends BufferedProtocol {
  #header = new Uint8Array(8);
  /** The memory that is being filled: the header or a file. */
  #target = this.#header;
  #filled = 0;

  override getBuffer(): Uint8Array {
    return this.#target.subarray(this.#filled);
  }

  override bufferUpdated(nbytes: number): void {
    this.#filled += nbytes;
    if (this.#filled < this.#target.length) return;
    this.#filled = 0;
    if (this.#target === this.#header) {
      const size = new DataView(this.#header.buffer).getBigUint64(0);
      // An exception here closes the connection and goes to the loop's exception handler.
      if (size > MAX_SIZE) throw new RangeError(`a file of ${size} bytes is too large`);
      this.#target = new Uint8Array(Number(size));
      if (size > 0n) return;
    }
    console.log(`received ${describe(this.#target)}`);
    this.#target = this.#header;
  }

  override connectionLost(error: Error | null): void {
    const cut = this.#target !== this.#header || this.#filled > 0;
    if (error || cut) console.log(`lost a file: ${error?.message ?? "the sender has ended too early"}`);
  }
}

function describe(file: Uint8Array): string {
  return `${file.length} bytes, SHA-256 ${createHash("sha256").update(file).digest("hex")}`;
}

async function receive(port: number, hostname: string): Promise<void> {
  const server = await loop.createServer(() => new FileReceiver(), { hostname, port });
  const address = server.addresses[0] as Deno.NetAddr;
  console.log(`waiting for files on ${address.hostname}:${address.port}`);
  loop.addSignalHandler("SIGINT", () => server.close());
  await server.serveForever();
  server.closeClients();
  await server.waitClosed();
  console.log("stopped");
}

async function send(path: string, port: number, hostname: string): Promise<void> {
  using file = await Deno.open(path);
  const { size } = await file.stat();
  const [transport] = await loop.createConnection(() => new Protocol(), { hostname, port });
  using _closedAtTheEnd: Transport = transport;
  const header = new Uint8Array(8);
  new DataView(header.buffer).setBigUint64(0, BigInt(size));
  transport.write(header);
  console.log(`sent ${await loop.sendfile(transport, file)} bytes`);
}

const loop = getRunningLoop();
if (Deno.args[0] === "--send") {
  const [, path = import.meta.filename!, port = "8890", hostname = "127.0.0.1"] = Deno.args;
  await send(path, Number(port), hostname);
} else {
  const [port = "8890", hostname = "127.0.0.1"] = Deno.args;
  await receive(Number(port), hostname);
}
