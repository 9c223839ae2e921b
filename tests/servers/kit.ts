/** For the tests of Unix sockets: pairs over a path, and files that are in the way. */
import type { Server, Transport } from "../../mod.ts";
import { EventLog, loop, Recorder, turn } from "../kit.ts";

/** What a server has accepted, in order. */
class Accepted {
  readonly log = new EventLog();
  readonly protocols: Recorder[] = [];
}

/** A Unix server and one client of it; leaving the scope aborts what is left of both and waits for the end. */
export class UnixPair implements AsyncDisposable {
  readonly server: Server;
  readonly accepted: Accepted;
  readonly serverSide: Recorder;
  readonly clientSide: Recorder;

  constructor(server: Server, accepted: Accepted, serverSide: Recorder, clientSide: Recorder) {
    this.server = server;
    this.accepted = accepted;
    this.serverSide = serverSide;
    this.clientSide = clientSide;
  }

  /** Makes a server, then a client, by whatever means. */
  static async of(
    serve: (factory: () => Recorder) => Promise<Server>,
    connect: () => Promise<[Transport, Recorder]>,
    options: { keepOpen?: boolean } = {},
  ): Promise<UnixPair> {
    const accepted = new Accepted();
    const server = await serve(() => {
      const protocol = new Recorder(options);
      accepted.protocols.push(protocol);
      // A turn later, after connectionMade has run.
      loop.callSoon(() => accepted.log.changed());
      return protocol;
    });
    return await UnixPair.#add(server, accepted, connect);
  }

  /** Adds another client to a server. */
  static connectTo(server: Server, accepted: Accepted, path: string, signal?: AbortSignal): Promise<UnixPair> {
    const options = { path, ...signal !== undefined && { signal } };
    return UnixPair.#add(server, accepted, () => loop.createUnixConnection(() => new Recorder(), options));
  }

  static async #add(
    server: Server,
    accepted: Accepted,
    connect: () => Promise<[Transport, Recorder]>,
  ): Promise<UnixPair> {
    // Others, such as one who asks whether the socket is live, may have come and gone before.
    const before = accepted.protocols.length;
    const [, clientSide] = await connect();
    await accepted.log.until(() => accepted.protocols.length > before);
    await turn();
    return new UnixPair(server, accepted, accepted.protocols.at(-1)!, clientSide);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    this.clientSide.transport.abort();
    await this.server.waitClosed();
    await this.clientSide.untilLost();
    await turn();
  }
}

/** Serves a path and connects to it; resolves when `connectionMade` has run on both sides. */
export function unixPair(
  path: string,
  recorder: { keepOpen?: boolean } = {},
  options: { cleanupSocket?: boolean } = {},
): Promise<UnixPair> {
  return UnixPair.of(
    (factory) => loop.createUnixServer(factory, { path, ...options }),
    () => loop.createUnixConnection(() => new Recorder(), { path }),
    recorder,
  );
}

/** Puts the socket file of a server there that is dead. */
export function staleSocket(path: string): void {
  const listener = Deno.listen({ transport: "unix", path: `${path}.bound` });
  // Deno removes the name that it has bound; the other one stays.
  Deno.linkSync(`${path}.bound`, path);
  listener.close();
}

/** The names of the files in a directory, hidden ones too. */
export function filesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}
