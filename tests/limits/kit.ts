/** For the tests of limits: a server with limits on a network and a clock of its own, and what it reports. */
import type { LimitError, LimitOptions, Server, ServerOptions, Transport } from "../../mod.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { captureExceptions, type EventLog, Recorder } from "../kit.ts";

/** A server in memory; leaving the scope aborts what is left. */
export class Limited implements AsyncDisposable {
  readonly loop: MemoryLoop;
  readonly server: Server;
  readonly accepted: Recorder[];
  /** What `onLimit` got. */
  readonly events: LimitError[];
  /** What the exception handler got. */
  readonly captured: ReturnType<typeof captureExceptions> & { log: EventLog };

  private constructor(
    loop: MemoryLoop,
    server: Server,
    accepted: Recorder[],
    events: LimitError[],
    captured: ReturnType<typeof captureExceptions>,
  ) {
    this.loop = loop;
    this.server = server;
    this.accepted = accepted;
    this.events = events;
    this.captured = captured;
  }

  /** Starts a server of recorders. */
  static async serve(
    limits: LimitOptions,
    options: Partial<ServerOptions> = {},
    make: () => Recorder = () => new Recorder(),
    loop: MemoryLoop = new MemoryLoop(),
  ): Promise<Limited> {
    const accepted: Recorder[] = [];
    const events: LimitError[] = [];
    const captured = captureExceptions(loop);
    const factory = () => {
      accepted.push(make());
      return accepted.at(-1)!;
    };
    const onLimit = (error: LimitError) => void events.push(error);
    const server = await loop.createServer(factory, {
      hostname: "10.0.0.1",
      port: 99,
      ...options,
      limits: { onLimit, ...limits },
    });
    return new Limited(loop, server, accepted, events, captured);
  }

  /** The names of the limits that were reached. */
  get limits(): string[] {
    return this.events.map(({ limit }) => limit);
  }

  /** Connects a client. */
  async connect(hostname = "10.0.0.1", client = new Recorder()): Promise<Recorder & { transport: Transport }> {
    await this.loop.createConnection(() => client, { hostname, port: 99 });
    await this.advance(0);
    return client;
  }

  advance(ms: number): Promise<void> {
    return this.loop.clock.advance(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    await this.advance(0);
    await this.server.waitClosed();
  }
}
