/** TLS with clients and servers that are not ours: openssl, curl, Python's ssl and asyncio, Deno's own, `node:tls`. */
import type { AddressInfo } from "node:net";
import { connect as connectNode, createServer as createNodeServer } from "node:tls";
import { type Server, type TlsCipher, TlsContext, TlsError, type TlsOptions, type Transport } from "../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "./std.ts";
import { bytes, captureExceptions, concat, EventLog, loop, pattern, portOf, Recorder, text, turn } from "./kit.ts";
import { readAll, readBytes, writeAll } from "./stream_kit.ts";
import { CA, CLIENT, ENGINES, SECOND, SERVER, TRUSTING } from "./tls_kit.ts";

const CERTS = new URL("../examples/certs/", import.meta.url).pathname;
const HOST = "127.0.0.1";
const BIG = pattern(4 * 1024 * 1024 + 12_345);
const VERSIONS = [{ version: "TLSv1.2", flag: "-tls1_2" }, { version: "TLSv1.3", flag: "-tls1_3" }] as const;
const MUTUAL = ["-Verify", "1", "-verify_return_error", "-CAfile", `${CERTS}ca.pem`];
const SERVER_FILES = ["-cert", `${CERTS}server.pem`, "-key", `${CERTS}server.key`];

/** A foreign program; whatever happens, it is gone when the scope is left. */
class Child implements AsyncDisposable {
  readonly log = new EventLog();
  readonly stdout: Uint8Array[] = [];
  #stderr: Uint8Array[] = [];
  #process: Deno.ChildProcess;
  #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #ended: Promise<unknown>;
  #deadline: ReturnType<typeof setTimeout>;

  constructor(program: string, args: string[], options: { cwd?: string } = {}) {
    const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    this.#process = new Deno.Command(program, { args, ...piped, ...options }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    // A test that waits for what never comes fails, instead of waiting for ever.
    this.#deadline = setTimeout(() => this.#kill(), 20_000);
    const collect = async (stream: ReadableStream<Uint8Array>, into: Uint8Array[]) => {
      for await (const piece of stream) {
        into.push(piece);
        this.log.changed();
      }
    };
    this.#ended = Promise.all([
      collect(this.#process.stdout, this.stdout),
      collect(this.#process.stderr, this.#stderr),
      this.#process.status,
    ]).finally(() => this.log.add("ended"));
  }

  /** Gives it bytes, while it has somebody to take them. */
  write(data: Uint8Array | string): Promise<void> {
    return this.#stdin.write(typeof data === "string" ? bytes(data) : data).catch(() => {});
  }

  /** Ends its standard input. */
  async end(): Promise<void> {
    await this.#stdin.close().catch(() => {});
  }

