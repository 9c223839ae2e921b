import { type EventLoop, Protocol, TlsContext, TlsError, type Transport } from "../../mod.ts";
import { bytes, quote, readCert, type Story, text } from "./story.ts";

export const title = "TLS: certificates, a refused handshake, and a new certificate for a running server";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  let connections = 0;

  class Echo extends Protocol {
    #who = `server ${++connections}`;
    #transport!: Transport;

    override connectionMade(transport: Transport): void {
      story.saw(this.#who, "connectionMade", "after the handshake");
      this.#transport = transport;
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw(this.#who, "dataReceived", quote(data));
      this.#transport.write(data);
    }

    override eofReceived(): void {
      story.saw(this.#who, "eofReceived", "close_notify");
    }

    override connectionLost(error: Error | null): void {
      story.saw(this.#who, "connectionLost", String(error));
    }
  }

  class Client extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    transport!: Transport;
    #who: string;
    #answer = Promise.withResolvers<string>();

    constructor(who: string) {
      super();
      this.#who = who;
    }

    /** The name in the peer's certificate. */
    get peer(): unknown {
      return this.transport.getExtraInfo("peercert")?.subject["CN"];
    }

    override connectionMade(transport: Transport): void {
      story.saw(this.#who, "connectionMade");
      this.transport = transport;
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw(this.#who, "dataReceived", quote(data));
      this.#answer.resolve(text(data));
    }

    override connectionLost(error: Error | null): void {
      story.saw(this.#who, "connectionLost", String(error));
      this.lost.resolve();
    }

    async ask(question: string): Promise<string> {
      this.transport.write(bytes(question));
      return await this.#answer.promise;
    }
  }

  const caCerts = [await readCert("ca.pem")];
  const context = new TlsContext({ cert: await readCert("server.pem"), key: await readCert("server.key") });
  await using server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0, tls: { context } });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const dial = async (who: string, tls: { caCerts?: string[]; serverHostname: string }): Promise<Client> => {
    return (await loop.createConnection(() => new Client(who), { port, tls }))[1];
  };

  const first = await dial("client 1", { caCerts, serverHostname: "localhost" });
  const cipher = first.transport.getExtraInfo("cipher");
  story.did("client 1", "getExtraInfo", `cipher: ${cipher?.version}, ${cipher?.name}, ${cipher?.bits} bits`);
  const names = first.transport.getExtraInfo("peercert")?.subjectAltName.map(([, name]) => name);
  story.did("client 1", "getExtraInfo", `peercert: for ${names?.join(", ")}`);
  story.check("the client knows the cipher and the server's name", cipher !== null && first.peer === "localhost");
  story.check("writeEof() is not supported with TLS", !first.transport.canWriteEof());

  const { told, refusal } = await withoutTrust(loop, () => dial("stranger", { serverHostname: "localhost" }));
  story.did("client", "createConnection", String(refusal));
  story.check(
    "a certificate of an untrusted CA is refused, and both sides get an error",
    refusal instanceof TlsError && refusal.code === "UNKNOWN_ISSUER" && told instanceof TlsError,
  );

  story.did("context", "reload", "a certificate for second.test");
  await context.reload({ cert: await readCert("second.pem"), key: await readCert("second.key") });
  const second = await dial("client 2", { caCerts, serverHostname: "second.test" });
  story.check("new connections see the new certificate", second.peer === "second.test");
  story.check("old connections go on", await first.ask("still there?") === "still there?");

  for (const client of [first, second]) {
    client.transport.close();
    await client.lost.promise;
  }
}

/** Makes a connection that must fail. Returns the error of the caller and that of the server's exception handler. */
async function withoutTrust(
  loop: EventLoop,
  connect: () => Promise<unknown>,
): Promise<{ told: unknown; refusal: unknown }> {
  const told = Promise.withResolvers<unknown>();
  const handler = loop.getExceptionHandler();
  loop.setExceptionHandler(({ error }) => told.resolve(error));
  try {
    const refusal = await connect().then(() => null, (error: unknown) => error);
    return { refusal, told: refusal && await told.promise };
  } finally {
    loop.setExceptionHandler(handler);
  }
}
