/** For the tests of the PROXY protocol: headers by hand, and servers that record. */
import type { Server, ServerOptions, Transport } from "../../mod.ts";
import { concat, EventLog, loop, portOf, Recorder } from "../kit.ts";

/** The first bytes of version 2. */
export const SIGNATURE = new Uint8Array([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]);

/** A header of version 2, by its bytes. */
export function binary(versionAndCommand: number, family: number, block: Iterable<number>): Uint8Array<ArrayBuffer> {
  const rest = Uint8Array.from(block);
  const head = new Uint8Array([versionAndCommand, family, rest.length >> 8, rest.length & 255]);
  return concat([SIGNATURE, head, rest]);
}

/** A server, and the protocols that it has made. */
export class Proxied implements AsyncDisposable {
  readonly server: Server;
  readonly protocols: Recorder[];
  readonly log: EventLog;

  constructor(server: Server, protocols: Recorder[], log: EventLog) {
    this.server = server;
    this.protocols = protocols;
    this.log = log;
  }

  /** Waits for the next connection. */
  async next(count = 1): Promise<Recorder> {
    await this.log.until(() => this.protocols.length >= count);
    return this.protocols[count - 1]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    await this.server.waitClosed();
  }
}

/** Makes a protocol, and counts it once `connectionMade` has run. */
function recorderOf(protocols: Recorder[], log: EventLog): () => Recorder {
  return () =>
    new class extends Recorder {
      override connectionMade(transport: Transport): void {
        super.connectionMade(transport);
        protocols.push(this);
        log.changed();
      }
    }();
}

/** Serves connections whose proxies are on the loopback interface. */
export async function serveProxied(
  options: Partial<ServerOptions> = {},
  onLoop = loop,
): Promise<Proxied & { port: number }> {
  const protocols: Recorder[] = [];
  const log = new EventLog();
  const server = await onLoop.createServer(recorderOf(protocols, log), {
    hostname: "127.0.0.1",
    port: 0,
    proxyProtocol: { trusted: ["127.0.0.1"] },
    ...options,
  });
  return Object.assign(new Proxied(server, protocols, log), { port: portOf(server) });
}

/** Serves a path. */
export async function serveUnixProxied(path: string, trusted: string[]): Promise<Proxied> {
  const protocols: Recorder[] = [];
  const log = new EventLog();
  const server = await loop.createUnixServer(recorderOf(protocols, log), { path, proxyProtocol: { trusted } });
  return new Proxied(server, protocols, log);
}
