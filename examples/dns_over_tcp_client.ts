/**
 * DNS over TCP: asks a server for the IPv4 addresses of names. Each message begins with its length, in two bytes.
 *
 *     deno run --allow-net examples/dns_over_tcp_client.ts server port name...
 *
 * For example with `9.9.9.9 53 deno.com example.com`.
 */
import { getRunningLoop } from "../mod.ts";
import { LengthPrefixedProtocol } from "../framing/mod.ts";

class Resolver extends LengthPrefixedProtocol {
  readonly #pending = new Map<number, PromiseWithResolvers<string[]>>();
  #nextId = 1;

  constructor() {
    super({ prefix: 2, frameTimeout: 5000 });
  }

  /** Queries are pipelined: answers may come in any order. */
  query(name: string): Promise<string[]> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<string[]>();
    this.#pending.set(id, answer);
    const labels = name.split(".").filter((label) => label !== "");
    const question = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
    // One question, recursion desired; type A, class IN.
    this.sendFrame(Uint8Array.of(id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question, 0, 0, 1, 0, 1));
    return answer.promise;
  }

  override frameReceived(message: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const answer = this.#pending.get(view.getUint16(0));
    this.#pending.delete(view.getUint16(0));
    const code = view.getUint8(3) & 15;
    if (code !== 0) answer?.reject(new Error(`the server answers with code ${code}`));
    else answer?.resolve(readAddresses(view));
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    for (const { reject } of this.#pending.values()) reject(error ?? new Error("the server has closed the connection"));
  }
}

/** Returns the addresses of the answers of type A. */
function readAddresses(message: DataView): string[] {
  const addresses: string[] = [];
  let at = skipName(message, 12) + 4;
  for (let i = 0; i < message.getUint16(6); i++) {
    at = skipName(message, at);
    const [type, length] = [message.getUint16(at), message.getUint16(at + 8)];
    at += 10;
    if (type === 1) addresses.push([0, 1, 2, 3].map((j) => message.getUint8(at + j)).join("."));
    at += length;
  }
  return addresses;
}

/** Returns where a name ends: with an empty label, or with a pointer of two bytes. */
function skipName(message: DataView, at: number): number {
  for (;;) {
    const length = message.getUint8(at);
    if (length === 0) return at + 1;
    if (length >= 192) return at + 2;
    at += length + 1;
  }
}

const [hostname = "127.0.0.1", port = "53", ...names] = Deno.args;
const [transport, resolver] = await getRunningLoop().createConnection(() => new Resolver(), {
  hostname,
  port: Number(port),
});
await Promise.all(names.map(async (name) => {
  try {
    console.log(`${name}: ${(await resolver.query(name)).join(", ")}`);
  } catch (error) {
    console.log(`${name}: ${(error as Error).message}`);
  }
}));
transport.close();
