/**
 * TLS echo server: sends every byte back to its client. On SIGHUP it reloads its certificate; existing connections go on.
 *
 *     deno run --allow-net --allow-read examples/tls_echo_server.ts [port] [host] [certificate] [key]
 *
 * Connect with examples/tls_echo_client.ts, or with
 *
 *     openssl s_client -CAfile examples/certs/ca.pem -verify_return_error -connect localhost:8443
 */
import { getRunningLoop, Protocol, TlsContext, type Transport } from "../mod.ts";

class EchoServer extends Protocol {
  #transport!: Transport;

  // Called after the handshake. If the handshake fails, no protocol is created.
  override connectionMade(transport: Transport): void {
    const { name, version } = transport.getExtraInfo("cipher")!;
    console.log(`connection, ${version}, ${name}`);
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    console.log(`${data.length} bytes`);
    this.#transport.write(data);
  }

  // If the client stops reading replies, stop reading its requests: memory stays bounded.
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

// Called for failed handshakes, among other errors. The server goes on.
loop.setExceptionHandler(({ message, error }) => console.error(`${message}: ${error?.message}`));

// A client that does not read, or does not answer close_notify, can delay the end by at most two seconds.
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
