/**
 * A cache that speaks a part of memcached's protocol: `set`, `get` and `quit`. Commands are lines, values are blocks of bytes.
 *
 *     deno run --allow-net examples/streams_cache.ts [port]
 *
 * Try `printf 'set fruit 0 0 5\r\napple\r\nget fruit\r\nquit\r\n' | nc 127.0.0.1 11211`.
 */
import { getRunningLoop } from "../mod.ts";
import { LimitOverrunError, startServer, type StreamPair } from "../streams/mod.ts";

const MAX_VALUE = 1024 * 1024;
const values = new Map<string, Uint8Array>();
const encoder = new TextEncoder();

async function handle(pair: StreamPair): Promise<void> {
  await using _ = pair;
  const { reader, writer } = pair;
  const reply = (text: string) => writer.write(encoder.encode(`${text}\r\n`));
  try {
    for (;;) {
      // A command has at most 512 bytes. A client that sends none for a minute is disconnected.
      const line = await reader.readLine({ limit: 512, signal: AbortSignal.timeout(60_000) });
      if (line.length === 0) return;
      const [command = "", key = "", , , size = ""] = new TextDecoder().decode(line).trimEnd().split(" ");
      if (command === "quit") return;
      if (command === "get") {
        const value = values.get(key);
        if (value !== undefined) {
          reply(`VALUE ${key} 0 ${value.length}`);
          writer.writelines([value, encoder.encode("\r\n")]);
        }
        reply("END");
      } else if (command === "set" && /^\d+$/.test(size) && Number(size) <= MAX_VALUE) {
        const block = await reader.readExactly(Number(size) + 2);
        values.set(key, block.slice(0, -2));
        reply("STORED");
      } else {
        reply("ERROR");
      }
      await writer.drain();
    }
  } catch (error) {
    if (error instanceof LimitOverrunError) reply("CLIENT_ERROR line too long");
    else console.log(`lost a client: ${(error as Error).message}`);
  }
}

const [port = "11211"] = Deno.args;
const server = await startServer(handle, { hostname: "127.0.0.1", port: Number(port) });
const stop = new AbortController();
getRunningLoop().addSignalHandler("SIGINT", () => stop.abort());
console.log(`cache on 127.0.0.1:${server.port}, SIGINT stops it`);
await server.serveForever({ signal: stop.signal });
server.closeClients();
await server.waitClosed();
getRunningLoop().removeSignalHandler("SIGINT");
console.log("stopped");