  /** All that it has printed. */
  get output(): string {
    return text(concat([...this.stdout, ...this.#stderr]));
  }

  /** Waits until it has printed something. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    await this.log.until(() => pattern.test(this.output) || this.log.entries.length > 0);
    const match = pattern.exec(this.output);
    assert(match !== null, `ended without ${pattern}: ${this.output}`);
    return match;
  }

  /** Waits until it has ended. */
  async exit(): Promise<number> {
    await this.#ended;
    return (await this.#process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.end();
    await this.#ended;
    clearTimeout(this.#deadline);
  }

  #kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

/** Sends everything back, at the pace of whoever takes it. */
class Echo extends Recorder {
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.transport.write(data);
  }
  override pauseWriting(): void {
    this.transport.pauseReading();
  }
  override resumeWriting(): void {
    this.transport.resumeReading();
  }
}

/** Answers one HTTP request with what it was sent, or else with `BIG`, and closes. */
class Http extends Recorder {
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    const end = this.text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.text)?.[1] ?? 0);
    if (this.received < end + 4 + length) return;
    const body = length > 0 ? this.data.subarray(end + 4) : BIG;
    this.transport.write(bytes(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`));
    this.transport.write(body);
    this.transport.close();
  }
}

/** Speaks lines of plain text until it is told to upgrade, as SMTP does. */
class Smtp extends Recorder {
  readonly secured = new Echo();
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes("220 tandem ready\r\n"));
  }
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    const line = text(data);
    if (line.startsWith("EHLO")) this.transport.write(bytes("250-tandem\r\n250 STARTTLS\r\n"));
    if (!line.startsWith("STARTTLS")) return;
    this.transport.write(bytes("220 go ahead\r\n"));
    loop.startTls(this.transport, this.secured, { serverSide: true, ...SERVER }).then((transport) => {
      this.secured.connectionMade(transport);
    }, (error) => this.log.add(`failed ${error}`));
  }
}

interface Served<P> extends AsyncDisposable {
  server: Server;
  port: number;
  protocols: P[];
  /** Waits for the first connection. */
  first(): Promise<P>;
}

/** Serves a protocol with TLS, or without, and insists at the end that no connection is left. */
async function serve<P extends Recorder>(make: () => P, tls?: TlsOptions): Promise<Served<P>> {
  const protocols: P[] = [];
  const log = new EventLog();
  const factory = () => {
    const protocol = make();
    protocols.push(protocol);
    loop.callSoon(() => log.changed());
    return protocol;
  };
  const server = await loop.createServer(factory, { hostname: HOST, port: 0, ...tls && { tls } });
  return {
    server,
    port: portOf(server),
    protocols,
    async first() {
      await log.until(() => protocols[0]?.transport !== undefined);
      return protocols[0]!;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.abortClients();
      await server.waitClosed();
    },
  };
}

function connect(port: number, tls: TlsOptions): Promise<[Transport, Recorder]> {
  return loop.createConnection(() => new Recorder(), { hostname: "localhost", port, tls });
}

function assertClean(protocol: Recorder): void {
  assertEquals(protocol.error, null);
  assertEquals(protocol.log.entries.filter((entry) => entry === "eofReceived").length, 1);
}

function subjectOf(transport: Transport): unknown {
  return transport.getExtraInfo("peercert")?.subject["CN"];
}

/** A test that needs a program: where it is missing, the test is skipped and says so. */
function testWith(program: string, name: string, fn: () => Promise<void>): void {
  const ignore = missing.has(program);
  Deno.test(ignore ? `${name} (skipped: no ${program})` : name, { ignore }, fn);
}

const missing = new Set(["openssl", "curl", "python3"].filter((program) => {
  try {
    const arg = program === "openssl" ? "version" : "--version";
    return !new Deno.Command(program, { args: [arg], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return true;
  }
}));

const s_client = (port: number, ...args: string[]) =>
  new Child("openssl", ["s_client", "-connect", `${HOST}:${port}`, "-CAfile", `${CERTS}ca.pem`, ...args]);

for (const { version, flag } of VERSIONS) {
  testWith("openssl", `createServer() talks ${version} with openssl s_client, and hears its close_notify`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, alpnProtocols: ["h2", "http/1.1"] });
    const verify = ["-verify_return_error", "-verify_hostname", "localhost"];
    await using child = s_client(served.port, "-brief", flag, "-alpn", "http/1.1", ...verify);
    await child.until(/CONNECTION ESTABLISHED[^]*Verification: OK[^]*Verified peername: localhost/);
    await child.write("hello\n");
    await child.until(/^hello$/m);
    const protocol = await served.first();
    await child.end();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(await child.exit(), 0);
    const cipher = protocol.transport.getExtraInfo("cipher") as TlsCipher;
    assertEquals([cipher.version, protocol.transport.getExtraInfo("alpnProtocol")], [version, "http/1.1"]);
    assertMatch(child.output, new RegExp(`Protocol version: ${version}\nCiphersuite: ${cipher.name}\n`));
  });

  testWith("openssl", `createConnection() talks ${version} with openssl s_server`, async () => {
    await using child = await s_server([flag, "-rev", "-alpn", "echo"]);
    const [transport, protocol] = await connect(child.port, { ...TRUSTING, alpnProtocols: ["other", "echo"] });
    transport.write(bytes("hello\n"));
    await protocol.untilReceived(6);
    assertEquals(protocol.text, "olleh\n");
    const cipher = transport.getExtraInfo("cipher") as TlsCipher;
    assertEquals([cipher.version, transport.getExtraInfo("alpnProtocol")], [version, "echo"]);
    assertEquals(subjectOf(transport), "localhost");
    transport.close();
    await protocol.untilLost();
    await turn();
    assertEquals(protocol.error, null);
  });
}

async function s_server(args: string[], cwd: { cwd?: string } = {}): Promise<Child & { port: number }> {
  const child = new Child("openssl", ["s_server", "-accept", `${HOST}:0`, ...SERVER_FILES, ...args], cwd);
  const match = await child.until(/ACCEPT 127\.0\.0\.1:(\d+)/);
  return Object.assign(child, { port: Number(match[1]) });
}

testWith("openssl", "createServer() and openssl s_client exchange megabytes both ways at once", async () => {
  await using served = await serve(() => new Echo(), SERVER);
  await using child = s_client(served.port, "-quiet", "-nocommands");
  const size = () => child.stdout.reduce((sum, piece) => sum + piece.length, 0);
  await child.write(BIG);
  await child.log.until(() => size() >= BIG.length);
  assertEquals(concat(child.stdout), BIG);
  assertEquals((await served.first()).data, BIG);
});

testWith("openssl", "createConnection() takes megabytes from openssl s_server", async () => {
  const directory = await Deno.makeTempDir({ prefix: "tandem-test-" });
  try {
    await Deno.writeFile(`${directory}/big`, BIG);
    await using child = await s_server(["-WWW"], { cwd: directory });
    const [transport, protocol] = await connect(child.port, TRUSTING);
    transport.write(bytes("GET /big HTTP/1.0\r\n\r\n"));
    await protocol.log.has("eofReceived");
    await protocol.untilLost();
    await turn();
    const end = protocol.text.indexOf("\r\n\r\n") + 4;
    assertEquals(protocol.data.subarray(end), BIG);
    assertEquals(protocol.error, null);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

testWith("openssl", "sni() gives openssl s_client -servername the certificate of that name", async () => {
  const second = new TlsContext(SECOND);
  const asked: string[] = [];
  const sni = (name: string) => {
    asked.push(name);
    return name === "second.test" ? second : null;
  };
  await using served = await serve(() => new Echo(), { ...SERVER, sni });
  for (
    const [args, subject] of [
      [["-servername", "second.test"], "second.test"],
      [["-servername", "localhost"], "localhost"],
      [["-noservername"], "localhost"],
    ] as const
  ) {
    await using child = s_client(served.port, "-brief", ...args);
    await child.until(new RegExp(`Peer certificate: CN = ${subject}`));
    await child.end();
    assertEquals(await child.exit(), 0);
  }
  assertEquals(asked, ["second.test", "localhost", ""]);
});

for (const { version, flag } of VERSIONS) {
  testWith(
    "openssl",
    `requestCert takes openssl s_client with a certificate, and no other, over ${version}`,
    async () => {
      using captured = captureExceptions();
      await using served = await serve(() => new Echo(), { ...SERVER, caCerts: [CA], requestCert: true });
      {
        await using child = s_client(served.port, "-brief", flag);
        await captured.log.until(() => captured.contexts.length === 1);
        await child.until(/alert/);
        assert(await child.exit() !== 0);
      }
      assertInstanceOf(captured.contexts[0]!.error, TlsError);
      assertEquals(captured.contexts[0]!.error.code, "NO_CLIENT_CERTIFICATE");
      assertEquals(served.protocols.length, 0);
      const own = ["-cert", `${CERTS}client.pem`, "-key", `${CERTS}client.key`];
      await using child = s_client(served.port, "-brief", flag, ...own);
      await child.write("hello\n");
      await child.until(/^hello$/m);
      assertEquals(subjectOf((await served.first()).transport), "client");
      assertEquals(captured.contexts.length, 1);
    },
  );

  testWith("openssl", `createConnection() shows openssl s_server its certificate over ${version}`, async () => {
    await using child = await s_server([flag, ...MUTUAL]);
    const [transport, protocol] = await connect(child.port, { ...TRUSTING, ...CLIENT });
    await child.write("hello\n");
    await protocol.untilReceived(6);
    await child.until(/subject=CN = client/);
    transport.abort();
    await protocol.untilLost();
    await turn();
  });

  testWith(
    "openssl",
    `createConnection() without the certificate that s_server wants fails over ${version}`,
    async () => {
      await using child = await s_server([flag, ...MUTUAL]);
      let error: unknown;
      try {
        // With TLS 1.3 the client is done before the server has seen that there is none.
        const [, protocol] = await connect(child.port, TRUSTING);
        await protocol.untilLost();
        await turn();
        error = protocol.error;
      } catch (rejection) {
        error = rejection;
      }
      assertInstanceOf(error, TlsError);
      assertEquals(error.code, version === "TLSv1.3" ? "NO_CLIENT_CERTIFICATE" : "ALERT");
    },
  );
}

/** Sends commands of s_client's, which it takes only in a piece of their own, and data both ways around them. */
async function updateKeys(child: Child, protocol: Recorder): Promise<void> {
  const lines: string[] = [];
  for (const command of ["k", "K", "K", "k", "K"]) {
    await child.write(`${command}\n`);
    await child.until(new RegExp(`(KEYUPDATE[^]*){${lines.length + 1}}`));
    const data = pattern(300_000, lines.length);
    protocol.transport.write(data);
    lines.push(`line ${lines.length}\n`);
    await child.write(lines.at(-1)!);
    await protocol.untilReceived(lines.join("").length);
    await child.log.until(() => equal(concat(child.stdout).subarray(-data.length), data));
  }
  assertEquals(protocol.text, lines.join(""));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

for (const { name, native } of ENGINES) {
  testWith("openssl", `createServer() follows the key updates of openssl s_client (${name} engine)`, async () => {
    await using served = await serve(() => new Recorder(), { ...SERVER, native });
    await using child = s_client(served.port, "-tls1_3");
    await updateKeys(child, await served.first());
  });

  testWith("openssl", `createServer() refuses openssl s_client to renegotiate, at once (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, native });
    await using child = s_client(served.port, "-tls1_2");
    await child.write("hello\n");
    await child.until(/^hello$/m);
    await child.write("R\n");
    await child.until(/no renegotiation/);
    assertEquals(await child.exit(), 1);
    const protocol = await served.first();
    await protocol.untilLost();
    assertInstanceOf(protocol.error, TlsError);
    assertEquals(protocol.error.code, "ALERT");
    assertEquals(protocol.text, "hello\n");
  });

  testWith(
    "openssl",
    `createConnection() refuses openssl s_server to renegotiate, at once (${name} engine)`,
    async () => {
      await using child = await s_server(["-tls1_2"]);
      const [, protocol] = await connect(child.port, { ...TRUSTING, native });
      await child.write("hello\n");
      await protocol.untilReceived(6);
      await child.write("R\n");
      await protocol.untilLost();
      await turn();
      await child.until(/no renegotiation/);
      assertInstanceOf(protocol.error, TlsError);
      assertEquals(protocol.error.code, "ALERT");
    },
  );
}

testWith("openssl", "createServer() refuses the TLS 1.1 of openssl s_client, and names the cause", async () => {
  using captured = captureExceptions();
  await using served = await serve(() => new Echo(), SERVER);
  await using child = s_client(served.port, "-brief", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0");
  assertEquals(await child.exit(), 1);
  // rustls misses another thing first, a list of signature algorithms, which TLS 1.1 does not have.
  assertMatch(child.output, /alert handshake failure/);
  await captured.log.until(() => captured.contexts.length === 1);
  assertInstanceOf(captured.contexts[0]!.error, TlsError);
  assertEquals(captured.contexts[0]!.error.code, "NO_SHARED_VERSION");
});

testWith("openssl", "createConnection() refuses the TLS 1.1 of openssl s_server, and names the cause", async () => {
  await using child = await s_server(["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
  const error = await assertRejects(() => connect(child.port, TRUSTING), TlsError);
  assertEquals(error.code, "NO_SHARED_VERSION");
});

testWith("openssl", "startTls() on the server's side is what openssl s_client -starttls smtp expects", async () => {
  await using served = await serve(() => new Smtp());
  await using child = s_client(served.port, "-starttls", "smtp", "-brief", "-verify_return_error");
  await child.until(/CONNECTION ESTABLISHED/);
  await child.write("hello inside\n");
  await child.until(/^hello inside$/m);
  const { secured, log, text } = await served.first();
  assertMatch(text, /^EHLO [^\r]*\r\nSTARTTLS\r\n$/);
  await child.end();
  await secured.untilLost();
  assertClean(secured);
  assertEquals(log.entries.filter((entry) => !entry.startsWith("dataReceived")), ["connectionMade"]);
});

for (const { name, native } of ENGINES) {
  testWith("curl", `createServer() serves megabytes to curl, which verifies the name (${name} engine)`, async () => {
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const args = ["--silent", "--show-error", "--cacert", `${CERTS}ca.pem`, `https://localhost:${served.port}/`];
    await using child = new Child("curl", args);
    assertEquals(await child.exit(), 0, child.output);
    assertEquals(concat(child.stdout), BIG);
  });

  testWith("curl", `createServer() takes megabytes from curl and gives them back (${name} engine)`, async () => {
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const post = ["--data-binary", "@-", "-H", "Expect:", "-H", "Content-Type: application/octet-stream"];
    const args = ["-sS", "--cacert", `${CERTS}ca.pem`, ...post, `https://localhost:${served.port}/`];
    await using child = new Child("curl", args);
    await child.write(BIG.subarray(0, 1_500_000));
    await child.end();
    assertEquals(await child.exit(), 0, child.output);
    assertEquals(concat(child.stdout), BIG.slice(0, 1_500_000));
  });

  testWith("curl", `createServer() hears of it when curl does not trust the certificate (${name} engine)`, async () => {
    using captured = captureExceptions();
    await using served = await serve(() => new Http(), { ...SERVER, native });
    await using child = new Child("curl", ["-sS", `https://localhost:${served.port}/`]);
    assertEquals(await child.exit(), 60, child.output);
    await captured.log.has("TLS handshake with 127.0.0.1 port ");
    const { error } = captured.contexts[0]!;
    assertInstanceOf(error, TlsError);
    assertEquals(error.code, "ALERT");
    assertMatch(error.message, /issuer of our certificate/);
    assertEquals(served.protocols.length, 0);
  });

  testWith("curl", `createServer() sees a clean end when curl wants another name (${name} engine)`, async () => {
    // curl looks at the name after the handshake.
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const resolve = ["--resolve", `wrong.test:${served.port}:${HOST}`, `https://wrong.test:${served.port}/`];
    await using child = new Child("curl", ["-sS", "--cacert", `${CERTS}ca.pem`, ...resolve]);
    assertEquals(await child.exit(), 60, child.output);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.received, 0);
  });
}

/** The other side in Python; it ends with its standard input. */
const PYTHON = `
import asyncio, os, socket, ssl, sys, threading

certs, mode, size, port, *options = sys.argv[1:]
server = mode.startswith("serve")
big = bytes((i * 7) % 251 for i in range(251)) * (int(size) // 251 + 1)
big = big[:int(size)]
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(9)), daemon=True).start()

def say(*words):
    print(*words, flush=True)

def context():
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    made = ssl.create_default_context(purpose, cafile=certs + "ca.pem")
    if server:
        made.load_cert_chain(certs + "server.pem", certs + "server.key")
        made.verify_mode = ssl.CERT_REQUIRED if "mutual" in options else ssl.CERT_NONE
    elif "mutual" in options:
        made.load_cert_chain(certs + "client.pem", certs + "client.key")
    if "TLSv1.2" in options:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["other", "echo"])
    return made

def tell(tls):
    names = dict(pair for names in (tls.getpeercert() or {}).get("subject", ()) for pair in names)
    say("tls", tls.version(), tls.cipher()[0], tls.selected_alpn_protocol(), names.get("commonName"))

async def upgrade(reader, writer):
    loop = asyncio.get_running_loop()
    if server:
        assert await reader.readline() == b"STARTTLS\\n"
        writer.write(b"go ahead\\n")
        await writer.drain()
    else:
        await reader.readuntil(b"ready\\r\\n")
        writer.write(b"STARTTLS\\n")
        await reader.readuntil(b"go ahead\\r\\n")
    plain = writer.transport
    side = {"server_side": True} if server else {"server_hostname": "localhost"}
    secure = await loop.start_tls(plain, plain.get_protocol(), context(), **side)
    writer._transport = reader._transport = secure

async def echo(reader, writer):
    if "starttls" in options:
        await upgrade(reader, writer)
    tell(writer.get_extra_info("ssl_object"))
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    say("eof")
    writer.close()
    await writer.wait_closed()
    say("closed")

async def send(reader, writer):
    if "starttls" in options:
        await upgrade(reader, writer)
    tell(writer.get_extra_info("ssl_object"))
    writer.write(big)
    say("same" if await reader.readexactly(len(big)) == big else "different")
    writer.close()
    await writer.wait_closed()
    say("closed")

async def run():
    tls = None if "starttls" in options else context()
    if server:
        listener = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls)
        say("port", listener.sockets[0].getsockname()[1])
        await listener.serve_forever()
    name = {"server_hostname": "localhost"} if tls else {}
    await send(*await asyncio.open_connection("127.0.0.1", int(port), ssl=tls, **name))

def plain_socket():
    if not server:
        return socket.create_connection(("127.0.0.1", int(port)))
    listener = socket.create_server(("127.0.0.1", 0))
    say("port", listener.getsockname()[1])
    return listener.accept()[0]

# A socket of the ssl module takes part in no goodbye but the one that it is told to.
def blocking(ending):
    name = {"server_side": True} if server else {"server_hostname": "localhost"}
    tls = context().wrap_socket(plain_socket(), suppress_ragged_eofs=False, **name)
    assert tls.recv(5) == b"ready"
    tls.sendall(b"hello")
    if ending == "unwrap":
        assert tls.unwrap().recv(1) == b""
    elif ending == "wait":
        assert tls.recv(1) == b""
        tls.unwrap()
    tls.close()
    say("done")

if mode.endswith("async"):
    asyncio.run(run())
else:
    blocking(mode.split("-")[1])
`;

const python = (mode: string, port: number, ...options: string[]) =>
  new Child("python3", ["-c", PYTHON, CERTS, mode, `${BIG.length}`, `${port}`, ...options]);

async function pythonServer(mode: string, ...options: string[]): Promise<Child & { port: number }> {
  const child = python(mode, 0, ...options);
  const match = await child.until(/^port (\d+)$/m);
  return Object.assign(child, { port: Number(match[1]) });
}

const ALPN = { alpnProtocols: ["echo"] };

for (const { version } of VERSIONS) {
  testWith("python3", `createConnection() exchanges megabytes with an asyncio server over ${version}`, async () => {
    await using child = await pythonServer("serve-async", version, "mutual");
    const [transport, protocol] = await connect(child.port, { ...TRUSTING, ...CLIENT, ...ALPN });
    transport.write(BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    const { name } = transport.getExtraInfo("cipher") as TlsCipher;
    await child.until(new RegExp(`^tls ${version} ${name} echo client$`, "m"));
    assertEquals(subjectOf(transport), "localhost");
    transport.close();
    await protocol.untilLost();
    await turn();
    assertEquals(protocol.error, null);
    await child.until(/^eof\nclosed$/m);
  });

  testWith("python3", `createServer() exchanges megabytes with an asyncio client over ${version}`, async () => {
    const mutual = { caCerts: [CA], requestCert: true };
    await using served = await serve(() => new Echo(), { ...SERVER, ...ALPN, ...mutual });
    await using child = python("connect-async", served.port, version, "mutual");
    await child.until(/^same\nclosed$/m);
    assertEquals(await child.exit(), 0, child.output);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
    assertEquals(subjectOf(protocol.transport), "client");
    const { name } = protocol.transport.getExtraInfo("cipher") as TlsCipher;
    assertMatch(child.output, new RegExp(`^tls ${version} ${name} echo localhost$`, "m"));
  });
}

testWith("python3", "startTls() upgrades together with an asyncio server", async () => {
  await using child = await pythonServer("serve-async", "starttls");
  const lines = new Recorder();
  const [plain] = await loop.createConnection(() => lines, { hostname: HOST, port: child.port });
  plain.write(bytes("STARTTLS\n"));
  await lines.untilReceived(9);
  const secured = new Recorder();
  const transport = await loop.startTls(plain, secured, { ...TRUSTING, ...ALPN });
  transport.write(BIG);
  await secured.untilReceived(BIG.length);
  assertEquals(secured.data, BIG);
  assertEquals(lines.text, "go ahead\n");
  transport.close();
  await secured.untilLost();
  await turn();
  assertEquals(secured.error, null);
  await child.until(/^eof\nclosed$/m);
});

testWith("python3", "startTls() on the server's side upgrades together with an asyncio client", async () => {
  await using served = await serve(() => new Smtp());
  await using child = python("connect-async", served.port, "starttls");
  await child.until(/^same\nclosed$/m);
  const { secured } = await served.first();
  await secured.untilLost();
  assertClean(secured);
  assertEquals(secured.data, BIG);
});

/** Meets both sides of Python's. */
function meet(native: boolean, ending: string, test: (child: Child, protocol: Recorder) => Promise<void>) {
  return async () => {
    {
      await using child = await pythonServer(`serve-${ending}`);
      const [transport, protocol] = await connect(child.port, { ...TRUSTING, native });
      transport.write(bytes("ready"));
      await test(child, protocol);
      await turn();
    }
    await using served = await serve(() => new Recorder(), { ...SERVER, native });
    await using child = python(`connect-${ending}`, served.port);
    const protocol = await served.first();
    protocol.transport.write(bytes("ready"));
    await test(child, protocol);
  };
}

for (const { name, native } of ENGINES) {
  testWith(
    "python3",
    `connectionLost() tells of a socket that ssl closes without unwrap() (${name} engine)`,
    meet(native, "cut", async (_, protocol) => {
      await protocol.untilLost();
      assertEquals(protocol.text, "hello");
      assertInstanceOf(protocol.error, Deno.errors.UnexpectedEof);
      assertEquals(protocol.log.entries.includes("eofReceived"), false);
    }),
  );

  testWith(
    "python3",
    `eofReceived() answers unwrap() of ssl (${name} engine)`,
    meet(native, "unwrap", async (child, protocol) => {
      await protocol.untilLost();
      assertClean(protocol);
      assertEquals(protocol.text, "hello");
      assertEquals(await child.exit(), 0, child.output);
    }),
  );

  testWith(
    "python3",
    `close() is a clean end for ssl, whose answer is waited for (${name} engine)`,
    meet(native, "wait", async (child, protocol) => {
      await protocol.untilReceived(5);
      protocol.transport.close();
      await protocol.untilLost();
      assertEquals(protocol.error, null);
      assertEquals(await child.exit(), 0, child.output);
    }),
  );

  Deno.test(`createServer() exchanges megabytes with Deno.connectTls (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, ...ALPN, native });
    using conn = await Deno.connectTls({ hostname: "localhost", port: served.port, caCerts: [CA], ...ALPN });
    const [, data] = await Promise.all([writeAll(conn, BIG), readBytes(conn, BIG.length)]);
    assertEquals(data, BIG);
    assertEquals((await conn.handshake()).alpnProtocol, "echo");
    await conn.closeWrite();
    assertEquals(await readAll(conn), new Uint8Array());
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
  });

  Deno.test(`createConnection() exchanges megabytes with Deno.listenTls (${name} engine)`, async () => {
    using listener = Deno.listenTls({ hostname: HOST, port: 0, ...SERVER, ...ALPN });
    const [conn, [transport, protocol]] = await Promise.all([
      // The handshake is made by whoever reads.
      listener.accept().then(async (conn) => (await conn.handshake(), conn)),
      connect(listener.addr.port, { ...TRUSTING, ...ALPN, native }),
    ]);
    using _ = conn;
    transport.write(BIG);
    assertEquals(await readBytes(conn, BIG.length), BIG);
    await writeAll(conn, BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    assertEquals(transport.getExtraInfo("alpnProtocol"), "echo");
    transport.close();
    assertEquals(await readAll(conn), new Uint8Array());
    await conn.closeWrite();
    await protocol.untilLost();
    await turn();
    assertEquals(protocol.error, null);
  });

  Deno.test(`createServer() exchanges megabytes with connect() of node:tls (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, native });
    const socket = connectNode({ host: HOST, port: served.port, servername: "localhost", ca: [CA] });
    const data = await new Promise<Uint8Array>((resolve, reject) => {
      const pieces: Uint8Array[] = [];
      let received = 0;
      socket.on("data", (piece: Uint8Array) => {
        pieces.push(piece);
        received += piece.length;
        if (received === BIG.length) socket.end();
      });
      socket.on("end", () => resolve(concat(pieces)));
      socket.on("error", reject);
      socket.write(BIG);
    });
    assertEquals(data, BIG);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
  });

  Deno.test(`createConnection() exchanges megabytes with createServer() of node:tls (${name} engine)`, async () => {
    const ended = Promise.withResolvers<void>();
    const listener = createNodeServer(SERVER, (socket) => {
      socket.pipe(socket);
      socket.on("end", () => ended.resolve());
      socket.on("error", ended.reject);
    });
    await new Promise<void>((resolve) => listener.listen(0, HOST, resolve));
    const [transport, protocol] = await connect((listener.address() as AddressInfo).port, { ...TRUSTING, native });
    transport.write(BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    transport.close();
    await protocol.untilLost();
    assertEquals(protocol.error, null);
    await ended.promise;
    await new Promise((resolve) => listener.close(resolve));
  });
}

Deno.test("startTls() on the server's side exchanges megabytes with Deno.startTls", async () => {
  await using served = await serve(() => new Smtp());
  const plain = await Deno.connect({ hostname: HOST, port: served.port });
  await readBytes(plain, 18);
  await writeAll(plain, bytes("STARTTLS\r\n"));
  assertEquals(text(await readBytes(plain, 14)), "220 go ahead\r\n");
  using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts: [CA] });
  const [, data] = await Promise.all([writeAll(conn, BIG), readBytes(conn, BIG.length)]);
  assertEquals(data, BIG);
  await conn.closeWrite();
  assertEquals(await readAll(conn), new Uint8Array());
  const { secured } = await served.first();
  await secured.untilLost();
  assertClean(secured);
  assertEquals(secured.data, BIG);
});
