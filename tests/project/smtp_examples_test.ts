/** The STARTTLS pair, with each other, and with openssl, curl and Python. */
import { assertEquals, assertMatch } from "../std.ts";
import { Example, run, Wire } from "./kit.ts";
import { certs, execute, foreign } from "../program.ts";
import { bytes } from "../kit.ts";

/** A client of the mail server that has come as far as it must to send mail. */
async function greeted(port: number): Promise<Wire> {
  const wire = await Wire.connect(port);
  await wire.reply();
  await wire.ask("STARTTLS");
  await wire.startTls();
  assertMatch(await wire.ask("EHLO test") ?? "", /^250 /);
  return wire;
}

Deno.test("smtp_starttls_client.ts sends smtp_starttls_server.ts a message, dots and all", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const message = ".\n..\n.dot\nünd\n.";
  const client = await run("smtp_starttls_client.ts", [`${await server.port()}`, "localhost", message]);
  assertEquals({ code: client.code, stderr: client.stderr }, { code: 0, stderr: "" });
  const dialogue = client.stdout.split("\n");
  assertEquals(dialogue.filter((line) => line.startsWith(">")), [
    "> EHLO client.test",
    "> STARTTLS",
    "> EHLO client.test",
    "> MAIL FROM:<me@example.test>",
    "> RCPT TO:<you@example.test>",
    "> DATA",
    "> QUIT",
  ]);
  assertEquals(
    dialogue.indexOf("TLSv1.3, TLS_AES_256_GCM_SHA384, certificate of localhost"),
    dialogue.indexOf("> STARTTLS") + 2,
  );
  assertEquals(dialogue.filter((line) => line === "< 250-STARTTLS").length, 1);
  assertEquals(await server.line(), "STARTTLS: TLSv1.3");
  const whole = `From: me@example.test\nTo: you@example.test\nSubject: from Tandem\n\n${message}\n`.replaceAll(
    "\n",
    "\r\n",
  );
  assertEquals(await server.line(), `${bytes(whole).length} bytes from <me@example.test> for <you@example.test>:`);
  assertEquals(JSON.parse(await server.line()), whole);
  server.interrupt();
  assertEquals(await server.end(), { code: 0, stdout: "stopped\n", stderr: "" });
});

Deno.test("smtp_starttls_server.ts discards what arrived unencrypted, together with STARTTLS included", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  using wire = await Wire.connect(await server.port());
  assertEquals(await wire.reply(), "220 tandem.test ESMTP");
  assertEquals(await wire.ask("MAIL FROM:<a@test>"), "530 Must issue a STARTTLS command first");
  await wire.send("EHLO a\r\nSTARTTLS\r\nEHLO mallory\r\nMAIL FROM:<mallory@test>\r\nRSE");
  assertEquals(await wire.reply(), "250 SIZE 1048576");
  assertEquals(await wire.reply(), "220 go ahead");
  await wire.startTls();
  // Neither was there an EHLO, nor does this continue what was left of a line.
  assertEquals(await wire.ask("MAIL FROM:<a@test>"), "503 say EHLO first");
  assertEquals(await wire.ask("EHLO a"), "250 SIZE 1048576");
  assertEquals(await wire.ask("RCPT TO:<b@test>"), "503 MAIL comes first");
  assertEquals(await wire.ask("STARTTLS"), "503 TLS is on already");
  assertEquals(await wire.ask("QUIT"), "221 bye");
  assertEquals(await wire.line(), null);
});

Deno.test("smtp_starttls_server.ts takes commands in one piece, and messages apart", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  using wire = await greeted(await server.port());
  await wire.send("MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\nrcpt to:<c@test>\r\nDATA\r\n");
  for (const code of ["250", "250", "250", "354"]) assertEquals((await wire.reply())?.slice(0, 3), code);
  for (const byte of "one\r\n..\r\n") await wire.send(byte);
  await wire.send(".\r\nMAIL FROM:<>\r\nRCPT TO:<d@test>\r\nDATA\r\n");
  for (const code of ["250", "250", "250", "354"]) assertEquals((await wire.reply())?.slice(0, 3), code);
  assertEquals(await wire.ask("two\r\n."), "250 taken");
  const lines = [];
  for (let i = 0; i < 5; i++) lines.push(await server.line());
  assertEquals(lines, [
    "STARTTLS: TLSv1.3",
    "8 bytes from <a@test> for <b@test>, <c@test>:",
    '"one\\r\\n.\\r\\n"',
    "5 bytes from <> for <d@test>:",
    '"two\\r\\n"',
  ]);
});

