/** What one scenario works with, Tandem's side; stage.py is the same for asyncio, with the same names in snake_case. */
import { connect as connectNode } from "node:net";
import type { BaseTransport, EventLoop, ExceptionContext, Server, ServerOptions, StreamCallbacks } from "../../mod.ts";
import { bytes, concat, loop, portOf, turn } from "../kit.ts";
import { resetNode } from "../streams/kit.ts";
import { errorName, Log, showData, snakeCase } from "./log.ts";
import {
  type BufferedHooks,
  BufferedRecorder,
  type DatagramHooks,
  DatagramRecorder,
  type ProcessHooks,
  ProcessRecorder,
  Recorder,
  type StreamHooks,
} from "./recorders.ts";

/** A scenario: it acts on the stage and leaves lines in its log. */
export type Scenario = (stage: Stage) => Promise<void> | void;

/** The scenarios of a topic by name. */
export type Scenarios = Record<string, Scenario>;

/** The other end of a connection as a bare `Deno.Conn`; logs what it reads as the actor `peer`. */
export class Peer {
  readonly conn: Deno.Conn;
  #log: Log;

  constructor(log: Log, conn: Deno.Conn) {
    this.#log = log;
    this.conn = conn;
  }

  async send(data: string | Uint8Array): Promise<void> {
    let rest = typeof data === "string" ? bytes(data) : data;
    while (rest.length > 0) rest = rest.subarray(await this.conn.write(rest));
  }

  async receive(count: number): Promise<void> {
    const data = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const read = await this.conn.read(data.subarray(filled));
      if (read === null) throw new Error(`the end after ${showData(data.subarray(0, filled))}`);
      filled += read;
    }
    this.#log.line("peer", `received ${showData(data)}`);
  }

  async receiveAll(): Promise<void> {
    const [data, end] = await this.#readAll();
    this.#log.line("peer", `received ${showData(data)}, then ${end}`);
  }

  /** Reads to the end, and logs nothing, for how much it is is not known. */
  async countAll(): Promise<number> {
    return (await this.#readAll())[0].length;
  }

  /** Sends nothing more. */
  end(): Promise<void> {
    return this.conn.closeWrite();
  }

  close(): void {
    try {
      this.conn.close();
    } catch {
      // Closed by the scenario already.
    }
  }

  async #readAll(): Promise<[data: Uint8Array, end: string]> {
    const pieces: Uint8Array[] = [];
    const buffer = new Uint8Array(65536);
    let end = "end";
    try {
      for (let count; (count = await this.conn.read(buffer)) !== null;) pieces.push(buffer.slice(0, count));
    } catch (error) {
      end = errorName(error);
    }
    return [concat(pieces), end];
  }
}

/** What one scenario works with. Whatever it opens is closed after it. */
export class Stage {
  readonly loop: EventLoop = loop;
  #log = new Log();
  #deferred: (() => unknown)[] = [];

  constructor() {
    const before = loop.getExceptionHandler();
    this.defer(() => loop.setExceptionHandler(before));
    this.exceptionsTo("exception handler");
  }

  log(actor: string, text: string): void {
    this.#log.line(actor, text);
  }

  lines(): string[] {
    return this.#log.lines();
  }

  /** Waits for so many lines of an actor that start so. */
  until(actor: string, prefix: string, count = 1): Promise<void> {
    return this.#log.until(() => this.#log.count(actor, prefix) >= count);
  }

  defer(cleanup: () => unknown): void {
    this.#deferred.push(cleanup);
  }

  async cleanUp(): Promise<void> {
    for (const cleanup of this.#deferred.reverse()) await cleanup();
    // connectionLost runs before the transport closes its socket.
    await turn();
  }

  /** Logs what the loop's exception handler is told as lines of this actor. */
  exceptionsTo(actor: string): void {
    loop.setExceptionHandler((context) => this.log(actor, describeContext(context)));
  }

  attempt(actor: string, label: string, fn: () => unknown): void {
    let result: string;
    try {
      result = String(fn() ?? null);
    } catch (error) {
      result = errorName(error);
    }
    this.log(actor, `${label}: ${result}`);
  }

  /** The same for what is awaited; only whether it fails is logged. */
  async attemptAsync(actor: string, label: string, promise: Promise<unknown>): Promise<void> {
    try {
      await promise;
      this.log(actor, `${label}: null`);
    } catch (error) {
      this.log(actor, `${label}: ${errorName(error)}`);
    }
  }

  /** Lets so many turns of the loop go by. */
  async turns(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) await turn();
  }

