/** For the tests of TLS: certificates, and pairs that speak it over every kind of socket, with either engine. */
import { Buffer } from "node:buffer";
import {
  type ConnectionOptions,
  type EventLoop,
  type Server,
  type ServerOptions,
  socketPair,
  type StreamCallbacks,
  TlsError,
  type TlsOptions,
  type Transport,
} from "../../mod.ts";
import { assert, assertEquals, assertMatch } from "../std.ts";
import { captureExceptions, type EventLog, loop, portOf, Recorder, tempPath, turn } from "../kit.ts";

/** Where the tests' servers are. */
export const HOST = "127.0.0.1";

/** A certificate and its key, PEM: `cert` and `key` of `TlsOptions`. */
export interface Identity {
  cert: string;
  key: string;
}

/** Reads a file of examples/certs. */
export function readCert(name: string): string {
  return Deno.readTextFileSync(new URL(`../../examples/certs/${name}`, import.meta.url));
}

function identity(name: string): Identity {
  return { cert: readCert(`${name}.pem`), key: readCert(`${name}.key`) };
}

/** The authority that has signed the certificates below. */
export const CA = readCert("ca.pem");
/** One that has signed nothing. */
export const STRANGER = readCert("stranger.pem");
/** For localhost, *.example.test, 127.0.0.1 and ::1. */
export const SERVER = identity("server");
/** For second.test. */
export const SECOND = identity("second");
/** A client's. */
export const CLIENT = identity("client");
/** For localhost, until 2020. */
export const EXPIRED = identity("expired");
/** For localhost, from 2080 on. */
export const FUTURE = identity("future");

/** A client that trusts our authority, and asks for a name that `SERVER` has. */
export const TRUSTING = { caCerts: [CA], serverHostname: "localhost" };

/** What `tls` is in the tests: `native` has Deno's own TLS take the place of Tandem's. */
export interface EitherTls extends TlsOptions {
  native?: boolean;
}

/** `loop.createServer()` with TLS, which `Deno.listenTls` brings where it is native. */
export function createServer(
  factory: () => StreamCallbacks,
  { tls: { native, ...tls }, ...options }: Omit<ServerOptions, "tls"> & { tls: EitherTls },
  onLoop = loop,
): Promise<Server> {
  if (!native) return onLoop.createServer(factory, { ...options, tls });
  const { cert, key, alpnProtocols = [], ...others } = tls;
  assertEquals(others, {}, "Deno.listenTls has no such options");
  const { hostname = "0.0.0.0", port, ...rest } = options;
  const listener = Deno.listenTls({ hostname: String(hostname), port, cert: cert!, key: key!, alpnProtocols });
  return onLoop.createServer(factory, { ...rest, listener });
}

/** `loop.createConnection()` with TLS, which `Deno.connectTls` or `Deno.startTls` brings where it is native. */
export async function createConnection<P extends StreamCallbacks>(
  factory: () => P,
  { tls: { native, ...tls }, ...options }: Omit<ConnectionOptions, "tls"> & { tls: EitherTls },
  onLoop = loop,
): Promise<[Transport, P]> {
  if (!native) return await onLoop.createConnection(factory, { ...options, tls });
  const { hostname = HOST, port, signal, ...rest } = options;
  const { cert, key, serverHostname = hostname, caCerts = [], alpnProtocols = [], ...others } = tls;
  assertEquals({ signal, ...others }, { signal: undefined }, "Deno.connectTls has no such options");
  const shared = { caCerts, alpnProtocols };
  if (serverHostname === hostname) {
    const identity = cert !== undefined && key !== undefined ? { cert, key } : {};
    return await onLoop.createConnection(factory, {
      ...rest,
      conn: await Deno.connectTls({ hostname, port, ...shared, ...identity }),
    });
  }
  assertEquals(cert, undefined, "Deno.startTls has no cert");
  const conn = await Deno.startTls(await Deno.connect({ hostname, port }), { hostname: serverHostname, ...shared });
  return await onLoop.createConnection(factory, { ...rest, conn });
}

/** The two engines, for loops over both: `name` for the test's, `native` for what the kit is given. */
export const ENGINES = [
  { name: "complete", native: false },
  { name: "native", native: true },
] as const;

/** The sockets that TLS goes over. */
export type Medium = "tcp" | "unix" | "socketPair";

/** A medium with an engine. */
export interface Way {
  name: string;
  medium: Medium;
  native: boolean;
}

/** Every medium with the complete engine, and TCP with Deno's own, which has no other. */
export const WAYS: readonly Way[] = [
  { name: "TCP", medium: "tcp", native: false },
  { name: "TCP (native)", medium: "tcp", native: true },
  { name: "a Unix socket", medium: "unix", native: false },
  { name: "socketPair()", medium: "socketPair", native: false },
];

/** What a pair needs of its protocols; `Recorder` and `BufferedRecorder` have it. */
export interface Recording extends StreamCallbacks {
  readonly log: EventLog;
  transport: Transport;
}

