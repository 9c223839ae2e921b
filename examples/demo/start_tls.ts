import { type EventLoop, InvalidStateError, Protocol, TlsContext, type Transport } from "../../mod.ts";
import { LineReader } from "../smtp/line_reader.ts";
import { bytes, quote, readCert, type Story, text } from "./story.ts";

export const title = "STARTTLS: a mail server and its client, encrypted from the third line on";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  const context = new TlsContext({ cert: await readCert("server.pem"), key: await readCert("server.key") });

  class MailServer extends Protocol {
    readonly senders: string[] = [];
    #transport!: Transport;
    #lines = new LineReader();

    override connectionMade(transport: Transport): void {
      story.saw("server", "connectionMade");
      this.#transport = transport;
      transport.write(bytes("220 tandem.test\r\n"));
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("server", "dataReceived", quote(data));
      this.#lines.push(data);
      for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) this.#take(text(line));
    }

    override connectionLost(error: Error | null): void {
      story.saw("server", "connectionLost", String(error));
    }

    #take(line: string): void {
      if (line === "STARTTLS") {
        this.#transport.write(bytes("220 go ahead\r\n"));
        // Commands that have arrived together with STARTTLS were not encrypted, so discard them.
        this.#lines = new LineReader();
        loop.startTls(this.#transport, this, { serverSide: true, context }).then((transport) => {
          story.did("server", "startTls", "done");
          this.#transport = transport;
        }, (error) => story.check(`no error from startTls, but: ${error}`, false));
      } else {
        this.senders.push(line);
        this.#transport.write(bytes("250 OK\r\n"));
      }
    }
  }

  class MailClient extends Protocol {
    readonly lost = Promise.withResolvers<void>();
    #reply = Promise.withResolvers<string>();

    override connectionMade(): void {
      story.saw("client", "connectionMade");
    }

    override dataReceived(data: Uint8Array<ArrayBuffer>): void {
      story.saw("client", "dataReceived", quote(data));
      this.#reply.resolve(text(data));
    }

    override connectionLost(error: Error | null): void {
      story.saw("client", "connectionLost", String(error));
      this.lost.resolve();
    }

    async reply(): Promise<string> {
      const reply = await this.#reply.promise;
      this.#reply = Promise.withResolvers();
      return reply;
    }
  }

  const mailServer = new MailServer();
  await using server = await loop.createServer(() => mailServer, { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [plain, client] = await loop.createConnection(() => new MailClient(), { port });
  await client.reply();
  // An attacker on the path adds a command, which must not count as if it had come over TLS (CVE-2011-0411).
  plain.write(bytes("STARTTLS\r\nMAIL FROM:<mallory@example.test>\r\n"));
  await client.reply();

  const transport = await loop.startTls(plain, client, {
    serverHostname: "localhost",
    caCerts: [await readCert("ca.pem")],
  });
  story.did("client", "startTls", `${transport.getExtraInfo("cipher")?.version}`);
  let refused: unknown;
  try {
    plain.write(bytes("in the clear"));
  } catch (error) {
    refused = error;
  }
  story.check(
    "the old transport is dead, and write() throws",
    plain.isClosing() && refused instanceof InvalidStateError,
  );
  transport.write(bytes("MAIL FROM:<alice@example.test>\r\n"));
  story.check("the same protocol goes on over TLS", await client.reply() === "250 OK\r\n");
  story.check(
    "the unencrypted command after STARTTLS was discarded",
    mailServer.senders.join() === "MAIL FROM:<alice@example.test>",
  );
  transport.close();
  await client.lost.promise;
}
