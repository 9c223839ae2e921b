/**
 * TLS echo client: prints the server's certificate, sends one message and prints the reply.
 *
 *     deno run --allow-net --allow-read examples/tls_echo_client.ts [port] [host] [message] [authority's certificate]
 */
import { getRunningLoop, Protocol, TlsError, type Transport } from "../mod.ts";

class EchoClient extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  #transport!: Transport;
  #message: Uint8Array;
  #received: Uint8Array;
  #count = 0;

  constructor(message: string) {
    super();
    this.#message = new TextEncoder().encode(message);
    this.#received = new Uint8Array(this.#message.length);
  }

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    const { name, version } = transport.getExtraInfo("cipher")!;
    const { subject, notAfter } = transport.getExtraInfo("peercert")!;
    console.log(`${version}, ${name}, certificate of ${subject["CN"]} until ${notAfter.getUTCFullYear()}`);
    transport.write(this.#message);
    console.log(`sent ${this.#message.length} bytes`);
  }

  // TLS does not support writeEof(), so count the bytes to know when the reply is complete.
  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#received.set(data.subarray(0, this.#received.length - this.#count), this.#count);
    this.#count += data.length;
    if (this.#count < this.#received.length) return;
    console.log(`received ${JSON.stringify(new TextDecoder().decode(this.#received))}`);
    this.#transport.close();
  }

  override connectionLost(error: Error | null): void {
    if (error) this.lost.reject(error);
    else this.lost.resolve();
  }
}

const [port = "8443", hostname = "127.0.0.1", message = "Hello, world!", authority = defaultAuthority()] = Deno.args;
const tls = { caCerts: [await Deno.readTextFile(authority)] };
try {
  const options = { hostname, port: Number(port), tls };
  const [, client] = await getRunningLoop().createConnection(() => new EchoClient(message || " "), options);
  await client.lost.promise;
  console.log("closed");
} catch (error) {
  if (!(error instanceof TlsError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  Deno.exit(1);
}

function defaultAuthority(): string {
  return `${import.meta.dirname}/certs/ca.pem`;
}
