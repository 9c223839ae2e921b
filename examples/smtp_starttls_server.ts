/**
 * SMTP server that requires STARTTLS, accepts mail from any sender to any recipient, and prints it.
 *
 *     deno run --allow-net --allow-read examples/smtp_starttls_server.ts [port] [host] [certificate] [key]
 *
 * Send mail with examples/smtp_starttls_client.ts, Python's smtplib, or
 *
 *     curl --ssl-reqd --cacert examples/certs/ca.pem --crlf --mail-from me@example.test --mail-rcpt you@example.test \
 *       --upload-file README.md smtp://localhost:2525
 *     openssl s_client -starttls smtp -crlf -CAfile examples/certs/ca.pem -connect localhost:2525
 */
import { getRunningLoop, Protocol, TlsContext, type Transport } from "../mod.ts";
import { LineReader } from "./smtp/line_reader.ts";

const MAX_RECIPIENTS = 100;
const MAX_MESSAGE = 1024 ** 2;

/** A message that is being received. */
interface Mail {
  sender: string;
  recipients: string[];
  /** The text, from DATA on. Nothing is added once the message is too large. */
  body: Uint8Array | null;
  size: number;
}

class SmtpServer extends Protocol {
  #transport!: Transport;
  #lines = new LineReader();
  #secure = false;
  #greeted = false;
  #mail: Mail | null = null;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    this.#reply("220 tandem.test ESMTP");
  }

  override dataReceived(data: Uint8Array<ArrayBuffer>): void {
    this.#lines.push(data);
    try {
      while (!this.#transport.isClosing()) {
        const line = this.#lines.next();
        if (line === null) break;
        if (this.#mail?.body) this.#takeText(this.#mail, this.#mail.body, line);
        else this.#takeCommand(new TextDecoder().decode(line));
      }
    } catch (error) {
      this.#reply(`500 ${(error as Error).message}`);
      this.#transport.close();
    }
  }

  // If the client stops reading replies, stop reading its commands.
  override pauseWriting(): void {
    this.#transport.pauseReading();
  }

  override resumeWriting(): void {
    this.#transport.resumeReading();
  }

  #reply(...lines: string[]): void {
    this.#transport.write(new TextEncoder().encode(lines.map((line) => `${line}\r\n`).join("")));
  }

  #takeCommand(line: string): void {
    const [, verb = "", argument = ""] = /^([^ ]*) ?(.*)$/.exec(line)!;
    switch (verb.toUpperCase()) {
      case "EHLO":
        this.#greeted = true;
        this.#mail = null;
        return this.#reply(
          "250-tandem.test",
          "250-PIPELINING",
          ...this.#secure ? [] : ["250-STARTTLS"],
          `250 SIZE ${MAX_MESSAGE}`,
        );
      case "HELO":
        this.#greeted = true;
        this.#mail = null;
        return this.#reply("250 tandem.test");
      case "STARTTLS":
        if (argument !== "") return this.#reply("501 no parameters allowed");
        if (this.#secure) return this.#reply("503 TLS is on already");
        return this.#startTls();
      case "RSET":
        this.#mail = null;
        return this.#reply("250 OK");
      case "NOOP":
        return this.#reply("250 OK");
      case "QUIT":
        this.#reply("221 bye");
        return this.#transport.close();
      case "MAIL":
      case "RCPT":
      case "DATA":
      case "VRFY":
        if (!this.#secure) return this.#reply("530 Must issue a STARTTLS command first");
        if (!this.#greeted) return this.#reply("503 say EHLO first");
        return this.#takeMailCommand(verb.toUpperCase(), argument);
      default:
        return this.#reply("500 unknown command");
    }
  }

  #takeMailCommand(verb: string, argument: string): void {
    const mail = this.#mail;
    if (verb === "VRFY") return this.#reply("252 will take it, and see");
    if (verb === "MAIL") {
      const [, sender, size = "0"] = /^FROM:<([^<>\s]*)>(?: SIZE=(\d{1,20}))? ?$/i.exec(argument) ?? [];
      if (mail !== null) return this.#reply("503 one message at a time");
      if (sender === undefined) return this.#reply("501 MAIL FROM:<address> [SIZE=number]");
      if (Number(size) > MAX_MESSAGE) return this.#reply("552 message too large");
      this.#mail = { sender, recipients: [], body: null, size: 0 };
    } else if (verb === "RCPT") {
      const [, recipient] = /^TO:<([^<>\s]+)> ?$/i.exec(argument) ?? [];
      if (mail === null) return this.#reply("503 MAIL comes first");
      if (recipient === undefined) return this.#reply("501 RCPT TO:<address>");
      if (mail.recipients.length === MAX_RECIPIENTS) return this.#reply("452 too many recipients");
      mail.recipients.push(recipient);
    } else {
      if (mail === null || mail.recipients.length === 0) return this.#reply("503 MAIL and RCPT come first");
      mail.body = new Uint8Array(MAX_MESSAGE);
      return this.#reply("354 end with a dot alone on a line");
    }
    this.#reply("250 OK");
  }

  #takeText(mail: Mail, body: Uint8Array, line: Uint8Array): void {
    const stuffed = line[0] === ".".charCodeAt(0);
    if (stuffed && line.length === 1) return this.#endOfText(mail, body);
    const text = stuffed ? line.subarray(1) : line;
    if (mail.size + text.length + 2 <= MAX_MESSAGE) {
      body.set(text, mail.size);
      body.set([13, 10], mail.size + text.length);
    }
    // Counted even if the line does not fit, so that no later line fits.
    mail.size += text.length + 2;
  }

  #endOfText({ sender, recipients, size }: Mail, body: Uint8Array): void {
    this.#mail = null;
    if (size > MAX_MESSAGE) return this.#reply("552 message too large");
    console.log(`${size} bytes from <${sender}> for ${recipients.map((recipient) => `<${recipient}>`).join(", ")}:`);
    console.log(JSON.stringify(new TextDecoder().decode(body.subarray(0, size))));
    this.#reply("250 taken");
  }

  #startTls(): void {
    this.#reply("220 go ahead");
    // Everything before TLS may come from an attacker, so discard it (RFC 3207, 4.2), including commands that have arrived
    // together with STARTTLS (CVE-2011-0411).
    this.#lines = new LineReader();
    this.#greeted = false;
    this.#mail = null;
    this.#secure = true;
    // Called inside this callback, so that all bytes from now on are TLS.
    loop.startTls(this.#transport, this, { serverSide: true, context, handshakeTimeout: 10_000, shutdownTimeout: 2000 })
      .then(
        (transport) => {
          this.#transport = transport;
          console.log(`STARTTLS: ${transport.getExtraInfo("cipher")!.version}`);
        },
        // connectionLost() is also called.
        (error: Error) => console.log(`STARTTLS failed: ${error.message}`),
      );
  }
}

const certs = `${import.meta.dirname}/certs`;
const [port = "2525", hostname = "127.0.0.1", certFile = `${certs}/server.pem`, keyFile = `${certs}/server.key`] =
  Deno.args;
const loop = getRunningLoop();
const context = new TlsContext({ cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) });
// Throws here if the files are bad, and not when the first client connects.
await context.load();

const server = await loop.createServer(() => new SmtpServer(), { hostname, port: Number(port), closeTimeout: 2000 });
loop.addSignalHandler("SIGINT", () => server.close());

for (const address of server.addresses as Deno.NetAddr[]) {
  console.log(`waiting for mail on ${address.hostname}:${address.port}`);
}
await server.serveForever();
server.closeClients();
await server.waitClosed();
console.log("stopped");
