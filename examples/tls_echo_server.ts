/**
 * TLS echo server: sends back whatever a client sends. SIGHUP makes it read its certificate again; connections that
 * exist live on.
 *
 *     deno run --allow-net --allow-read examples/tls_echo_server.ts [port] [host] [certificate] [key]
 *
 * Speak to it with examples/tls_echo_client.ts, or with
 *
 *     openssl s_client -CAfile examples/certs/ca.pem -verify_return_error -connect localhost:8443
 */
import { getRunningLoop, Protocol, TlsContext, type Transport } from "../mod.ts";

class EchoServer extends Protocol {
  #transport!: Transport;

  // The handshake is done; whoever has failed it is never seen here.
  override connectionMade(transport: Transport): void {
    const { name, version } = transport.getExtraInfo("cipher")!;
    console.log(`connection, ${version}, ${name}`);
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array): void {
    console.log(`${data.length} bytes`);
    this.#transport.write(data);
  }

  // A client that sends and does not read is not read from either, or we would keep all that it sends.
  override pauseWriting(): void {
    this.#transport.pauseReading();
  }

  override resumeWriting(): void {
    this.#transport.resumeReading();
  }

  override connectionLost(error: Error | null): void {
    console.log(`connection lost${error ? `: ${error.message}` : ""}`);
  }
}

const certs = `${import.meta.dirname}/certs`;
const [port = "8443", hostname = "127.0.0.1", certFile = `${certs}/server.pem`, keyFile = `${certs}/server.key`] =
  Deno.args;
const loop = getRunningLoop();
const readFiles = async () => ({ cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) });
const context = new TlsContext(await readFiles());

// A handshake that fails comes here, among other things, and harms nobody else.
loop.setExceptionHandler(({ message, error }) => console.error(`${message}: ${error?.message}`));

// A client that does not read, or does not say that it has heard the end, holds nothing up for more than two seconds.
const tls = { context, handshakeTimeout: 10_000, shutdownTimeout: 2000 };
const options = { hostname, port: Number(port), closeTimeout: 2000, tls };
const server = await loop.createServer(() => new EchoServer(), options);
loop.addSignalHandler("SIGINT", () => server.close());
loop.addSignalHandler("SIGHUP", async () => {
  try {
    await context.reload(await readFiles());
    console.log("new certificate");
  } catch (error) {
    console.log(`still the old certificate: ${(error as Error).message}`);
  }
});

for (const address of server.addresses as Deno.NetAddr[]) {
  console.log(`serving TLS on ${address.hostname}:${address.port}`);
}
await server.serveForever();
server.closeClients();
await server.waitClosed();
console.log("stopped");