  /** Time enough for what must not happen to happen. */
  settle(): Promise<void> {
    return this.turns(20);
  }

  tempPath(name: string): string {
    const directory = Deno.makeTempDirSync({ prefix: "tandem-differential-" });
    this.defer(() => Deno.removeSync(directory, { recursive: true }));
    return `${directory}/${name}`;
  }

  recorder(actor: string, hooks: StreamHooks<Recorder> = {}): Recorder {
    return this.#adopt(new Recorder(this.#log, actor, hooks));
  }

  buffered(actor: string, hooks: BufferedHooks = {}): BufferedRecorder {
    return this.#adopt(new BufferedRecorder(this.#log, actor, hooks));
  }

  datagrams(actor: string, hooks: DatagramHooks = {}): DatagramRecorder {
    return this.#adopt(new DatagramRecorder(this.#log, actor, hooks));
  }

  child(hooks: ProcessHooks = {}): ProcessRecorder {
    return this.#adopt(new ProcessRecorder(this.#log, "process", hooks));
  }

  peer(conn: Deno.Conn): Peer {
    const peer = new Peer(this.#log, conn);
    this.defer(() => peer.close());
    return peer;
  }

  /** A bare listening socket. */
  listen(): Deno.TcpListener {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.defer(() => listener.close());
    return listener;
  }

  /** Connects a protocol to a bare socket. */
  async dial(protocol: StreamCallbacks): Promise<Peer> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await loop.createConnection(() => protocol, { port: listener.addr.port });
    return this.peer(await listener.accept());
  }

  /** The same, but gives only a function that resets the connection, which a `Deno.Conn` cannot. */
  async dialResettable(protocol: StreamCallbacks): Promise<() => Promise<void>> {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const socket = connectNode(listener.addr.port, "127.0.0.1");
    this.defer(() => resetNode(socket));
    // Before that a reset is an orderly end.
    await new Promise((resolve) => void socket.once("connect", resolve));
    await loop.connectAcceptedSocket(() => protocol, await listener.accept());
    return () => resetNode(socket);
  }

  async serve(factory: () => StreamCallbacks, options: Partial<ServerOptions> = {}): Promise<Server> {
    const server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...options });
    this.defer(() => server.close());
    return server;
  }

  async connect(server: Server, protocol: StreamCallbacks): Promise<void> {
    await loop.createConnection(() => protocol, { port: portOf(server) });
  }

  /** Connects a bare socket to a server. */
  async knock(server: Server): Promise<Peer> {
    return this.peer(await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) }));
  }

  /** Opens a datagram endpoint, for one remote endpoint or for all. */
  async endpoint(protocol: DatagramRecorder, options: { remote?: DatagramRecorder } = {}): Promise<void> {
    const { remote } = options;
    const localAddr = { hostname: "127.0.0.1", port: 0 };
    const remoteAddr = remote?.transport.getExtraInfo("sockname") as Deno.NetAddr | undefined;
    await loop.createDatagramEndpoint(() => protocol, { localAddr, ...remoteAddr && { remoteAddr } });
  }

  #adopt<P extends { transport?: BaseTransport & { abort?(): void }; lost: boolean; untilLost(): Promise<void> }>(
    protocol: P,
  ): P {
    this.defer(async () => {
      const { transport } = protocol;
      if (transport === undefined || protocol.lost) return;
      if (transport.abort !== undefined) transport.abort();
      else transport.close();
      await protocol.untilLost();
    });
    return protocol;
  }
}

/** An exception handler's context as a line: what failed, with what error, and which keys there are. */
function describeContext(context: ExceptionContext): string {
  const { message, error = null } = context;
  const fatal = /^Fatal error: protocol\.(\w+)\(\) call failed\.$/.exec(message)?.[1];
  const failed = /^Exception in (?:callback |protocol\.)(\w+)/.exec(message)?.[1];
  let what = JSON.stringify(message);
  if (fatal !== undefined) what = `fatal in ${snakeCase(fatal)}`;
  else if (failed !== undefined) what = `failed ${snakeCase(failed)}`;
  // Which client it was is the system's affair.
  if (/^TLS handshake with .* failed$/.test(message)) what = "a TLS handshake";
  const keys = Object.keys(context).filter((key) => key !== "message").sort();
  return `exception handler: ${what}, ${errorName(error)} [${keys.join(" ")}]`;
}
