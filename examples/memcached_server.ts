/**
 * A small memcached: lines are commands, and the bytes of a value follow its line.
 *
 *     deno run --allow-net examples/memcached_server.ts [port]
 *
 * Try it with `telnet localhost 11211`: `set greeting 0 0 5`, `hello`, `get greeting`, `quit`.
 */
import { getRunningLoop, type Transport } from "../mod.ts";
import { LineProtocol } from "../framing/mod.ts";

const values = new Map<string, { flags: string; bytes: Uint8Array }>();
const MAX_VALUE = 1024 * 1024;

class Memcached extends LineProtocol {
  /** The value that is being received, with the CRLF at its end. */
  #value = new Uint8Array(0);
  #received = 0;
  #store: ((value: Uint8Array) => void) | null = null;

  constructor() {
    // A client that is slow to send a command does not hold the connection; a line that is too long is no command.
    super({ limit: 2048, frameTimeout: 10_000, tooLong: "skip" });
  }

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    console.log("connected");
  }

  override frameReceived(line: string): void {
    const [command, ...args] = line.split(" ");
    if (command === "set") this.#set(args);
    else if (command === "get") this.#get(args);
    else if (command === "delete") this.sendFrame(values.delete(args[0] ?? "") ? "DELETED" : "NOT_FOUND");
    else if (command === "quit") this.transport.close();
    else this.sendFrame("ERROR");
  }

  override frameTooLong(): void {
    this.sendFrame("CLIENT_ERROR line too long");
  }

  #set([key = "", flags = "0", _expires, size = ""]: string[]): void {
    const length = Number(size);
    if (key === "" || !Number.isSafeInteger(length) || length < 0 || size === "") {
      this.sendFrame("CLIENT_ERROR bad command line format");
      return;
    }
    // A value that is too large is received and dropped, so that the next line is a command again.
    this.#store = length > MAX_VALUE ? null : (bytes) => values.set(key, { flags, bytes });
    this.#value = new Uint8Array(length > MAX_VALUE ? 0 : length + 2);
    this.#received = 0;
    this.setRawMode(length + 2);
  }

  override rawReceived(data: Uint8Array, remaining: number): void {
    // `data` is a view of memory that is read into again, so it is copied.
    if (this.#store !== null) this.#value.set(data, this.#received);
    this.#received += data.length;
    if (remaining > 0) return;
    const value = this.#value.subarray(0, -2);
    if (this.#store === null) {
      this.sendFrame("SERVER_ERROR object too large for cache");
    } else if (this.#value.at(-2) !== 13 || this.#value.at(-1) !== 10) {
      this.sendFrame("CLIENT_ERROR bad data chunk");
    } else {
      this.#store(value);
      this.sendFrame("STORED");
    }
  }

  #get(keys: string[]): void {
    for (const key of keys) {
      const value = values.get(key);
      if (value === undefined) continue;
      this.sendFrame(`VALUE ${key} ${value.flags} ${value.bytes.length}`);
      this.transport.write(value.bytes);
      this.sendFrame("");
    }
    this.sendFrame("END");
  }

  // If the client stops reading replies, stop reading its commands.
  override pauseWriting(): void {
    this.pauseReading();
  }

  override resumeWriting(): void {
    this.resumeReading();
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    console.log(`disconnected${error ? `: ${error.message}` : ""}`);
  }
}

const [port = "11211"] = Deno.args;
const loop = getRunningLoop();
const options = { hostname: "127.0.0.1", port: Number(port), closeTimeout: 2000 };
const server = await loop.createServer(() => new Memcached(), options);
loop.addSignalHandler("SIGINT", () => server.close());
console.log(`serving on ${options.hostname}:${server.port}`);
await server.serveForever();
server.closeClients();
await server.waitClosed();
console.log("stopped");
