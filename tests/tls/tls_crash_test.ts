/** What has once ended the process, held it up, or come out of node:tls raw: what the fuzzer found, each by itself. */
import { X509Certificate } from "node:crypto";
import { connect as connectNode } from "node:tls";
import { TlsContext, TlsError, type TlsOptions } from "../../mod.ts";
import { assertEquals, assertInstanceOf, assertLess, assertMatch, assertRejects } from "../std.ts";
import { captureExceptions, loop, portOf, Recorder, tempPath, turn } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { certs, execute, foreign, runProgram } from "../program.ts";
import { Dice } from "../fuzz/dice.ts";
import { Graveyard } from "../fuzz/leaks.ts";
import { asConn, MemoryConn, memoryPair } from "../fuzz/memory_conn.ts";
import { Peer } from "../fuzz/peer.ts";
import { CA, HOST, SERVER, TRUSTING } from "./kit.ts";

/** A program that serves, is told garbage before node:tls has begun, and lives on. */
const program = (body: string) => `
import { BufferedProtocol, getRunningLoop, Protocol } from "@tandem/io";
const loop = getRunningLoop();
const cert = Deno.readTextFileSync("${certs}server.pem");
const key = Deno.readTextFileSync("${certs}server.key");
const tls = { cert, key, handshakeTimeout: 5000 };
const hostname = "127.0.0.1";
const garbage = new Uint8Array(300).fill(7);
const command = new TextEncoder().encode("go");
const turn = () => new Promise((resolve) => loop.callSoon(resolve));
const settled = Promise.withResolvers();
const say = (error) => settled.resolve(error.name + " " + error.code);
// By the time another connection has carried something, what this one was sent has arrived: a read of it is done at once.
const ripe = async () => {
  const conn = await listener.accept();
  for (let i = 0; i < 3; i++) {
    const other = Deno.listen({ hostname, port: 0 });
    const near = await Deno.connect({ hostname, port: other.addr.port });
    const far = await other.accept();
    await near.write(command);
    await far.read(new Uint8Array(2));
    for (const each of [near, far, other]) each.close();
  }
  return conn;
};
const join = (...pieces) => new Uint8Array(pieces.flatMap((piece) => [...piece]));
const listener = Deno.listen({ hostname, port: 0 });
const conn = await Deno.connect({ hostname, port: listener.addr.port });
${body}
console.log(await settled.promise);
// All ticks of node:tls are over by then.
for (let i = 0; i < 10; i++) await turn();
console.log("alive");
Deno.exit();
`;

/** A protocol that upgrades when it has been told to, as the scenario says. */
const upgrading = (base: string, members: string, begin: string) => `
class Upgrading extends ${base} {
  connectionMade(transport) { this.transport = transport; }
  startTls() { loop.startTls(this.transport, this, { ...tls, serverSide: true }).then(() => say(new Error("?")), say); }
  begin() { ${begin} }
  ${members}
}
const waiting = await listener.accept();
`;
const DATA = "done = false; dataReceived() { if (!this.done) { this.done = true; this.begin(); } }";

const SCENARIOS: { what: string; body: string }[] = [
  {
    what: "connectAcceptedSocket() where garbage waits",
    body: `
await conn.write(garbage);
loop.connectAcceptedSocket(() => new Protocol(), await ripe(), { tls }).catch(say);`,
  },
  {
    what: "connectAcceptedSocket() with sni where garbage waits",
    body: `
await conn.write(garbage);
loop.connectAcceptedSocket(() => new Protocol(), await ripe(), { tls: { ...tls, sni: () => null } }).catch(say);`,
  },
  {
    what: "createServer() with a slow listener where garbage waits",
    body: `
await conn.write(garbage);
loop.setExceptionHandler(({ error }) => say(error));
const slow = { addr: listener.addr, accept: ripe, close: () => listener.close() };
await loop.createServer(() => new Protocol(), { listener: slow, tls });`,
  },
  {
    what: "startTls() of a BufferedProtocol with garbage behind the command",
    body: `${
      upgrading(
        "BufferedProtocol",
        "memory = new Uint8Array(2); getBuffer() { return this.memory; } bufferUpdated() { this.begin(); }",
        "this.startTls();",
      )
    }
await conn.write(join(command, garbage));
await loop.connectAcceptedSocket(() => new Upgrading(), waiting);`,
  },
  {
    what: "startTls() after pauseReading(), with garbage received",
    body: `${
      upgrading(
        "Protocol",
        DATA,
        "this.transport.resumeReading(); this.transport.pauseReading(); setTimeout(() => this.startTls(), 50); conn.write(garbage);",
      )
    }
await conn.write(command);
await loop.connectAcceptedSocket(() => new Upgrading(), waiting);`,
  },
  {
    what: "startTls() in dataReceived() while replies have not drained",
    body: `${
      upgrading(
        "Protocol",
        DATA,
        "conn.write(garbage); this.transport.write(new Uint8Array(8e6)); this.startTls(); drain();",
      )
    }
const drain = async () => { while (await conn.read(new Uint8Array(1e6)).catch(() => null) !== null); };
await conn.write(command);
await loop.connectAcceptedSocket(() => new Upgrading(), waiting);`,
  },
];

