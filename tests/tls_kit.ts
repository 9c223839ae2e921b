/** For the tests of TLS: certificates, and pairs that speak it over every kind of socket, with either engine. */
import {
  type ConnectionOptions,
  type Server,
  type ServerOptions,
  socketPair,
  type StreamCallbacks,
  type TlsOptions,
  type Transport,
} from "../mod.ts";
import { type EventLog, loop, portOf, Recorder, tempPath, turn } from "./kit.ts";

/** A certificate and its key, PEM: `cert` and `key` of `TlsOptions`. */
export interface Identity {
  cert: string;
  key: string;
}

/** Reads a file of examples/certs. */
export function readCert(name: string): string {
  return Deno.readTextFileSync(new URL(`../examples/certs/${name}`, import.meta.url));
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

/** The two engines, for loops over both: `name` for the test's, `native` for the option's. */
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
  serverTls?: TlsOptions;
  /** What the client's `tls` has besides `TRUSTING`. */
  clientTls?: TlsOptions;
  /** Options beside `tls`. */
  server?: Partial<ServerOptions>;
  /** Options beside `tls`. */
  client?: Partial<ConnectionOptions>;
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
  const { medium = "tcp", native = false } = options;
  const server = { ...options.server, tls: serverTls({ native, ...options.serverTls }) };
  const client = { ...options.client, tls: clientTls({ native, ...options.clientTls }) };
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
  const tcpServer = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...server });
  const [, clientSide] = await loop.createConnection(makeClientSide, {
    hostname: "127.0.0.1",
    port: portOf(tcpServer),
    ...client,
  });
  return new TlsPair(tcpServer, await made.promise, clientSide);
}

/** A server's `tls`: `SERVER`, unless told otherwise. */
export function serverTls(tls: TlsOptions = {}): TlsOptions {
  return tls.context !== undefined ? tls : { ...SERVER, ...tls };
}

/** A client's `tls`: `TRUSTING`, unless told otherwise. */
export function clientTls(tls: TlsOptions = {}): TlsOptions {
  return tls.context !== undefined ? { serverHostname: TRUSTING.serverHostname, ...tls } : { ...TRUSTING, ...tls };
}