Deno.test("smtp_starttls_server.ts keeps its limits", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const port = await server.port();
  {
    using wire = await greeted(port);
    assertEquals(await wire.ask("MAIL FROM:<a@test> SIZE=1048577"), "552 message too large");
    assertEquals(await wire.ask("MAIL FROM:<a@test> SIZE=1048576"), "250 OK");
    for (let i = 0; i < 100; i++) assertEquals(await wire.ask(`RCPT TO:<${i}@test>`), "250 OK");
    assertEquals(await wire.ask("RCPT TO:<100@test>"), "452 too many recipients");
    await wire.ask("DATA");
    await wire.send(`${"x".repeat(998)}\r\n`.repeat(1100));
    assertEquals(await wire.ask("."), "552 message too large");
    assertEquals(await wire.ask("NOOP"), "250 OK");
    // A line too long and a line that ends badly end the connection.
    assertEquals(await wire.ask("x".repeat(999)), "500 line too long");
    assertEquals(await wire.line(), null);
  }
  for (const bad of ["NOOP\nNOOP\r\n", "NO\rOP\r\n", "\nNOOP\r\n"]) {
    using wire = await greeted(port);
    assertEquals([bad, await wire.ask(bad)], [bad, "500 lines end with CR LF"]);
  }
  {
    using wire = await greeted(port);
    await wire.send("\n");
    assertEquals(await wire.reply(), "500 lines end with CR LF");
  }
  using wire = await greeted(port);
  await wire.ask("MAIL FROM:<a@test>");
  await wire.ask("RCPT TO:<b@test>");
  await wire.ask("DATA");
  // The second message of two that are one to a server that is less strict.
  assertEquals(await wire.ask("hello\n.\nMAIL FROM:<c@test>"), "500 lines end with CR LF");
});

Deno.test("smtp_starttls_server.ts tells of a client that does not speak TLS after all, and serves on", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const port = await server.port();
  {
    using wire = await Wire.connect(port);
    await wire.reply();
    await wire.ask("STARTTLS");
    await wire.send("EHLO after all\r\n");
    assertMatch(await server.line(), /^STARTTLS failed: TLS: the peer does not speak TLS/);
  }
  using wire = await greeted(port);
  assertEquals(await wire.ask("QUIT"), "221 bye");
});

foreign("openssl", "smtp_starttls_server.ts answers openssl s_client -starttls smtp", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const where = ["-connect", `127.0.0.1:${await server.port()}`, "-verify_hostname", "localhost"];
  const args = ["s_client", "-starttls", "smtp", "-quiet", "-crlf", "-CAfile", `${certs}ca.pem`, ...where];
  const { code, stdout } = await execute("openssl", [...args, "-verify_return_error"], "EHLO me\nQUIT\n");
  assertEquals(code, 0);
  assertMatch(stdout, /250 SIZE 1048576\r\n221 bye\r\n$/);
});

foreign("curl", "smtp_starttls_server.ts takes mail from curl --ssl-reqd", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const port = await server.port();
  const envelope = ["--mail-from", "me@example.test", "--mail-rcpt", "you@example.test", "--upload-file", "-"];
  const options = ["-sS", "--ssl-reqd", "--cacert", `${certs}ca.pem`, "--crlf", ...envelope];
  const sent = await execute("curl", [...options, `smtp://localhost:${port}`], "Subject: curl\n\n.\n.dot\nend\n");
  assertEquals(sent, { code: 0, stdout: "", stderr: "" });
  assertMatch(await server.line(), /^STARTTLS: TLS/);
  assertEquals(await server.line(), "31 bytes from <me@example.test> for <you@example.test>:");
  assertEquals(JSON.parse(await server.line()), "Subject: curl\r\n\r\n.\r\n.dot\r\nend\r\n");
});

foreign("python3", "smtp_starttls_server.ts takes mail from Python's smtplib", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const { code, stdout, stderr } = await execute(
    "python3",
    ["-", `${await server.port()}`, `${certs}ca.pem`],
    `
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP("localhost", int(sys.argv[1]), timeout=10) as smtp:
    smtp.starttls(context=context)
    print(smtp.sendmail("a@example.test", ["b@example.test", "c@example.test"], "Subject: Python\\n\\n.\\n..dots\\nend"))
    try:
        smtp.sendmail("a@example.test", "b@example.test", "x" * 900 + "\\n" * 1_000_000)
    except smtplib.SMTPSenderRefused as error:
        print(error.smtp_code)
`,
  );
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "{}\n552\n", stderr: "" });
  assertEquals(await server.line(), "STARTTLS: TLSv1.3");
  assertEquals(await server.line(), "35 bytes from <a@example.test> for <b@example.test>, <c@example.test>:");
  assertEquals(JSON.parse(await server.line()), "Subject: Python\r\n\r\n.\r\n..dots\r\nend\r\n");
});

