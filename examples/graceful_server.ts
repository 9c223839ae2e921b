/**
 * A server that ends in order: at SIGTERM it finishes the answers under way, and a second SIGTERM ends it at once.
 *
 *     deno run --allow-net examples/graceful_server.ts [port] [milliseconds of an answer]
 *
 * It answers each line with the same line in capitals, after a while: try `nc 127.0.0.1 8888`.
 */
import { getRunningLoop } from "../mod.ts";
import { LineProtocol } from "../framing/mod.ts";

class Session extends LineProtocol {
  /** How many answers are under way. */
  #busy = 0;
  #ending = false;

  override frameReceived(line: string): void {
    this.#busy++;
    console.log("working");
    loop.callLater(Number(duration), () => {
      this.#busy--;
      this.sendFrame(line.toUpperCase());
      this.#closeIfDone();
    });
  }

  // The server ends soon. Without this callback, it would close the connection now.
  override drain(): void {
    this.#ending = true;
    this.pauseReading(); // no further requests
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#ending && this.#busy === 0) this.transport.close(); // after the last answer is sent
  }
}

const [port = "8888", duration = "1000"] = Deno.args;
const loop = getRunningLoop();
const server = await loop.createServer(() => new Session(), { hostname: "127.0.0.1", port: Number(port) });

const forced = new AbortController();
const ended = new Promise<void>((resolve) => {
  loop.addSignalHandler("SIGTERM", async () => {
    loop.addSignalHandler("SIGTERM", () => forced.abort());
    console.log("ending");
    // Behind a load balancer, `delay` is the time in which it learns that this server ends.
    const counts = await server.drain({ delay: 0, grace: 20_000, signal: forced.signal });
    console.log(`${counts.ended} ended, ${counts.closed} closed, ${counts.aborted} aborted`);
    loop.removeSignalHandler("SIGTERM");
    resolve();
  });
});

const { hostname, port: bound } = server.addresses[0] as Deno.NetAddr;
console.log(`serving on ${hostname}:${bound}`);
await ended;