for (const { what, body } of SCENARIOS) {
  Deno.test(`${what} fails, and the process lives on`, async () => {
    const { code, stdout, stderr } = await runProgram(program(body), { flags: ["-A"] });
    assertEquals({ stdout, stderr, code }, { stdout: "TlsError NOT_TLS\nalive\n", stderr: "", code: 0 });
  });
}

/** Dials a server of Deno's that shows a certificate, and tells what came of it. */
async function dial(identity: { cert: string; key: string }, tls: TlsOptions): Promise<Error | null> {
  using listener = Deno.listenTls({ hostname: HOST, port: 0, ...identity });
  const serving = listener.accept().then(async (conn) => {
    await conn.handshake().catch(() => {});
    await conn.read(new Uint8Array(1)).catch(() => {});
    conn.close();
  });
  const protocol = new Recorder();
  try {
    const options = { hostname: HOST, port: listener.addr.port, tls: { serverHostname: "localhost", ...tls } };
    const [transport] = await loop.createConnection(() => protocol, options);
    transport.abort();
    await protocol.untilLost();
    await turn();
    return null;
  } catch (error) {
    return error as Error;
  } finally {
    await serving;
  }
}

/** No certificate, in the guise of one. */
const NONSENSE = `-----BEGIN CERTIFICATE-----\n${btoa("I am none")}\n-----END CERTIFICATE-----\n`;

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  for (const rejectUnauthorized of [true, false]) {
    const how = `over ${maxVersion}, ${rejectUnauthorized ? "verified" : "unverified"}`;
    Deno.test(`createConnection() names what is wrong with a server that shows nonsense behind its certificate, ${how}`, async () => {
      const shown = { ...SERVER, cert: SERVER.cert + NONSENSE };
      const error = await dial(shown, { caCerts: [CA], maxVersion, rejectUnauthorized });
      if (error !== null || rejectUnauthorized) assertInstanceOf(error, TlsError);
    });
  }
}

/** Has openssl make keys and certificates in a directory. */
async function issue(directory: string, commands: string[]): Promise<(name: string) => string> {
  const script = ["set -e", `cd ${directory}`, ...commands].join("\n");
  const { code, output } = await execute("sh", ["-c", script]).then(({ code, stdout, stderr }) => ({
    code,
    output: stdout + stderr,
  }));
  assertEquals(code, 0, output);
  return (name) => Deno.readTextFileSync(`${directory}/${name}`);
}

/** The commands for a key and a request, a root, and a certificate. */
const key = (name: string) => [
  `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ${name}.key`,
  `openssl req -new -key ${name}.key -subj /CN=${name} -out ${name}.csr`,
];
const root = (name: string) =>
  `openssl req -x509 -key ${name}.key -subj /CN=${name} -days 30 -addext basicConstraints=critical,CA:TRUE -out ${name}.pem`;
const sign = (name: string, by: string, extension: string, out: string) => [
  `echo '${extension}' > extensions`,
  `openssl x509 -req -in ${name}.csr -CA ${by}.pem -CAkey ${by}.key -CAcreateserial -days 30 -extfile extensions -out ${out}`,
];