/** How to make a pair. */
export interface TlsPairOptions {
  /** @default {"tcp"} */
  medium?: Medium;
  /**
   * For both sides.
   *
   * @default {false}
   */
  native?: boolean;
  /** What the server's `tls` has besides `SERVER`. */
  serverTls?: EitherTls;
  /** What the client's `tls` has besides `TRUSTING`. */
  clientTls?: EitherTls;
  /** Options beside `tls`. */
  server?: Partial<ServerOptions>;
  /** Options beside `tls`. */
  client?: Partial<ConnectionOptions>;
  /** TCP: makes the port that the client dials, of the one that the server has. */
  through?: (port: number) => number;
}

/** Two connected TLS transports; leaving the scope aborts what is left of them and waits for the end. */
export class TlsPair<S extends Recording, C extends Recording> implements AsyncDisposable {
  /** Missing with `socketPair`. */
  readonly server: Server | null;
  readonly serverSide: S;
  readonly clientSide: C;
  #directory: Disposable | null;

  constructor(server: Server | null, serverSide: S, clientSide: C, directory: Disposable | null = null) {
    this.server = server;
    this.serverSide = serverSide;
    this.clientSide = clientSide;
    this.#directory = directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server?.close();
    for (const { transport, log } of [this.serverSide, this.clientSide]) {
      transport.abort();
      await log.has("connectionLost");
    }
    this.server?.abortClients();
    await this.server?.waitClosed();
    // The socket is closed behind connectionLost.
    await turn();
    this.#directory?.[Symbol.dispose]();
  }
}

/** Connects two recorders. */
export function tlsRecorders(options: TlsPairOptions = {}): Promise<TlsPair<Recorder, Recorder>> {
  return connectTls(() => new Recorder(), () => new Recorder(), options);
}

/** Connects two protocols; resolves when `connectionMade` has run on both. */
export async function connectTls<S extends Recording, C extends Recording>(
  makeServerSide: () => S,
  makeClientSide: () => C,
  options: TlsPairOptions = {},
): Promise<TlsPair<S, C>> {
  const { medium = "tcp", native = false, through = (port) => port } = options;
  const server = { ...options.server, tls: serverTls({ ...native && { native }, ...options.serverTls }) };
  const client = { ...options.client, tls: clientTls({ ...native && { native }, ...options.clientTls }) };
  if (medium === "socketPair") {
    const [near, far] = await socketPair();
    const [[, serverSide], [, clientSide]] = await Promise.all([
      loop.connectAcceptedSocket(makeServerSide, far, { tls: server.tls }),
      loop.createConnection(makeClientSide, { conn: near, tls: client.tls }),
    ]);
    return new TlsPair(null, serverSide, clientSide);
  }
  const made = Promise.withResolvers<S>();
  const factory = () => {
    const protocol = makeServerSide();
    // Resolved a turn later, after connectionMade has run.
    loop.callSoon(() => made.resolve(protocol));
    return protocol;
  };
  if (medium === "unix") {
    const directory = tempPath();
    const { path } = directory;
    const unixServer = await loop.createUnixServer(factory, { path, tls: server.tls });
    const [, clientSide] = await loop.createUnixConnection(makeClientSide, { path, tls: client.tls });
    return new TlsPair(unixServer, await made.promise, clientSide, directory);
  }
  const tcpServer = await createServer(factory, { hostname: HOST, port: 0, ...server });
  const port = through(portOf(tcpServer));
  const [, clientSide] = await createConnection(makeClientSide, { hostname: HOST, port, ...client });
  return new TlsPair(tcpServer, await made.promise, clientSide);
}

/** Connects, asks both sides, and leaves. */
export async function agreed<T>(
  options: TlsPairOptions,
  ask: (transport: Transport) => T,
): Promise<{ server: T; client: T }> {
  await using pair = await tlsRecorders(options);
  return { server: ask(pair.serverSide.transport), client: ask(pair.clientSide.transport) };
}

/** A server's `tls`: `SERVER`, unless told otherwise. */
export function serverTls(tls: EitherTls = {}): EitherTls {
  return tls.context !== undefined ? tls : { ...SERVER, ...tls };
}

/** A client's `tls`: `TRUSTING`, unless told otherwise. */
export function clientTls(tls: EitherTls = {}): EitherTls {
  return tls.context !== undefined ? { serverHostname: TRUSTING.serverHostname, ...tls } : { ...TRUSTING, ...tls };
}

/** Sends everything back, at the pace of whoever takes it. */
export class Echo extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
    super.dataReceived(data);
  }
  override pauseWriting(): void {
    super.pauseWriting();
    this.transport.pauseReading();
  }
  override resumeWriting(): void {
    super.resumeWriting();
    this.transport.resumeReading();
  }
}

/** A server, and the protocols that it has made. */
export interface Served<P> extends AsyncDisposable {
  server: Server;
  port: number;
  protocols: P[];
  /** Waits for the first connection. */
  first(): Promise<P>;
}

