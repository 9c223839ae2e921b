/** The servers that are attacked, each with a bystander: a connection that echoes a canary, whatever becomes of others. */
import { type Server, TlsContext, type TlsContextOptions, type TlsOptions, type Transport } from "../../mod.ts";
import { loop, pattern, portOf, Recorder } from "../kit.ts";
import { CA, CLIENT, Echo, HOST, same, SECOND, SERVER, TRUSTING } from "../tls/kit.ts";
import type { Case } from "./cases.ts";
import { asConn, type MemoryConn, MemoryListener, memoryPair } from "./memory_conn.ts";
import { BufferedVictim, Victim, type Watch } from "./victim.ts";

/** How long a handshake, or an orderly end, may take. */
export const LIMIT = 250;

const second = new TlsContext(SECOND);

/** Choices that take their time. */
const choosing = new Set<Promise<unknown>>();

/** Waits for the last of them. */
export async function allChosen(): Promise<void> {
  await Promise.all(choosing);
}

/** Chooses by name: at once, later, much later, or in one of the ways in which that goes wrong. */
export function chooseContext(name: string): TlsContext | null | Promise<TlsContext | null> {
  const after = (ms: number, context: TlsContext | null) => {
    const choice = new Promise<TlsContext | null>((resolve) => void setTimeout(() => resolve(context), ms));
    choosing.add(choice);
    choice.then(() => choosing.delete(choice));
    return choice;
  };
  if (name === "second.test") return second;
  if (name === "later.test") return after(0, second);
  if (name === "slow.test") return after(10, null);
  if (name === "throws.test") throw new Deno.errors.NotFound("thrown by sni");
  if (name === "rejects.test") return Promise.reject(new Deno.errors.NotFound("rejected by sni"));
  if (name === "wrong.test") return new TlsContext({});
  if (name === "never.test") return new Promise(() => {});
  return null;
}

const LIMITS = { handshakeTimeout: LIMIT, shutdownTimeout: LIMIT };

/** Contexts are parsed once: that takes as long as a handshake. */
const contexts = new Map<string, TlsContext>();

function contextOf(options: TlsContextOptions): TlsContext {
  const key = JSON.stringify(options, (_, value) => typeof value === "function" ? "sni" : value);
  let context = contexts.get(key);
  if (context === undefined) contexts.set(key, context = new TlsContext(options));
  return context;
}

/** What a server of a case is told. */
export function serverOptions({ mutual, alpn, sni }: Pick<Case, "mutual" | "alpn" | "sni">): TlsOptions {
  const context = contextOf({
    ...SERVER,
    ...mutual && { requestCert: true, caCerts: [CA] },
    ...alpn && { alpnProtocols: ["fuzz", "canary"] },
    ...sni && { sni: chooseContext },
  });
  return { context, ...LIMITS };
}

/** What a client of a case is told. */
export function clientOptions({ mutual, alpn, trusting }: Case): TlsOptions {
  const { serverHostname, caCerts } = TRUSTING;
  const context = contextOf({
    caCerts,
    rejectUnauthorized: trusting,
    ...mutual && CLIENT,
    ...alpn && { alpnProtocols: ["fuzz"] },
  });
  return { context, serverHostname, ...LIMITS };
}

/** A server that is attacked, over sockets or in memory. */
export class AttackedServer {
  readonly port: number;
  /** The owner of a connection, by its client's port; all others are the bystander's. */
  readonly victims = new Map<number, { watch: Watch; buffered: boolean }>();
  #server: Server;
  #listener: MemoryListener | null;
  #bystander!: Recorder;
  #rounds = 0;

  private constructor(server: Server, listener: MemoryListener | null) {
    this.#server = server;
    this.#listener = listener;
    this.port = listener === null ? portOf(server) : 0;
  }

  static async start(options: Pick<Case, "mutual" | "alpn" | "sni">, sockets: boolean): Promise<AttackedServer> {
    // The owner of a connection is known when it is made.
    const factory = () => ({
      connectionMade(transport: Transport) {
        const { port } = transport.getExtraInfo("peername") as Deno.NetAddr;
        const entry = attacked.victims.get(port);
        const protocol = entry === undefined
          ? new Echo()
          : entry.buffered
          ? new BufferedVictim(entry.watch)
          : new Victim(entry.watch);
        transport.setProtocol(protocol);
        protocol.connectionMade(transport);
      },
    });
    const tls = serverOptions(options);
    const listener = sockets ? null : new MemoryListener();
    const server = listener === null
      ? await loop.createServer(factory, { hostname: HOST, port: 0, tls })
      : await loop.createServer(factory, { listener: listener as unknown as Deno.Listener, tls });
    const attacked: AttackedServer = new AttackedServer(server, listener);
    const client = { ...TRUSTING, ...CLIENT, alpnProtocols: ["canary"] };
    if (listener === null) {
      const dialling = loop.createConnection(() => new Recorder(), { port: attacked.port, tls: client });
      [, attacked.#bystander] = await dialling;
    } else {
      const [near, far] = memoryPair();
      listener.push(far);
      const connecting = loop.createConnection(() => new Recorder(), { conn: asConn(near), tls: client });
      [, attacked.#bystander] = await connecting;
    }
    await attacked.canary();
    return attacked;
  }

  /** Somebody connects in memory. */
  accept(conn: MemoryConn): void {
    this.#listener!.push(conn);
  }

  /**
   * Has the bystander send a canary, and waits until it comes back.
   *
   * @returns What is wrong with it, or `null`.
   */
  async canary(): Promise<string | null> {
    const bystander = this.#bystander;
    const round = this.#rounds++;
    const canary = pattern(300, round);
    const until = bystander.received + canary.length;
    if (bystander.error !== undefined) return `the bystander was disturbed: ${bystander.error}`;
    bystander.transport.write(canary);
    await bystander.log.until(() => bystander.received >= until || bystander.error !== undefined);
    if (bystander.error !== undefined) return `the bystander was disturbed: ${bystander.error}`;
    const echoed = bystander.data.subarray(-canary.length);
    // Only the newest is kept.
    bystander.pieces.splice(0);
    bystander.log.entries.splice(0);
    return bystander.received === until && same(echoed, canary) ? null : "the bystander's canary came back changed";
  }

  /** Ends it, and insists that it ends. */
  async close(): Promise<void> {
    this.#server.close();
    this.#bystander.transport.close();
    await this.#bystander.untilLost();
    await this.#server.waitClosed();
  }
}
