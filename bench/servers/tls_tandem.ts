/**
 * Tandem over TLS.
 *
 *   tls_tandem.ts ENGINE tls-http KIND | tls-echo KIND
 *   tls_tandem.ts ENGINE tls-unix KIND PATH
 *   tls_tandem.ts ENGINE tls-client KIND PORT CONNECTIONS SIZE SECONDS
 *
 * ENGINE is `deno`, `epoll` (with OpenSSL, where there is one) or `epoll-node` (with node:tls). KIND is `write` or `owned` for the complete engine and each way of owning memory, `native` for the TLS of
 * `Deno.listenTls` and `Deno.connectTls`, `start-tls` for a connection that is upgraded as soon as it is made.
 */
import { Protocol, type TlsOptions, type Transport } from "../../mod.ts";
import { loopOver } from "./tandem_loop.ts";
import { type Exchanges, HTTP_ANSWER, readCertificates, runClient } from "./tls_common.mjs";

const [engine = "", mode = "", kind = "", ...rest] = Deno.args;
const { cert, key, ca } = readCertificates();
const loop = loopOver(engine);
// Connections that end in a handshake are the load's way to look whether anybody is there, or to stop.
loop.setExceptionHandler((context) => {
  if (!(context.error instanceof Deno.errors.UnexpectedEof)) loop.defaultExceptionHandler(context);
});

class Base extends Protocol {
  protected transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
}

class Echo extends Base {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

class OwnedEcho extends Base {
  override dataReceived(data: Uint8Array): void {
    this.transport.writeOwned(data);
  }
}

class Http extends Base {
  override dataReceived(): void {
    this.transport.write(HTTP_ANSWER);
  }
}

class Caller extends Base {
  #exchanges: Exchanges;
  #isComplete: (bytes: number) => boolean;
  constructor(exchanges: Exchanges) {
    super();
    this.#exchanges = exchanges;
    this.#isComplete = exchanges.counter();
  }
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.send();
  }
  override dataReceived(data: Uint8Array): void {
    if (this.#isComplete(data.length)) this.send();
  }
  protected send(): void {
    // Its bytes never change, so it can be given away again and again.
    if (kind === "owned") this.transport.writeOwned(this.#exchanges.request);
    else this.transport.write(this.#exchanges.request);
  }
}

/** Upgrades its connection at once, to go on as another protocol. */
class Upgrade extends Base {
  #next: Base;
  #options: Parameters<typeof loop.startTls>[2];
  constructor(next: Base, options: Parameters<typeof loop.startTls>[2]) {
    super();
    this.#next = next;
    this.#options = options;
  }
  override connectionMade(transport: Transport): void {
    // A load that hangs up in the middle of a handshake is none of ours to tell.
    loop.startTls(transport, this.#next, this.#options).then((upgraded) => this.#next.connectionMade(upgraded))
      .catch(() => {});
  }
}

const tls: TlsOptions = { cert, key };

function makeServerProtocol(): Base {
  const protocol = mode === "tls-http" ? new Http() : kind === "owned" ? new OwnedEcho() : new Echo();
  return kind === "start-tls" ? new Upgrade(protocol, { serverSide: true, ...tls }) : protocol;
}

async function serve(): Promise<void> {
  const secure = kind === "start-tls" ? {} : { tls };
  if (mode === "tls-unix") {
    const path = rest[0]!;
    const server = await loop.createUnixServer(makeServerProtocol, { path, ...secure });
    console.log(`listening ${path}`);
    return await server.serveForever();
  }
  const where = { hostname: "127.0.0.1", port: 0 };
  const server = kind === "native"
    ? await loop.createServer(makeServerProtocol, { listener: Deno.listenTls({ ...where, cert, key }) })
    : await loop.createServer(makeServerProtocol, { ...where, ...secure });
  console.log(`listening ${(server.addresses[0] as Deno.NetAddr).port}`);
  await server.serveForever();
}

async function call(exchanges: Exchanges, port: number): Promise<void> {
  const caller = new Caller(exchanges);
  const hostname = "localhost";
  const caCerts = [ca];
  if (kind === "native") {
    const conn = await Deno.connectTls({ hostname, port, caCerts });
    await loop.createConnection(() => caller, { conn });
    return;
  }
  if (kind !== "start-tls") {
    await loop.createConnection(() => caller, { hostname, port, tls: { caCerts } });
    return;
  }
  const [transport] = await loop.createConnection(() => new Protocol(), { hostname, port });
  const upgraded = await loop.startTls(transport, caller, { serverHostname: hostname, caCerts });
  caller.connectionMade(upgraded);
}

if (mode === "tls-client") await runClient(rest, call);
else await serve();
