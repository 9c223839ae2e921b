/** Every way in which a connection over OpenSSL can end, for the test of what is left of them, and for the soak. */
import { type EventLoop, Protocol, type Server, type TlsOptions, type Transport } from "../../mod.ts";
import { bytes, portOf } from "../kit.ts";
import { CA, CLIENT, HOST, SERVER, STRANGER, TRUSTING } from "./kit.ts";
import { opensslLoop, replaceSsl } from "./openssl_kit.ts";

/** A client, which resolves when it has received so many bytes, one at first, and when it is lost. */
class Side extends Protocol {
  received = Promise.withResolvers<void>();
  readonly lost = Promise.withResolvers<Error | null>();
  /** Called with each piece. */
  onData: (() => void) | null = null;
  #expected = 1;

  /** Waits for more bytes, by `received`. */
  expect(size: number): void {
    this.#expected = size;
    this.received = Promise.withResolvers();
  }

  override dataReceived(data: Uint8Array): void {
    this.#expected -= data.length;
    if (this.#expected <= 0) this.received.resolve();
    this.onData?.();
  }
  override connectionLost(error: Error | null): void {
    this.received.resolve();
    this.lost.resolve(error);
  }
}

const small = bytes("hello");
const large = new Uint8Array(300_000);
/** The beginning of a ClientHello: a record of 200 bytes, of which some are there. */
const HALF_A_HELLO = Uint8Array.of(22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 1, 2, 3);

/** A ClientHello of TLS 1.2, which a server answers. */
const HELLO = Uint8Array.of(
  ...[22, 3, 1, 0, 77, 1, 0, 0, 73, 3, 3, ...new Array(32).fill(7), 0],
  // Cipher suites, compression methods and 26 bytes of extensions: groups, the format of points, and signature algorithms.
  ...[0, 6, 0xc0, 0x2b, 0xc0, 0x2f, 0, 0xff, 1, 0, 0, 26],
  ...[0, 10, 0, 4, 0, 2, 0, 29, 0, 11, 0, 2, 1, 0, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1],
);

/** What a client may have of its own. */
interface DialOptions {
  signal?: AbortSignal;
  port?: number;
}

/** Servers, and what their clients meet. */
export class Endings implements AsyncDisposable {
  readonly loop: EventLoop;
  /** The connections of servers that are not lost yet. */
  alive = 0;
  /** Errors of servers' handshakes. */
  readonly errors: (Error & { code?: unknown })[] = [];
  #servers: Record<"echo" | "mutual" | "silent", Server>;

  private constructor(loop: EventLoop, servers: Record<"echo" | "mutual" | "silent", Server>) {
    this.loop = loop;
    this.#servers = servers;
  }

  static async start(): Promise<Endings> {
    const loop = opensslLoop();
    let endings: Endings | null = null;
    class Echo extends Protocol {
      #transport!: Transport;
      override connectionMade(transport: Transport): void {
        this.#transport = transport;
        endings!.alive++;
      }
      override dataReceived(data: Uint8Array): void {
        this.#transport.write(data);
      }
      override pauseWriting(): void {
        this.#transport.pauseReading();
      }
      override resumeWriting(): void {
        this.#transport.resumeReading();
      }
      override connectionLost(): void {
        endings!.alive--;
      }
    }
    const serve = (tls?: TlsOptions) => {
      return loop.createServer(() => new Echo(), { hostname: HOST, port: 0, ...tls && { tls } });
    };
    const [echo, mutual, silent] = await Promise.all([
      serve({ ...SERVER, sni: () => null }),
      serve({ ...SERVER, requestCert: true, caCerts: [CA] }),
      loop.createServer(() => new Protocol(), { hostname: HOST, port: 0 }),
    ]);
    endings = new Endings(loop, { echo, mutual, silent });
    loop.setExceptionHandler(({ error }) => void endings.errors.push(error as Error));
    return endings;
  }

  /** Runs a connection to its end. */
  async run(name: string, round: number): Promise<void> {
    await ENDINGS[name]!(this, round);
  }