foreign("openssl", "createConnection() takes a server whose certificate has a quotation mark in a name", async () => {
  using temp = tempPath();
  // A URI in subjectAltName as DER: http://x"y/, behind the name localhost.
  const names = "30:18:82:09:6c:6f:63:61:6c:68:6f:73:74:86:0b:68:74:74:70:3a:2f:2f:78:22:79:2f";
  const read = await issue(temp.directory, [
    ...key("root"),
    ...key("leaf"),
    root("root"),
    ...sign("leaf", "root", `subjectAltName=DER:${names}`, "leaf.pem"),
  ]);
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const shown = { cert: read("leaf.pem"), key: read("leaf.key") };
    assertEquals(await dial(shown, { caCerts: [read("root.pem")], maxVersion }), null);
  }
});

foreign(
  "openssl",
  "createConnection() with two caCerts that have signed each other does not go round in circles",
  async () => {
    using temp = tempPath();
    const authority = "basicConstraints=critical,CA:TRUE";
    await issue(temp.directory, [
      ...["first", "second", "leaf"].flatMap(key),
      root("first"),
      root("second"),
      ...sign("first", "second", authority, "first_by_second.pem"),
      ...sign("second", "first", authority, "second_by_first.pem"),
      ...sign("leaf", "first", "subjectAltName=DNS:localhost", "leaf.pem"),
    ]);
    const source = `
import { getRunningLoop, Protocol } from "@tandem/io";
const read = (name) => Deno.readTextFileSync("${temp.directory}/" + name);
const listener = Deno.listenTls({ hostname: "${HOST}", port: 0, cert: read("leaf.pem"), key: read("leaf.key") });
listener.accept().then((conn) => conn.handshake()).catch(() => {});
// Where the loop is held up for ever, no timer of its own helps.
const watchdog = \`setTimeout(() => { console.log("it hangs"); Deno.kill(\${Deno.pid}, "SIGKILL"); }, 8000)\`;
new Worker("data:text/javascript," + encodeURIComponent(watchdog), { type: "module" });
const caCerts = [read("first_by_second.pem"), read("second_by_first.pem")];
const tls = { caCerts, serverHostname: "localhost" };
await getRunningLoop().createConnection(() => new Protocol(), { port: listener.addr.port, tls }).then(
  () => console.log("settled"),
  (error) => console.log(error.name === "TlsError" ? "settled" : error),
);
Deno.exit();
`;
    const { stdout } = await runProgram(source, { flags: ["-A"] });
    assertEquals(stdout, "settled\n");
  },
);

foreign(
  "openssl",
  "createConnection() rejects where Deno has no use for the client's key, and the process lives on",
  async () => {
    using temp = tempPath();
    await issue(temp.directory, [
      "openssl genpkey -algorithm ed448 -out client.key",
      "openssl req -x509 -key client.key -subj /CN=client -days 30 -out client.pem",
    ]);
    const body = `
const read = (name) => Deno.readTextFileSync("${temp.directory}/" + name);
const own = { cert: read("client.pem"), key: read("client.key"), serverHostname: "localhost" };
// OpenSSL has a use for the key: then it is the end of the connection that rejects.
listener.accept().then((conn) => conn.close());
await loop.createConnection(() => new Protocol(), { conn, tls: own }).then(
  () => settled.resolve("connected"),
  (error) => settled.resolve(error instanceof Error ? "rejected" : error),
);`;
    const { code, stdout, stderr } = await runProgram(program(body), { flags: ["-A"] });
    assertEquals({ stdout, stderr, code }, { stdout: "rejected\nalive\n", stderr: "", code: 0 });
  },
);

foreign("openssl", "sni that chooses a context which Deno has no use for fails the handshake at once", async () => {
  using temp = tempPath();
  using captured = captureExceptions();
  const read = await issue(temp.directory, [
    "openssl genpkey -algorithm ed448 -out odd.key",
    "openssl req -x509 -key odd.key -subj /CN=odd -days 30 -out odd.pem",
  ]);
  const odd = new TlsContext({ cert: read("odd.pem"), key: read("odd.key") });
  const tls = { ...SERVER, sni: () => odd };
  const server = await loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, tls });
  const where = { hostname: HOST, port: portOf(server), tls: TRUSTING };
  await assertRejects(() => loop.createConnection(() => new Recorder(), where), Error);
  await captured.log.until(() => captured.contexts.length === 1);
  // OpenSSL has a use for it, and the client does not trust it.
  const message = isOverOpenssl() ? /unknown ca/ : /^TLS: node:tls rejects the context that sni has returned$/;
  assertMatch(captured.contexts[0]!.error!.message, message);
  server.close();
  await server.waitClosed();
});

