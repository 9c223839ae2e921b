/** For the tests of handshakes that fail: a server that tells what it hears of them, and a client that tells the same. */
import type { Server } from "../../mod.ts";
import { assertEquals, assertMatch } from "../std.ts";
import { captureExceptions, portOf, Recorder, turn } from "../kit.ts";
import { clientTls, createConnection, createServer, type EitherTls, HOST } from "./tls_kit.ts";

/** A TCP server with TLS, and all that its handshakes come to. */
export class FailingServer implements AsyncDisposable {
  readonly server: Server;
  readonly protocols: Recorder[];
  readonly #captured = captureExceptions();

  constructor(server: Server, protocols: Recorder[]) {
    this.server = server;
    this.protocols = protocols;
  }

  static async start(tls: EitherTls): Promise<FailingServer> {
    const protocols: Recorder[] = [];
    const factory = () => {
      const protocol = new Recorder();
      protocols.push(protocol);
      return protocol;
    };
    const server = await createServer(factory, { hostname: HOST, port: 0, tls });
    return new FailingServer(server, protocols);
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
export async function refusal(port: number, tls: EitherTls): Promise<{ error: Error; rejected: boolean }> {
  const client = new Recorder();
  try {
    await createConnection(() => client, { port, tls });
  } catch (error) {
    assertEquals(client.log.entries, []);
    return { error: error as Error, rejected: true };
  }
  await client.untilLost();
  await turn();
  return { error: client.error as Error, rejected: false };
}
