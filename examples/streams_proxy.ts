/**
 * TCP proxy with web streams: connects each client to an upstream server. `pipeTo` passes on back-pressure and half-close.
 *
 *     deno run --allow-net examples/streams_proxy.ts [port] [upstream port] [upstream host]
 */
import { getRunningLoop } from "../mod.ts";
import { openConnection, startServer } from "../streams/mod.ts";

const [port = "8090", upstreamPort = "8080", hostname = "127.0.0.1"] = Deno.args;

const server = await startServer(async (client) => {
  // Leaving the scope closes both connections, whatever has happened.
  await using _ = client;
  try {
    await using upstream = await openConnection({ hostname, port: Number(upstreamPort) });
    await Promise.all([
      client.readable.pipeTo(upstream.writable),
      upstream.readable.pipeTo(client.writable),
    ]);
  } catch (error) {
    console.log(`lost: ${(error as Error).message}`);
  }
}, { hostname: "127.0.0.1", port: Number(port) });

const stop = new AbortController();
getRunningLoop().addSignalHandler("SIGINT", () => stop.abort());
console.log(`proxy on 127.0.0.1:${server.port}, SIGINT stops it`);
await server.serveForever({ signal: stop.signal });
server.closeClients();
await server.waitClosed();
getRunningLoop().removeSignalHandler("SIGINT");
console.log("stopped");