foreign("openssl", "startTls() with a key that is too short rejects, and leaves no connection behind", async () => {
  using temp = tempPath();
  const read = await issue(temp.directory, [
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short.key",
    "openssl req -x509 -key short.key -subj /CN=short -days 30 -out short.pem",
  ]);
  const [near, far] = memoryPair();
  const [transport, protocol] = await loop.connectAcceptedSocket(() => new Recorder(), asConn(near));
  const options = { cert: read("short.pem"), key: read("short.key"), serverSide: true };
  await assertRejects(() => loop.startTls(transport, protocol, options), Error);
  transport.abort();
  await turn();
  await turn();
  assertEquals(protocol.log.entries.at(-1)?.split(" ")[0], "connectionLost");
  assertEquals(near.closed, true);
  far.close();
});

Deno.test("createConnection() verifies a server once, in however many pieces its handshake comes", async () => {
  const { verify } = X509Certificate.prototype;
  let verified = 0;
  X509Certificate.prototype.verify = function (key) {
    verified++;
    return verify.call(this, key);
  };
  const conn = new MemoryConn({ written: (data) => peer.receive(data) });
  conn.joins = false;
  const options = {
    serverSide: true,
    version: "TLSv1.2",
    name: "",
    mutual: false,
    alpn: [],
    tag: 0,
    identity: "good",
  } as const;
  const peer = new Peer(options, new Dice(0, 0), (data) => {
    for (let at = 0; at < data.length; at++) conn.deliver(data.subarray(at, at + 1));
  });
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), {
    conn: asConn(conn),
    tls: TRUSTING,
  });
  X509Certificate.prototype.verify = verify;
  transport.abort();
  await protocol.untilLost();
  peer.destroy();
  await turn();
  assertLess(verified, 10);
});

for (const sni of [undefined, () => null]) {
  Deno.test(`a server ${sni ? "with sni " : ""}keeps nothing of a client that fails`, async () => {
    const tls = { ...SERVER, ...sni && { sni } };
    const graveyard = new Graveyard();
    for (let i = 0; i < 40; i++) {
      const conn = new MemoryConn({ written: () => {} });
      graveyard.bury(conn);
      // Some are not TLS, some have gone before they have said anything.
      if (i % 2 === 0) conn.deliver(new Uint8Array(100));
      else conn.finish("end");
      await assertRejects(() => loop.connectAcceptedSocket(() => new Recorder(), asConn(conn), { tls }), Error);
    }
    assertLess((await graveyard.collect(3)).left, 4);
  });
}

Deno.test("nothing is kept of a TLS connection that is over, on either side", async () => {
  const graveyard = new Graveyard();
  for (let i = 0; i < 20; i++) {
    const ends = memoryPair();
    for (const end of ends) graveyard.bury(end);
    const [[transport, server], [, client]] = await Promise.all([
      loop.connectAcceptedSocket(() => new Recorder(), asConn(ends[0]), { tls: SERVER }),
      loop.createConnection(() => new Recorder(), { conn: asConn(ends[1]), tls: TRUSTING }),
    ]);
    transport.write(new Uint8Array(10));
    await client.untilReceived(10);
    if (i % 2 === 0) transport.close();
    else transport.abort();
    await Promise.all([server.untilLost(), client.untilLost()]);
    await turn();
  }
  assertLess((await graveyard.collect(3)).left, 4);
});

Deno.test("createServer() with sni takes a ClientHello of 28 KB", async () => {
  using _captured = captureExceptions();
  const server = await loop.createServer(() => new Recorder(), {
    hostname: HOST,
    port: 0,
    tls: { ...SERVER, sni: () => null, handshakeTimeout: 2000 },
  });
  const ALPNProtocols = Array.from({ length: 2000 }, (_, i) => `protocol-${i}`);
  const client = connectNode({ port: portOf(server), host: HOST, ca: [CA], servername: "localhost", ALPNProtocols });
  const outcome = await new Promise<string>((resolve) => {
    client.on("secureConnect", () => resolve("connected"));
    client.on("error", (error) => resolve(error.message));
    client.on("close", () => resolve("closed"));
  });
  client.destroy();
  if (!client.closed) await new Promise<void>((resolve) => void client.once("close", () => resolve()));
  server.close();
  server.abortClients();
  await server.waitClosed();
  assertEquals(outcome, "connected");
});