/** An SMTP server of asyncio's; prints its port, and then the message as it came over the wire. */
const PYTHON_SERVER = `
import asyncio, ssl, sys

class Server(asyncio.Protocol):
    buffer, text, secure = b"", None, False

    def connection_made(self, transport):
        self.transport = transport
        self.reply("220 python")

    def reply(self, line):
        self.transport.write(line.encode() + b"\\r\\n")

    def data_received(self, data):
        self.buffer += data
        while b"\\r\\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\\r\\n", 1)
            self.line(line.decode())

    def line(self, line):
        if self.text is not None:
            self.text.append(line)
            if line == ".":
                print(self.secure, repr("\\n".join(self.text)), flush=True)
                self.text = None
                self.reply("250 taken")
        elif line.startswith("EHLO"):
            self.reply("250-python\\r\\n250 STARTTLS" if not self.secure else "250 python")
        elif line == "STARTTLS":
            self.transport.pause_reading() # The client's first bytes may be faster than the task is.
            self.reply("220 go ahead")
            asyncio.ensure_future(self.upgrade())
        elif line == "DATA":
            self.text = []
            self.reply("354 go on")
        elif line == "QUIT":
            self.reply("221 bye")
            self.transport.close()
        else:
            self.reply("250 ok")

    def connection_lost(self, error):
        done.set_result(error)

    async def upgrade(self):
        self.transport = await loop.start_tls(self.transport, self, context, server_side=True)
        self.secure = True

async def main():
    global loop, done
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    server = await loop.create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    print(await done)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
asyncio.run(main())
`;

foreign("python3", "smtp_starttls_client.ts sends mail to a server of asyncio's", async () => {
  const child = new Deno.Command("python3", {
    args: ["-c", PYTHON_SERVER, `${certs}server.pem`, `${certs}server.key`],
    stdout: "piped",
    signal: AbortSignal.timeout(15_000),
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream());
  let printed = "";
  let client: Awaited<ReturnType<typeof run>> | null = null;
  for await (const piece of output) {
    printed += piece;
    if (client === null && printed.includes("\n")) {
      client = await run("smtp_starttls_client.ts", [printed.trim(), "127.0.0.1", ".\nend"]);
    }
  }
  await child.status;
  assertEquals([client?.code, client?.stderr], [0, ""]);
  const message = "From: me@example.test\\nTo: you@example.test\\nSubject: from Tandem\\n\\n..\\nend\\n.";
  assertEquals(printed.split("\n").slice(1), [`True '${message}'`, "None", ""]);
});

/** Runs the client against a server that answers with these replies, whatever it is asked, and then TLS, perhaps. */
async function sendTo(replies: string[], authority = "ca") {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = [`${listener.addr.port}`, "127.0.0.1", "hello", `${certs}${authority}.pem`];
  const running = run("smtp_starttls_client.ts", args);
  using wire = new Wire(await listener.accept());
  const asked: (string | null)[] = [];
  for (const reply of replies) {
    await wire.send(reply);
    asked.push(await wire.line());
  }
  const { code, stderr } = await running;
  return { code, stderr, asked };
}

Deno.test("smtp_starttls_client.ts sends nothing in the clear", async () => {
  assertEquals(await sendTo(["220 hello\r\n", "250-hello\r\n250 SIZE 1\r\n"]), {
    code: 1,
    stderr: "not sent: the server does not support STARTTLS\n",
    asked: ["EHLO client.test", null],
  });
  assertEquals(await sendTo(["220 hello\r\n", "250 STARTTLS\r\n", "454 not today\r\n"]), {
    code: 1,
    stderr: 'not sent: the server replied "454 not today"\n',
    asked: ["EHLO client.test", "STARTTLS", null],
  });
});

Deno.test("smtp_starttls_client.ts takes no reply from before TLS for one of after", async () => {
  const injected = "220 go ahead\r\n250 I take anything\r\n";
  assertEquals(await sendTo(["220 hello\r\n", "250 STARTTLS\r\n", injected]), {
    code: 1,
    stderr: "not sent: the server has sent more than the reply to STARTTLS\n",
    asked: ["EHLO client.test", "STARTTLS", null],
  });
});

Deno.test("smtp_starttls_client.ts sends nothing to a server whose CA is not trusted", async () => {
  await using server = new Example("smtp_starttls_server.ts", ["0"]);
  const args = [`${await server.port()}`, "localhost", "hello", `${certs}stranger.pem`];
  const { code, stdout, stderr } = await run("smtp_starttls_client.ts", args);
  assertEquals(code, 1);
  assertMatch(stdout, /> STARTTLS\n< 220 go ahead\n$/);
  assertMatch(stderr, /^not sent: TLS: the certificate is not signed by a trusted CA/);
  assertMatch(await server.line(), /^STARTTLS failed: TLS: the peer does not trust the issuer/);
});
