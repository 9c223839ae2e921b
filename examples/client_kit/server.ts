import type { EventLoop, Server } from "../../mod.ts";
import { LineProtocol } from "../../framing/mod.ts";

/** A server for the clients: it echoes lines, answers PING, and does on demand what servers do on bad days. */
export class EchoServer {
  /** The connections that were accepted so far. */
  accepted = 0;
  #loop: EventLoop;
  #server: Server | null = null;
  #connections = new Set<Echo>();
  #held = false;
  #port = 0;

  /** Creates a server on a loop. */
  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** The port, also after `stop()`. */
  get port(): number {
    return this.#port;
  }

  /** Begins to serve, at the same port as before. */
  async start(): Promise<void> {
    const factory = () => new Echo(this, this.#loop);
    this.#server = await this.#loop.createServer(factory, { hostname: "127.0.0.1", port: this.#port });
    this.#port = this.#server.port;
  }

  /** Stops at once, as a crash does. */
  async stop(): Promise<void> {
    this.#server?.close();
    this.#server?.abortClients();
    await this.#server?.waitClosed();
  }

  /** Answers nothing until {@linkcode resume}. */
  hold(): void {
    this.#held = true;
  }

  /** Answers what has come meanwhile, in order. */
  resume(): void {
    this.#held = false;
    for (const connection of this.#connections) connection.answerAll();
  }

  /** Called by the connections. */
  get isHeld(): boolean {
    return this.#held;
  }

  /** Called by the connections. */
  get connections(): Set<Echo> {
    return this.#connections;
  }
}

class Echo extends LineProtocol {
  #owner: EchoServer;
  #lines: string[] = [];

  constructor(owner: EchoServer, loop: EventLoop) {
    super({ loop });
    this.#owner = owner;
    owner.accepted++;
    owner.connections.add(this);
  }

  override frameReceived(line: string): void {
    this.#lines.push(line);
    if (!this.#owner.isHeld) this.answerAll();
  }

  /** The number of lines that wait for their answers. */
  get waiting(): number {
    return this.#lines.length;
  }

  /** Answers all lines that wait. */
  answerAll(): void {
    for (const line of this.#lines.splice(0)) {
      if (line === "DIE") this.transport.abort();
      else this.sendFrame(line === "PING" ? "PONG" : line);
    }
  }

  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    this.#owner.connections.delete(this);
  }
}