  portOf(name: "echo" | "mutual" | "silent"): number {
    return portOf(this.#servers[name]);
  }

  /** Connects to a server. */
  async dial(to: "echo" | "mutual" | "silent", tls: TlsOptions | undefined, options: DialOptions = {}) {
    const where = { hostname: HOST, port: this.portOf(to), ...options };
    const [transport, side] = await this.loop.createConnection(() => new Side(), { ...where, ...tls && { tls } });
    return { transport, side };
  }

  /** Waits until the servers have nothing left. */
  async settle(): Promise<void> {
    this.#servers.silent.abortClients();
    while (this.alive > 0) await this.turn();
    for (let i = 0; i < 10; i++) await this.turn();
  }

  turn(): Promise<void> {
    return new Promise((resolve) => void this.loop.callSoon(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of Object.values(this.#servers)) {
      server.close();
      server.abortClients();
      await server.waitClosed();
    }
    for (let i = 0; i < 10; i++) await this.turn();
  }
}

/** Settings of a client: some resume sessions, some do not, over both versions. */
function client(round: number): TlsOptions {
  return { ...TRUSTING, sessionTickets: round % 4 < 2, maxVersion: round % 2 === 0 ? "TLSv1.3" : "TLSv1.2" };
}

async function fails(work: Promise<unknown>): Promise<void> {
  const failed = await work.then(() => false, () => true);
  if (!failed) throw new Error("the connection should have failed");
}

/** The ways. Each resolves when the client's side is over. */
const ENDINGS: Record<string, (endings: Endings, round: number) => Promise<void>> = {
  "complete": async (endings, round) => {
    const { transport, side } = await endings.dial("echo", client(round));
    transport.write(small);
    await side.received.promise;
    transport.close();
    await side.lost.promise;
  },
  "complete, with a client certificate": async (endings, round) => {
    const { transport, side } = await endings.dial("mutual", { ...client(round), ...CLIENT });
    transport.write(small);
    await side.received.promise;
    transport.close();
    await side.lost.promise;
  },
  "abort in the handshake": async (endings, round) => {
    const controller = new AbortController();
    const dialling = endings.dial(round % 2 === 0 ? "silent" : "echo", client(round), { signal: controller.signal });
    for (let i = round % 8; i > 0; i--) await endings.turn();
    controller.abort();
    await dialling.then(({ transport, side }) => {
      transport.abort();
      return side.lost.promise;
    }, () => {});
  },
  "a server that is not trusted": async (endings, round) => {
    await fails(endings.dial("echo", { ...client(round), caCerts: [STRANGER] }));
  },
  "a server of another name": async (endings, round) => {
    await fails(endings.dial("echo", { ...client(round), serverHostname: "other.test" }));
  },
  "a client without a certificate": async (endings, round) => {
    const dialling = endings.dial("mutual", client(round));
    await fails(dialling.then(async ({ transport, side }) => {
      const error = await side.lost.promise;
      transport.abort();
      if (error !== null) throw error;
    }));
  },
  "handshakeTimeout": async (endings, round) => {
    await fails(endings.dial("silent", { ...client(round), handshakeTimeout: 1 }));
  },
  "a reset": async (endings, round) => {
    const { transport, side } = await endings.dial("echo", client(round));
    transport.write(small);
    if (round % 2 === 0) await side.received.promise;
    transport.abort({ reset: true });
    await side.lost.promise;
  },
  "close() while writing": async (endings, round) => {
    const { transport, side } = await endings.dial("echo", client(round));
    transport.write(large);
    transport.close();
    await side.lost.promise;
  },
  "abort() while writing": async (endings, round) => {
    const { transport, side } = await endings.dial("echo", client(round));
    transport.write(large);
    if (round % 2 === 0) await endings.turn();
    transport.abort();
    await side.lost.promise;
  },
  "what is not TLS": async (endings, round) => {
    const { transport, side } = await endings.dial(round % 2 === 0 ? "echo" : "mutual", undefined);
    transport.write(bytes("GET / HTTP/1.1\r\n\r\n"));
    await side.lost.promise;
  },
  "a ClientHello alone": async (endings, round) => {
    const { transport, side } = await endings.dial(round % 2 === 0 ? "echo" : "mutual", undefined);
    transport.write(HELLO);
    await side.received.promise;
    transport.abort({ reset: round % 4 < 2 });
    await side.lost.promise;
  },
  "half a ClientHello": async (endings, round) => {
    const { transport, side } = await endings.dial(round % 2 === 0 ? "echo" : "mutual", undefined);
    transport.write(HALF_A_HELLO);
    await endings.turn();
    transport.abort({ reset: round % 4 < 2 });
    await side.lost.promise;
  },
};

/** The names of all ways. */
export const NAMES: readonly string[] = Object.keys(ENDINGS);

/** Counts what OpenSSL makes and frees for connections; fails if something is freed twice. */
export class Ledger implements Disposable {
  /** How many `SSL` have been made. */
  made = 0;
  /** How many are not freed, by address: a certificate has one for each reference. */
  #live = new Map<bigint, number>();
  #replaced: Disposable[];

  constructor() {
    this.#replaced = [
      replaceSsl("SSL_new", (real, ctx) => {
        this.made++;
        return this.#open(real(ctx));
      }),
      replaceSsl("SSL_free", (real, ssl) => real(this.#close("SSL_free", ssl))),
      replaceSsl("BIO_new", (real, method) => this.#open(real(method))),
      replaceSsl("BIO_new_mem_buf", (real, data, size) => this.#open(real(data, size))),
      replaceSsl("BIO_free", (real, bio) => real(this.#close("BIO_free", bio))),
      // From then on they belong to the connection.
      replaceSsl("SSL_set_bio", (real, ssl, input, output) => {
        return real(ssl, this.#close("SSL_set_bio", input), this.#close("SSL_set_bio", output));
      }),
      replaceSsl("SSL_get1_peer_certificate", (real, ssl) => this.#open(real(ssl))),
      // Those of contexts are freed by the garbage collector, and are not counted.
      replaceSsl("X509_free", (real, x509) => real(this.#live.has(address(x509)) ? this.#close("", x509) : x509)),
    ];
  }

  /** How many are not freed. */
  get left(): number {
    return this.#live.values().reduce((sum, count) => sum + count, 0);
  }

  #open(pointer: Deno.PointerValue): Deno.PointerValue {
    if (pointer !== null) this.#live.set(address(pointer), (this.#live.get(address(pointer)) ?? 0) + 1);
    return pointer;
  }

  #close(name: string, pointer: Deno.PointerValue): Deno.PointerValue {
    const count = this.#live.get(address(pointer));
    if (count === undefined) {
      this.faults.push(`${name} of what is not there`);
      return null; // Which does nothing.
    }
    if (count === 1) this.#live.delete(address(pointer));
    else this.#live.set(address(pointer), count - 1);
    return pointer;
  }

  /** What was freed twice. */
  readonly faults: string[] = [];

  [Symbol.dispose](): void {
    for (const each of this.#replaced.reverse()) each[Symbol.dispose]();
  }
}

function address(pointer: Deno.PointerValue): bigint {
  return Deno.UnsafePointer.value(pointer);
}
