/**
 * SMTP client: connects unencrypted, upgrades to TLS, and sends one message. Without TLS it sends no message.
 *
 *     deno run --allow-net --allow-read examples/smtp_starttls_client.ts [port] [host] [text] [authority's certificate]
 */
import { getRunningLoop, Protocol, type StartTlsOptions, type Transport } from "../mod.ts";
import { LineReader } from "./smtp/line_reader.ts";

class SmtpClient extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  #transport!: Transport;
  #lines = new LineReader();
  /** The lines of an incomplete reply. */
  #reply: string[] = [];
  #waiter: PromiseWithResolvers<string[]> | null = null;
  /** The error that ended the connection. */
  #error: Error | null = null;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    // Closes the connection. connectionLost() is called with the error.
    if (this.#waiter === null) throw new Error("the server has sent a reply without a command");
    this.#lines.push(data);
    while (this.#waiter !== null) {
      const bytes = this.#lines.next();
      if (bytes === null) break;
      const line = new TextDecoder().decode(bytes);
      console.log(`< ${line}`);
      this.#reply.push(line);
      // All lines of a reply except the last have a dash after the code.
      if (line[3] === "-") continue;
      this.#waiter.resolve(this.#reply);
      this.#waiter = null;
      this.#reply = [];
    }
  }

  override connectionLost(error: Error | null): void {
    this.#error = error ?? new Error("the server closed the connection");
    this.#waiter?.reject(this.#error);
    this.lost.resolve();
  }

  /** Sends a command, unless it is `null`, and waits for the reply. */
  async command(command: string | null, expected: number): Promise<string[]> {
    if (command !== null) {
      // Otherwise an address with a line break could add commands.
      if (/[\r\n]/.test(command)) throw new TypeError(`a command is one line: ${JSON.stringify(command)}`);
      console.log(`> ${command}`);
      this.#transport.write(new TextEncoder().encode(`${command}\r\n`));
    }
    return await this.#wait(expected);
  }

  /** Upgrades the connection, after the reply to STARTTLS. */
  async startTls(options: StartTlsOptions): Promise<void> {
    // These bytes were not encrypted, so an attacker may have sent them. They must not count as replies over TLS.
    if (!this.#lines.isEmpty) throw new Error("the server has sent more than the reply to STARTTLS");
    this.#transport = await loop.startTls(this.#transport, this, options);
    const { version, name } = this.#transport.getExtraInfo("cipher")!;
    console.log(`${version}, ${name}, certificate of ${this.#transport.getExtraInfo("peercert")!.subject["CN"]}`);
  }

  /** Sends a message, after the reply to DATA. A leading dot is doubled, because a dot alone on a line is the end. */
  async text(text: string): Promise<void> {
    const lines = text.split(/\r\n|\r|\n/).map((line) => line.startsWith(".") ? `.${line}` : line);
    this.#transport.write(new TextEncoder().encode([...lines, ".", ""].join("\r\n")));
    await this.#wait(250);
  }

  close(): void {
    this.#transport.close();
  }

  async #wait(expected: number): Promise<string[]> {
    if (this.#error !== null) throw this.#error;
    this.#waiter = Promise.withResolvers();
    const reply = await this.#waiter.promise;
    if (!reply.at(-1)!.startsWith(`${expected} `)) {
      throw new Error(`the server replied ${JSON.stringify(reply.at(-1))}`);
    }
    return reply;
  }
}

const [port = "2525", hostname = "127.0.0.1", text = "Hello, world!", authority = defaultAuthority()] = Deno.args;
const caCerts = [await Deno.readTextFile(authority)];
const loop = getRunningLoop();
const [, client] = await loop.createConnection(() => new SmtpClient(), { hostname, port: Number(port) });
try {
  await client.command(null, 220);
  const extensions = await client.command("EHLO client.test", 250);
  if (!extensions.some((line) => line.slice(4).toUpperCase() === "STARTTLS")) {
    throw new Error("the server does not support STARTTLS");
  }
  await client.command("STARTTLS", 220);
  await client.startTls({ serverHostname: hostname, caCerts });
  // The replies before TLS may be forged, so ask again.
  await client.command("EHLO client.test", 250);
  await client.command("MAIL FROM:<me@example.test>", 250);
  await client.command("RCPT TO:<you@example.test>", 250);
  await client.command("DATA", 354);
  await client.text(`From: me@example.test\nTo: you@example.test\nSubject: from Tandem\n\n${text}`);
  await client.command("QUIT", 221);
} catch (error) {
  console.error(`not sent: ${(error as Error).message}`);
  Deno.exitCode = 1;
} finally {
  client.close();
}
await client.lost.promise;

function defaultAuthority(): string {
  return `${import.meta.dirname}/certs/ca.pem`;
}