/** Serves a protocol with TLS, or without, and insists at the end that no connection is left. */
export async function serve<P extends Recorder>(make: () => P, tls?: EitherTls): Promise<Served<P>> {
  const protocols: P[] = [];
  const made = Promise.withResolvers<P>();
  const factory = () => {
    const protocol = make();
    protocols.push(protocol);
    // A turn later, after connectionMade has run.
    loop.callSoon(() => made.resolve(protocol));
    return protocol;
  };
  const where = { hostname: HOST, port: 0 };
  const server = await (tls ? createServer(factory, { ...where, tls }) : loop.createServer(factory, where));
  return {
    server,
    port: portOf(server),
    protocols,
    first: () => made.promise,
    async [Symbol.asyncDispose]() {
      server.close();
      server.abortClients();
      await server.waitClosed();
    },
  };
}

/** Dials such a server, or somebody else's, by the name that `SERVER` is for. */
export function dial(port: number, tls: EitherTls = TRUSTING): Promise<[Transport, Recorder]> {
  return createConnection(() => new Recorder(), { hostname: "localhost", port, tls });
}

/** Closes a connection, and insists that it ends cleanly. */
export async function hangUp([transport, protocol]: [Transport, Recorder]): Promise<void> {
  transport.close();
  await protocol.untilLost();
  assertEquals(protocol.error, null);
  await turn();
}

/** Insists that the other side has taken leave. */
export function assertClean(protocol: Recorder): void {
  assertEquals(protocol.error, null);
  assertEquals(protocol.log.entries.filter((entry) => entry === "eofReceived").length, 1);
}

/** The subject's common name in what the other side has shown, or `null`. */
export function peerName(transport: Transport): unknown {
  return transport.getExtraInfo("peercert")?.subject["CN"] ?? null;
}

/** A TLS error's code, or what kind of error it is else. */
export function causeOf(error: unknown): string {
  assert(error instanceof Error, String(error));
  return error instanceof TlsError ? error.code : error.name;
}

/** Whether the bytes are the same; `assertEquals` takes seconds for megabytes. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Once through the kernel and back, by a connection of its own. */
export async function roundTrip(): Promise<void> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: HOST, port: listener.addr.port }),
    listener.accept(),
  ]);
  near.close();
  await far.read(new Uint8Array(1));
  far.close();
}

/** A TCP server with TLS, and all that its handshakes come to. */
export class FailingServer implements AsyncDisposable {
  readonly server: Server;
  readonly protocols: Recorder[];
  readonly #captured: ReturnType<typeof captureExceptions>;

  constructor(server: Server, protocols: Recorder[], onLoop: EventLoop) {
    this.server = server;
    this.protocols = protocols;
    this.#captured = captureExceptions(onLoop);
  }

  static async start(tls: EitherTls, onLoop = loop): Promise<FailingServer> {
    const protocols: Recorder[] = [];
    const factory = () => {
      const protocol = new Recorder();
      protocols.push(protocol);
      return protocol;
    };
    const server = await createServer(factory, { hostname: HOST, port: 0, tls }, onLoop);
    return new FailingServer(server, protocols, onLoop);
  }

  get port(): number {
    return portOf(this.server);
  }

  /** What the exception handler is told: that, once, and no protocol is made. */
  async reported(): Promise<Error & { code?: unknown }> {
    await this.#captured.log.has("TLS handshake with 127.0.0.1 port ");
    const [context, ...others] = this.#captured.contexts.splice(0);
    this.#captured.log.entries.length = 0;
    assertEquals(others, []);
    assertEquals(Object.keys(context!).sort(), ["error", "message", "peername"]);
    assertMatch(context!.message, /^TLS handshake with 127\.0\.0\.1 port \d+ failed$/);
    assertEquals(this.protocols, []);
    return context!.error as Error;
  }

  /** Insists that a client that does it right gets in. */
  async goesOn(tls: EitherTls = {}): Promise<void> {
    const before = this.protocols.length;
    const options = { port: this.port, tls: clientTls({ rejectUnauthorized: false, ...tls }) };
    const [transport, client] = await createConnection(() => new Recorder(), options);
    transport.close();
    await client.untilLost();
    assertEquals(client.error, null);
    assertEquals(this.protocols.length, before + 1);
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    await this.server.waitClosed();
    this.#captured[Symbol.dispose]();
    assertEquals(this.#captured.contexts, []);
  }
}

/** Dials, and tells the error: of the handshake or, where the server decides after the client's part, of the end. */
export async function refusal(
  port: number,
  tls: EitherTls,
  onLoop = loop,
): Promise<{ error: Error; rejected: boolean }> {
  const client = new Recorder();
  try {
    await createConnection(() => client, { port, tls }, onLoop);
  } catch (error) {
    assertEquals(client.log.entries, []);
    return { error: error as Error, rejected: true };
  }
  await client.untilLost();
  await turn();
  return { error: client.error as Error, rejected: false };
}
