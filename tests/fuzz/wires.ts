/** What leads to a victim: memory, a socket, or a TLS connection that is sound. */
import type { Socket } from "node:net";
import { Protocol, type Transport } from "../../mod.ts";
import { loop } from "../kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { asConn, MemoryConn, memoryPair } from "./memory_conn.ts";
import type { Piece } from "./records.ts";
import type { BufferedVictim, Victim } from "./victim.ts";

/** A way to a victim. */
export interface Wire {
  /** The victim's own end, where that is in memory. */
  readonly conn: MemoryConn | null;
  /** Tells the victim something. */
  tell(piece: Piece): void;
  /** Leaves nothing behind. */
  dispose(): Promise<void>;
}

/** A connection in memory. */
export class MemoryWire implements Wire {
  readonly conn: MemoryConn;

  /** @param hear Takes what the victim says. */
  constructor(hear: (data: Uint8Array) => void, onClosed: () => void) {
    this.conn = new MemoryConn({ written: hear, closed: onClosed });
  }

  tell(piece: Piece): void {
    if (piece === "end") this.conn.finish("end");
    else if (piece === "reset") this.conn.finish(new Deno.errors.ConnectionReset("Connection reset by peer"));
    else this.conn.deliver(piece);
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

/** A socket of node:net, which can reset. */
export class SocketWire implements Wire {
  readonly conn = null;
  readonly socket: Socket;

  constructor(socket: Socket, hear: (data: Uint8Array) => void) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", hear);
  }

  tell(piece: Piece): void {
    if (this.socket.destroyed) return;
    if (piece === "end") this.socket.end();
    else if (piece === "reset") this.socket.resetAndDestroy();
    else this.socket.write(piece);
  }

  async dispose(): Promise<void> {
    if (this.socket.closed) return;
    const closed = new Promise<void>((resolve) => void this.socket.once("close", () => resolve()));
    this.socket.resetAndDestroy();
    await closed;
  }
}

/** The far end of a sound connection. */
class Bridge extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  transport!: Transport;
  #hear: (data: Uint8Array) => void;

  constructor(hear: (data: Uint8Array) => void) {
    super();
    this.#hear = hear;
  }
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.#hear(data);
  }
  override connectionLost(): void {
    this.lost.resolve();
  }
}

/** A TLS connection inside which the victim will speak TLS again. */
export class TlsWire implements Wire {
  readonly conn: MemoryConn;
  #bridge: Bridge;

  private constructor(conn: MemoryConn, bridge: Bridge) {
    this.conn = conn;
    this.#bridge = bridge;
  }

  /** Connects, with the victim as the server of it or as the client. */
  static async connect(
    side: "server" | "client",
    victim: Victim | BufferedVictim,
    hear: (data: Uint8Array) => void,
  ): Promise<TlsWire> {
    const [near, far] = memoryPair();
    const bridge = new Bridge(hear);
    const [first, second] = side === "server" ? [victim, bridge] : [bridge, victim];
    await Promise.all([
      loop.connectAcceptedSocket(() => first, asConn(near), { tls: { ...SERVER, shutdownTimeout: 500 } }),
      loop.createConnection(() => second, { conn: asConn(far), tls: { ...TRUSTING, shutdownTimeout: 500 } }),
    ]);
    return new TlsWire(side === "server" ? near : far, bridge);
  }

  tell(piece: Piece): void {
    const { transport } = this.#bridge;
    if (piece === "end") transport.close();
    else if (piece === "reset") transport.abort();
    else transport.write(piece);
  }

  async dispose(): Promise<void> {
    this.#bridge.transport.abort();
    await this.#bridge.lost.promise;
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
  }
}
