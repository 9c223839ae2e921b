/** Scenarios that any engine, and whatever else makes streams, can be put through; and what carries them. */
import type { ConnectionOptions, EventLoop, Server, ServerOptions, StreamCallbacks, Transport } from "../../mod.ts";
import { captureExceptions, ManualClock, Pair, Recorder, tempPath, turn } from "../kit.ts";

/** Options of a server in the scenarios. */
export interface ServeOptions {
  closeTimeout?: number;
  startServing?: boolean;
}

/** Options of a client in the scenarios. */
export interface DialOptions {
  closeTimeout?: number;
  signal?: AbortSignal;
}

/** What carries the streams of a scenario: a loop, and how two protocols meet on it. */
export interface StreamSetup {
  /** The loop with the engine under test. */
  loop: EventLoop;
  /** Serves a protocol at an address that nothing else has. */
  serve(factory: () => StreamCallbacks, options?: ServeOptions): Promise<Server>;
  /** Connects to such a server. */
  dial<P extends StreamCallbacks>(server: Server, factory: () => P, options?: DialOptions): Promise<[Transport, P]>;
  /** Removes what is left. */
  dispose?(): void;
}

/** What scenarios must know of the streams of a setup. */
export interface StreamTraits {
  /**
   * Whether one direction can end alone. TLS cannot.
   *
   * @default {true}
   */
  halfCloses?: boolean;
  /**
   * How many bytes are certainly more than a connection takes while its peer does not read, by 256 KiB and more.
   *
   * @default {16_777_216}
   */
  much?: number;
}

/** Options that all servers and all clients of a setup have, such as `tls`. */
export interface SetupOptions {
  server?: Pick<ServerOptions, "tls" | "proxyProtocol">;
  client?: Pick<ConnectionOptions, "tls" | "proxyProtocol">;
}

/** Makes a setup whose loop goes by this clock. */
export type MakeSetup = (clock: ManualClock) => StreamSetup;

/** TCP on loopback, with whatever engine the loop has. */
export function tcp(loop: EventLoop, { server: forServers, client: forClients }: SetupOptions = {}): StreamSetup {
  return {
    loop,
    serve(factory, options) {
      return loop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...forServers, ...options });
    },
    dial(server, factory, options) {
      const { hostname, port } = server.addresses[0] as Deno.NetAddr;
      return loop.createConnection(factory, { hostname, port, ...forClients, ...options });
    },
  };
}

/** A Unix socket in a directory of its own. */
export function unix(loop: EventLoop, { server: forServers, client: forClients }: SetupOptions = {}): StreamSetup {
  const directory = tempPath();
  let count = 0;
  return {
    loop,
    serve(factory, options) {
      return loop.createUnixServer(factory, { path: `${directory.path}${count++}`, ...forServers, ...options });
    },
    dial(server, factory, options) {
      const { path } = server.addresses[0] as Deno.UnixAddr;
      return loop.createUnixConnection(factory, { path, ...forClients, ...options });
    },
    dispose: () => directory[Symbol.dispose](),
  };
}

/** A setup, and what scenarios do with it. */
export class Medium implements Disposable {
  readonly clock = new ManualClock();
  readonly loop: EventLoop;
  readonly halfCloses: boolean;
  readonly much: number;
  readonly serve: StreamSetup["serve"];
  readonly dial: StreamSetup["dial"];
  #dispose: (() => void) | undefined;

  constructor(makeSetup: MakeSetup, traits: StreamTraits) {
    const setup = makeSetup(this.clock);
    this.loop = setup.loop;
    this.halfCloses = traits.halfCloses ?? true;
    this.much = traits.much ?? 16 * 1024 * 1024;
    this.serve = setup.serve;
    this.dial = setup.dial;
    this.#dispose = setup.dispose;
  }

  [Symbol.dispose](): void {
    this.#dispose?.();
  }

  /** Connects two protocols; resolves when `connectionMade` has run on both. */
  async connect<S extends StreamCallbacks, C extends StreamCallbacks>(
    makeServerSide: () => S,
    makeClientSide: () => C,
    options: { server?: ServeOptions; client?: DialOptions } = {},
  ): Promise<Pair<S, C>> {
    const made = Promise.withResolvers<S>();
    const factory = () => {
      const protocol = makeServerSide();
      // Resolved a turn later, after connectionMade has run.
      this.loop.callSoon(() => made.resolve(protocol));
      return protocol;
    };
    const server = await this.serve(factory, options.server);
    const [transport, client] = await this.dial(server, makeClientSide, options.client);
    return new Pair(server, await made.promise, client, transport, this.loop);
  }

  /** Connects two recorders. */
  recorders(options: { keepOpen?: boolean } = {}): Promise<Pair<Recorder, Recorder>> {
    return this.connect(() => new Recorder(options), () => new Recorder(options));
  }

  /** Waits for the next turn of the loop. */
  turn(): Promise<void> {
    return turn(this.loop);
  }

  /** Moves the loop's clock. */
  advance(ms: number): Promise<void> {
    return this.clock.advance(ms, this.loop);
  }

  /** Collects what the exception handler is told. */
  captureExceptions(): ReturnType<typeof captureExceptions> {
    return captureExceptions(this.loop);
  }

  /** Lets everything that is on its way arrive: a connection of its own is made, used and closed meanwhile. */
  async roundTrip(): Promise<void> {
    await using pair = await this.recorders();
    pair.clientTransport.close();
    await pair.serverSide.untilLost();
    await pair.clientSide.untilLost();
  }

  /** Ends what a side sends: alone where that can be, else with the connection. */
  end(transport: Transport): void {
    if (this.halfCloses) transport.writeEof();
    else transport.close();
  }
}

/** Scenarios on one subject, in the order in which they were added. */
export class Scenarios {
  readonly #list: { name: string; run: (medium: Medium) => Promise<void>; halfCloses: boolean | undefined }[] = [];

  /**
   * Adds a scenario.
   *
   * @param name Its name, in the form of a test's.
   * @param run The scenario.
   * @param halfCloses Whether it is only for media where one direction can end alone, or only for others; for all if this
   * is missing.
   */
  add(name: string, run: (medium: Medium) => Promise<void>, { halfCloses }: { halfCloses?: boolean } = {}): void {
    this.#list.push({ name, run, halfCloses });
  }

  /** Makes a test of each scenario that is for such a medium. */
  register(over: string, setup: MakeSetup, traits: StreamTraits): void {
    for (const { name, run, halfCloses } of this.#list) {
      if (halfCloses !== undefined && halfCloses !== (traits.halfCloses ?? true)) continue;
      Deno.test(`${name}, over ${over}`, async () => {
        using medium = new Medium(setup, traits);
        await run(medium);
      });
    }
  }
}
