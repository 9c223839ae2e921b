/** Sessions over OpenSSL: which are resumed, and which must not be. What a server with `requestCert` resumes is in `tls_resumption_test.ts`. */
import { TlsContext, type TlsOptions, type Transport } from "../../mod.ts";
import type { OpensslObject } from "../../engines/epoll/mod.ts";
import { ClientSessions } from "../../tls/openssl/client_sessions.ts";
import { openLibssl, type Pointer } from "../../tls/openssl/libssl.ts";
import { TicketKeys } from "../../tls/openssl/ticket_keys.ts";
import { authority, leaf, toPem } from "../certificates/certificate.ts";
import { chain } from "../certificates/chain.ts";
import { VERSIONS } from "../foreign/kit.ts";
import { portOf, Recorder, tempPath } from "../kit.ts";
import { certs, execute } from "../program.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../std.ts";
import { causeOf, CLIENT, HOST, peerName, readCert, SECOND, SERVER, TRUSTING } from "./kit.ts";
import { makeCa } from "./openssl_ca.ts";
import { opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

const CA = readCert("ca.pem");

/** A server, and clients of it that come one after the other. */
class Visited implements AsyncDisposable {
  readonly errors: unknown[] = [];
  #loop = opensslLoop();
  #server;
  #accepted: Greeter[];

  constructor(server: Awaited<ReturnType<ReturnType<typeof opensslLoop>["createServer"]>>, accepted: Greeter[]) {
    this.#server = server;
    this.#accepted = accepted;
  }

  static async serve(tls: TlsOptions, closes = false): Promise<Visited> {
    const accepted: Greeter[] = [];
    const loop = opensslLoop();
    const errors: unknown[] = [];
    loop.setExceptionHandler(({ error }) => errors.push(error));
    const factory = () => {
      const protocol = new Greeter(closes);
      accepted.push(protocol);
      return protocol;
    };
    const server = await loop.createServer(factory, { hostname: HOST, port: 0, tls });
    const visited = new Visited(server, accepted);
    return Object.assign(visited, { errors });
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** The client of the last connection, as the server sees it. */
  get lastClient(): unknown {
    return peerName(this.lastTransport);
  }

  get lastTransport(): Transport {
    return this.#accepted.at(-1)!.transport;
  }

  /** Connects until the server's greeting has come, with the tickets before it. Tells whether a session was resumed. */
  async visit(tls: TlsOptions = {}, ask: (transport: Transport) => unknown = isReused): Promise<unknown> {
    const protocol = new Recorder();
    const options = { hostname: HOST, port: this.port, tls: tls.context ? tls : { ...TRUSTING, ...tls } };
    const [transport] = await this.#loop.createConnection(() => protocol, options);
    await protocol.log.has("dataReceived");
    const answer = ask(transport);
    transport.close();
    await protocol.untilLost();
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.abortClients();
    await this.#server.waitClosed();
    for (const protocol of this.#accepted) await protocol.untilLost();
    await new Promise<void>((resolve) => void this.#loop.callSoon(resolve));
  }
}

/** Connects with openssl's client until the server has closed. Tells whether a session was resumed. */
async function dial(port: number, ...args: string[]): Promise<boolean> {
  const { stdout } = await execute("openssl", ["s_client", "-connect", `${HOST}:${port}`, "-ign_eof", ...args]);
  assertMatch(stdout, /^(New|Reused), /m);
  return /^Reused, /m.test(stdout);
}

class Greeter extends Recorder {
  #closes: boolean;

  constructor(closes: boolean) {
    super();
    this.#closes = closes;
  }

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(new Uint8Array(1));
    if (this.#closes) transport.close();
  }
}

function isReused(transport: Transport): boolean {
  return (transport.getExtraInfo("sslObject") as { sessionReused: boolean }).sessionReused;
}

/** Moves the clock of JavaScript, which OpenSSL does not see. */
function travel(ms: number): Disposable {
  const { now } = Date;
  Date.now = () => now() + ms;
  return { [Symbol.dispose]: () => void (Date.now = now) };
}

const HOUR = 3_600_000;
const newKey = () => crypto.getRandomValues(new Uint8Array(80));

/** Settings that no other test has: contexts of the same settings share their sessions. */
let count = 0;
const unique = (): TlsOptions => ({ alpnProtocols: [`sessions ${count++}`] });

for (const { version } of VERSIONS) {
  const test = (name: string, fn: (client: TlsOptions) => Promise<void>) =>
    opensslTest(`${name}, ${version}`, () => fn({ ...unique(), maxVersion: version, minVersion: version }));

  test("createConnection() resumes the session of an earlier connection", async (client) => {
    await using server = await Visited.serve(SERVER);
    const ask = (transport: Transport) => [isReused(transport), peerName(transport)];
    assertEquals(await server.visit(client, ask), [false, "localhost"]);
    for (let i = 0; i < 3; i++) assertEquals(await server.visit(client, ask), [true, "localhost"]);
  });

  test("a resumed session has the peer's certificate, and for a client the path by which it was verified", async (client) => {
    await using server = await Visited.serve({ ...SERVER, requestCert: true, caCerts: [CA] });
    const namesOf = (transport: Transport) => {
      const object = transport.getExtraInfo("sslObject") as OpensslObject;
      const chain = object.getVerifiedChain().map(({ subject }) => subject["CN"]);
      return [isReused(transport), peerName(transport), ...chain];
    };
    for (const reused of [false, true, true]) {
      const answer = await server.visit({ ...client, ...CLIENT }, namesOf);
      assertEquals(answer, [reused, "localhost", "localhost", "Tandem test authority"]);
      // A ticket has nothing but the client's own certificate.
      const above = reused ? [] : ["client", "Tandem test authority"];
      assertEquals(namesOf(server.lastTransport), [reused, "client", ...above]);
    }
  });

  test("createConnection() resumes no session of another name, port or context", async (client) => {
    await using server = await Visited.serve(SERVER);
    await using other = await Visited.serve(SERVER);
    assertEquals(await server.visit(client), false);
    for (
      const different of [
        { serverHostname: "a.example.test" },
        { serverHostname: "127.0.0.1" },
        { caCerts: [CA, readCert("stranger.pem")] },
        { rejectUnauthorized: false },
        CLIENT,
        unique(),
      ]
    ) assertEquals(await server.visit({ ...client, ...different }), false);
    assertEquals(await other.visit(client), false);
    assertEquals(await server.visit(client), true);
  });

  test("createConnection() verifies again after a connection without rejectUnauthorized", async (client) => {
    await using server = await Visited.serve(SERVER);
    const wrong = { ...client, serverHostname: "other.test" };
    for (const reused of [false, true]) {
      assertEquals(await server.visit({ ...wrong, rejectUnauthorized: false }), reused);
    }
    assertEquals(causeOf(await assertRejects(() => server.visit(wrong), Error)), "WRONG_NAME");
  });

  test("createConnection() resumes no session after a certificate of the path has expired", async (client) => {
    const root = authority({ to: 1 });
    const good = chain("a root for today", "good", leaf(root), { roots: [root] });
    const [own, ...rest] = good.chain.map(toPem);
    const key = good.key.export({ type: "pkcs8", format: "pem" }) as string;
    await using server = await Visited.serve({ cert: [own, ...rest].join(""), key });
    const tls = { ...client, caCerts: good.roots.map(toPem), serverHostname: good.host };
    for (const reused of [false, true]) assertEquals(await server.visit(tls), reused);
    using _travel = travel(48 * HOUR);
    assertEquals(causeOf(await assertRejects(() => server.visit(tls), Error)), "UNKNOWN_ISSUER");
  });

  test("requestCert verifies a client again when a certificate of its path has expired", async (client) => {
    const root = authority();
    const between = authority({ issuer: root, to: 1 });
    const { chain: ders, roots, key } = chain("a CA for today", "good", leaf(between), {
      rest: [between],
      roots: [root],
    });
    const identity = {
      cert: ders.map(toPem).join(""),
      key: key.export({ type: "pkcs8", format: "pem" }) as string,
    };
    await using server = await Visited.serve({ ...SERVER, requestCert: true, caCerts: roots.map(toPem) });
    for (const reused of [false, true]) assertEquals(await server.visit({ ...client, ...identity }), reused);
    using _travel = travel(48 * HOUR);
    // OpenSSL, whose clock has not moved, still accepts it.
    assertEquals(await server.visit({ ...client, ...identity }), false);
    assertEquals(server.errors, []);
  });

  test("createConnection() offers no session of a server with which a connection has failed", async (client) => {
    await using server = await Visited.serve(SERVER);
    for (const reused of [false, true]) assertEquals(await server.visit(client), reused);
    {
      using _fail = replaceSsl("SSL_do_handshake", () => -1);
      await assertRejects(() => server.visit(client), Error);
    }
    for (const reused of [false, true]) assertEquals(await server.visit(client), reused);
  });

  test("crl and requestOcsp verify the other side each time", async (client) => {
    using ca = await makeCa();
    const caCerts = [ca.read("ca.pem")];
    const own = ca.identity("leaf");
    await using server = await Visited.serve(own);
    await using asking = await Visited.serve({ ...own, requestCert: true, caCerts, crl: [ca.read("ca.crl")] });
    for (let i = 0; i < 2; i++) {
      assertEquals(await server.visit({ ...client, caCerts, requestOcsp: true }), false);
      assertEquals(await server.visit({ ...client, caCerts, crl: [ca.read("ca.crl")] }), false);
      assertEquals(await asking.visit({ ...client, caCerts, ...own }), false);
    }
    assertEquals(await server.visit({ ...client, caCerts }), false);
    assertEquals(await server.visit({ ...client, caCerts }), true);
  });

  test("sessionTickets: false turns sessions off, on either side", async (client) => {
    await using server = await Visited.serve(SERVER);
    await using without = await Visited.serve({ ...SERVER, sessionTickets: false });
    for (let i = 0; i < 2; i++) {
      assertEquals(await without.visit(client), false);
      assertEquals(await server.visit({ ...client, sessionTickets: false }), false);
    }
  });

  test("sessionTickets.keys are rotated by reload()", async (client) => {
    const [first, second, third] = [newKey(), newKey(), newKey()] as const;
    const context = new TlsContext({ ...SERVER, sessionTickets: { keys: [first] } });
    await using server = await Visited.serve({ context });
    const rounds: [keys: Uint8Array[], reused: boolean[]][] = [
      [[first], [false, true]],
      [[second, first], [true, true]],
      [[second], [true, true]],
      [[third, second], [true, true]],
      [[first, second], [false, true]],
      [[newKey(), newKey()], [false, true]],
    ];
    for (const [keys, reused] of rounds) {
      await context.reload({ sessionTickets: { keys } });
      assertEquals([await server.visit(client), await server.visit(client)], reused);
    }
  });

  test("keys that are not given are replaced after 12 hours, and accepted for two more", async (client) => {
    await using server = await Visited.serve({ ...SERVER, ...unique(), ciphers: undefined, alpnProtocols: [] });
    for (const reused of [false, true]) assertEquals(await server.visit(client), reused);
    {
      using _travel = travel(12 * HOUR);
      assertEquals(await server.visit(client), true);
      assertEquals(await server.visit(client), true);
    }
    using _travel = travel(14 * HOUR);
    assertEquals(await server.visit(client), true);
  });

  test("reload() with the same certificate keeps sessions, and with another ends them", async (client) => {
    const context = new TlsContext(SERVER);
    await using server = await Visited.serve({ context });
    const tls = { ...client, serverHostname: undefined, rejectUnauthorized: false };
    const named = { ...tls, serverHostname: "localhost" };
    const ask = (transport: Transport) => [isReused(transport), peerName(transport)];
    assertEquals(await server.visit(named, ask), [false, "localhost"]);
    await context.reload({ ...SERVER, ...unique(), alpnProtocols: client.alpnProtocols });
    assertEquals(await server.visit(named, ask), [true, "localhost"]);
    await context.reload(SECOND);
    assertEquals(await server.visit(named, ask), [false, "second.test"]);
    assertEquals(await server.visit(named, ask), [true, "second.test"]);
  });

  test("requestCert resumes the session of a client with its certificate", async (client) => {
    await using server = await Visited.serve({ ...SERVER, requestCert: true, caCerts: [CA] });
    for (const reused of [false, true, true]) {
      assertEquals(await server.visit({ ...client, ...CLIENT }), reused);
      assertEquals(server.lastClient, "client");
    }
    assertEquals(server.errors, []);
  });

  test("sessionTickets.keys let servers of the same rules resume each other's sessions, and no others", async () => {
    using session = tempPath("session");
    const sessionTickets = { keys: [newKey()] };
    const common = { ...SERVER, maxVersion: version, sessionTickets, caCerts: [CA] };
    const strict = { ...common, requestCert: true };
    const own = ["-cert", `${certs}client.pem`, "-key", `${certs}client.key`];
    await using first = await Visited.serve(strict, true);
    await using second = await Visited.serve({ ...strict, ...unique() }, true);
    await using stranger = await Visited.serve({ ...strict, caCerts: [readCert("stranger.pem")] }, true);
    await using lax = await Visited.serve({ ...strict, rejectUnauthorized: false }, true);
    await using none = await Visited.serve(common, true);
    const others = [first, second, stranger, lax, none];
    for (const issuer of [first, lax, none]) {
      await dial(issuer.port, ...own, "-sess_out", session.path);
      const reused: boolean[] = [];
      for (const other of others) reused.push(await dial(other.port, "-sess_in", session.path));
      const expected = issuer === first ? [first, second] : [issuer];
      assertEquals(reused, others.map((other) => expected.includes(other)));
    }
    assertEquals(
      [...first.errors, ...second.errors, ...stranger.errors].map(causeOf),
      Array(7).fill("NO_CLIENT_CERTIFICATE"),
    );
  });

  test("sni keeps the sessions of names apart", async () => {
    using session = tempPath("session");
    await using server = await Visited.serve({ ...SERVER, sni: () => null, maxVersion: version }, true);
    const connect = (name: string, ...args: string[]) => dial(server.port, "-servername", name, ...args);
    assertEquals(await connect("a.example.test", "-sess_out", session.path), false);
    assertEquals(await connect("b.example.test", "-sess_in", session.path), false);
    assertEquals(await connect("A.example.test", "-sess_in", session.path), true);
    assertEquals(await connect("a.example.test", "-sess_in", session.path), true);
  });
}

opensslTest("createConnection() offers a session of TLS 1.3 once", async () => {
  const offered: bigint[] = [];
  using _set = replaceSsl("SSL_set_session", (real, ssl, session) => {
    offered.push(Deno.UnsafePointer.value(session));
    return real(ssl, session);
  });
  // Kept, so that no address is used again.
  const freed: Pointer[] = [];
  const real = openLibssl().SSL_SESSION_free;
  using _free = replaceSsl("SSL_SESSION_free", (_, session) => void freed.push(session as Pointer));
  const client = unique();
  await using server = await Visited.serve({ ...SERVER, sessionTickets: { count: 1 } });
  for (let i = 0; i < 5; i++) assertEquals(await server.visit(client), i > 0);
  assertEquals([offered.length, new Set(offered).size], [4, 4]);
  freed.forEach((session) => real(session));
});

for (const count of [1, 3]) {
  opensslTest(`sessionTickets.count is the number of tickets of TLS 1.3: ${count}`, async () => {
    let kept = 0;
    const { keep } = ClientSessions.prototype;
    ClientSessions.prototype.keep = function (...args) {
      kept++;
      return keep.apply(this, args);
    };
    try {
      await using server = await Visited.serve({ ...SERVER, sessionTickets: { count } });
      await server.visit(unique());
    } finally {
      ClientSessions.prototype.keep = keep;
    }
    assertEquals(kept, count);
  });
}

Deno.test("TicketKeys replaces its key every 12 hours, keeps the one before for two, and leaves given keys alone", () => {
  const [made, given] = [new TicketKeys(), new TicketKeys([newKey(), newKey()])];
  const [first] = made.current();
  const [copy, isWiped] = [first!.slice(), (key: Uint8Array) => key.every((byte) => byte === 0)];
  const before = given.current();
  const at = (hours: number) => {
    using _travel = travel(hours * HOUR);
    assert(given.current() === before);
    assert(made.current() === made.current());
    return [...made.current()];
  };
  assertEquals(at(11), [first]);
  const [second, ...former] = at(12);
  assertEquals([first === second, former], [false, [first]]);
  assertEquals([at(13)[0], at(13)[1]], [second, copy]);
  assertEquals(isWiped(first!), false);
  assertEquals([at(14), at(23)], [[second], [second]]);
  // A key that nothing needs any more is wiped.
  assertEquals([isWiped(first!), isWiped(second!)], [true, false]);
  assertEquals(at(24)[1], second);
});
