/** Pairs of pairs: a server's and a client's side of a connection, which clean up after themselves; and a reader without one. */
import type { Server } from "../../mod.ts";
import type { Transport } from "../../transports/mod.ts";
import {
  openConnection,
  type OpenConnectionOptions,
  startServer,
  type StartServerOptions,
  type StreamPair,
  type StreamProtocol,
  type StreamReader,
  type StreamsOptions,
  toStreams,
} from "../../streams/mod.ts";
import { portOf, turn } from "../kit.ts";

/** Both sides of a connection. */
export interface Ends extends AsyncDisposable {
  server: Server;
  client: StreamPair;
  served: StreamPair;
}

/** Connects two pairs over TCP on loopback. */
export async function connectPairs(
  options: { server?: Partial<StartServerOptions>; client?: Partial<OpenConnectionOptions> } = {},
): Promise<Ends> {
  const { promise, resolve } = Promise.withResolvers<StreamPair>();
  const address = { hostname: "127.0.0.1", port: 0, ...options.server };
  const server = await startServer(resolve, address as StartServerOptions);
  const { loop } = options.server ?? {};
  const client = await openConnection({ port: portOf(server), loop, ...options.client } as OpenConnectionOptions);
  const served = await promise;
  return {
    server,
    client,
    served,
    async [Symbol.asyncDispose]() {
      client.abort();
      served.abort();
      server.close();
      await Promise.allSettled([client.closed, served.closed, server.waitClosed()]);
      await turn();
    },
  };
}

/** A reader that a test feeds by the protocol, and what it has asked of its transport. */
export function fedReader(
  options: StreamsOptions = {},
): { protocol: StreamProtocol; reader: StreamReader; calls: string[] } {
  const calls: string[] = [];
  const transport = {
    pauseReading: () => void calls.push("pause"),
    resumeReading: () => void calls.push("resume"),
    close: () => void calls.push("close"),
    setProtocol: () => {},
  };
  const protocol = toStreams(options)();
  protocol.connectionMade(transport as unknown as Transport);
  return { protocol, reader: protocol.pair.reader, calls };
}
