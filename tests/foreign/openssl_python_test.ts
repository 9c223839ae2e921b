/** The options of TLS by OpenSSL with Python's `ssl` at the other side, in one process, so that each case takes milliseconds. */
import { type ExceptionContext, TlsContext, type TlsOptions, type Transport } from "../../mod.ts";
import type { OpensslObject } from "../../engines/epoll/mod.ts";
import { assert, assertEquals, assertMatch } from "../std.ts";
import { portOf, Recorder, tempPath } from "../kit.ts";
import { foreign } from "../program.ts";
import { causeOf, HOST, peerName } from "../tls/kit.ts";
import { makeCa, sign, type TestCa } from "../tls/openssl_ca.ts";
import { hasOpenssl, opensslLoop } from "../tls/openssl_kit.ts";
import { Child } from "./kit.ts";

/** What Python knows of a connection. */
interface Report {
  error?: string;
  version: string;
  cipher: string;
  alpn: string | null;
  reused: boolean;
  peer: string | null;
  endPoint: string;
  chain: number;
  exporter?: string;
}

/** Options of a context of Python. Contexts of the same `session` are one. */
interface PythonOptions {
  cert?: string;
  key?: string;
  crl?: string;
  verify?: "CERT_NONE" | "CERT_OPTIONAL" | "CERT_REQUIRED";
  min?: "TLSv1_2" | "TLSv1_3";
  max?: "TLSv1_2" | "TLSv1_3";
  ciphers?: string;
  curve?: string;
  alpn?: string[];
  keylog?: string;
  session?: string;
}

/** What Tandem knows of a connection. */
interface Ours {
  version: string | undefined;
  cipher: string | undefined;
  alpn: string | null;
  group: string | null;
  reused: boolean;
  peer: unknown;
  endPoint: string;
  exporter: string;
  chain: number;
}

function describe(transport: Transport): Ours {
  const cipher = transport.getExtraInfo("cipher");
  const object = transport.getExtraInfo("sslObject") as OpensslObject;
  return {
    version: cipher?.version,
    cipher: cipher?.name,
    alpn: transport.getExtraInfo("alpnProtocol"),
    group: object.group,
    reused: object.sessionReused,
    peer: peerName(transport),
    endPoint: object.getChannelBinding("tls-server-end-point").toHex(),
    exporter: object.getChannelBinding("tls-exporter").toHex(),
    chain: object.getVerifiedChain().length,
  };
}

/** Greets, and keeps what there is to know. */
class Greeter extends Recorder {
  seen?: Ours;

  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.seen = describe(transport);
    transport.write(new Uint8Array([120]));
  }
}

/** Python, and the certificates. */
class Python {
  #child: Child;
  #count = 0;
  readonly ca: TestCa;

  constructor(child: Child, ca: TestCa) {
    this.#child = child;
    this.ca = ca;
  }

  identity(name: string): { cert: string; key: string } {
    return { cert: this.ca.path(`${name}.pem`), key: this.ca.path(`${name}.key`) };
  }

  #give(task: object): string {
    const id = `${this.#count++}`;
    void this.#child.write(`${JSON.stringify({ id, ca: this.ca.path("ca.pem"), ...task })}\n`);
    return id;
  }

  async #answer<T>(id: string, i: number): Promise<T> {
    const [, json] = await this.#child.until(new RegExp(`^${id}\\.${i} (.*)\n`, "m"));
    return JSON.parse(json!);
  }

  /** Connects to a server of ours, once for each of `clients`. An error of a connection stands in place of what we know. */
  async visit(tls: TlsOptions, ...clients: PythonOptions[]): Promise<{ theirs: Report[]; ours: (Ours | string)[] }> {
    const loop = opensslLoop();
    const ours: (Ours | string)[] = [];
    let ended = Promise.withResolvers<void>();
    loop.setExceptionHandler(({ error }: ExceptionContext) => {
      ours.push(causeOf(error));
      ended.resolve();
    });
    const factory = () => {
      const protocol = new Greeter();
      void protocol.untilLost().then(() => {
        ours.push(protocol.seen!);
        ended.resolve();
      });
      return protocol;
    };
    await using server = await loop.createServer(factory, { hostname: HOST, port: 0, tls });
    const theirs: Report[] = [];
    for (const client of clients) {
      ended = Promise.withResolvers();
      theirs.push(await this.#answer<Report>(this.#give({ connect: portOf(server), ...client }), 0));
      await ended.promise;
    }
    return { theirs, ours };
  }

  /** Connects to a server of Python, once for each of `clients`. */
  async receive(
    options: PythonOptions,
    ...clients: TlsOptions[]
  ): Promise<{ theirs: Report[]; ours: (Ours | string)[] }> {
    const loop = opensslLoop();
    const id = this.#give({ serve: clients.length, ...this.identity("leaf"), ...options });
    const port = await this.#answer<number>(id, 0);
    const ours: (Ours | string)[] = [];
    const theirs: Report[] = [];
    for (const tls of clients) {
      const protocol = new Recorder();
      const options = { hostname: HOST, port, tls: { serverHostname: "localhost", ...tls } };
      try {
        const [transport] = await loop.createConnection(() => protocol, options);
        await protocol.log.until(() => protocol.received > 0 || protocol.error !== undefined);
        ours.push(protocol.received > 0 ? describe(transport) : causeOf(protocol.error));
        transport.close();
        await protocol.untilLost();
      } catch (error) {
        ours.push(causeOf(error));
      }
      theirs.push(await this.#answer<Report>(id, theirs.length + 1));
    }
    return { theirs, ours };
  }
}

type Case = (python: Python, trusting: { caCerts: string[] }) => Promise<void>;
const cases: [name: string, run: Case][] = [];
const test = (name: string, run: Case) => void cases.push([name, run]);
const VERSIONS = [["TLSv1.2", "TLSv1_2"], ["TLSv1.3", "TLSv1_3"]] as const;

/** Picks one thing of each connection. */
function pick<T, K extends keyof T>(of: (T | string)[], key: K): (T[K] | string)[] {
  return of.map((one) => typeof one === "string" ? one : one[key]);
}

test("ciphers chooses, by this side's order on a server", async (python, trusting) => {
  const [first, second] = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"];
  const ciphers = `${first}:${second}`;
  const tls = { ...python.ca.identity("leaf"), ciphers };
  const served = await python.visit(tls, {}, { ciphers: `${second}:${first}` }, { ciphers: second });
  assertEquals(served.theirs.map(({ cipher }) => cipher), [first, first, second]);
  assertEquals(pick(served.ours, "cipher"), [first, first, second]);
  const got = await python.receive({}, { ...trusting, ciphers: second }, { ...trusting, ciphers: first });
  assertEquals(got.theirs.map(({ cipher, version }) => [cipher, version]), [[second, "TLSv1.2"], [first, "TLSv1.2"]]);
  for (const name of ["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]) {
    const { theirs } = await python.visit({ ...tls, ciphers: name }, {});
    const { theirs: others } = await python.receive({}, { ...trusting, ciphers: name });
    assertEquals([...theirs, ...others].map(({ cipher, version }) => [cipher, version]), [
      [name, "TLSv1.3"],
      [name, "TLSv1.3"],
    ]);
  }
  const none = await python.visit({ ...tls, ciphers: first }, { ciphers: second, max: "TLSv1_2" });
  assertEquals([none.theirs[0]!.error, ...none.ours], ["SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_VERSION"]);
});

test("groups chooses the group of the key exchange", async (python, trusting) => {
  const own = python.ca.identity("leaf");
  const { ours } = await python.visit({ ...own, groups: "P-384:P-256" }, {}, { curve: "prime256v1" });
  assertEquals(pick(ours, "group"), ["secp384r1", "prime256v1"]);
  const got = await python.receive({ curve: "prime256v1" }, trusting, { ...trusting, groups: "X25519:P-256" });
  assertEquals(pick(got.ours, "group"), ["prime256v1", "prime256v1"]);
  const none = await python.receive({ curve: "prime256v1" }, { ...trusting, groups: "X25519" });
  assertEquals([none.ours, none.theirs[0]!.error], [["ALERT"], "NO_SUITABLE_KEY_SHARE"]);
});

test("minVersion and maxVersion limit the version", async (python, trusting) => {
  const own = python.ca.identity("leaf");
  for (const [version, name] of VERSIONS) {
    const served = await python.visit({ ...own, maxVersion: version }, {}, { max: name, min: name });
    assertEquals([...served.theirs, ...served.ours].map((one) => (one as Report).version), Array(4).fill(version));
    const got = await python.receive({}, { ...trusting, maxVersion: version });
    assertEquals([...got.theirs, ...got.ours].map((one) => (one as Report).version), [version, version]);
  }
  const served = await python.visit({ ...own, minVersion: "TLSv1.3" }, { max: "TLSv1_2" });
  assertEquals([served.theirs[0]!.error, ...served.ours], ["TLSV1_ALERT_PROTOCOL_VERSION", "NO_SHARED_VERSION"]);
  const got = await python.receive({ max: "TLSv1_2" }, { ...trusting, minVersion: "TLSv1.3" });
  assertEquals([got.theirs[0]!.error, ...got.ours], ["UNSUPPORTED_PROTOCOL", "NO_SHARED_VERSION"]);
});

test("alpnProtocols agree, and a server without a common one refuses", async (python, trusting) => {
  const tls = { ...python.ca.identity("leaf"), alpnProtocols: ["a", "b"] };
  const served = await python.visit(tls, { alpn: ["b", "a"] }, {}, { alpn: ["c"] });
  assertEquals(served.theirs.slice(0, 2).map(({ alpn }) => alpn), ["a", null]);
  assertMatch(served.theirs[2]!.error!, /no.application.protocol/i);
  assertEquals(pick(served.ours, "alpn"), ["a", null, "NO_SHARED_PROTOCOL"]);
  const alpn = (...alpnProtocols: string[]) => ({ ...trusting, alpnProtocols });
  const got = await python.receive({ alpn: ["b", "a"] }, alpn("a", "b"), alpn(), alpn("c"));
  // Python goes on without a protocol.
  assertEquals(got.theirs.map(({ alpn }) => alpn), ["b", null, null]);
  assertEquals(pick(got.ours, "alpn"), ["b", null, null]);
});

test('requestCert: "optional" is CERT_OPTIONAL, and true is CERT_REQUIRED', async (python, trusting) => {
  const own = python.ca.identity("leaf");
  for (const [version, max] of VERSIONS) {
    const clients = [{ max }, { max, ...python.identity("leaf") }];
    const optional = await python.visit({ ...own, ...trusting, requestCert: "optional" }, ...clients);
    assertEquals(pick(optional.ours, "peer"), [null, "leaf"]);
    const required = await python.visit({ ...own, ...trusting, requestCert: true }, ...clients);
    assertEquals(pick(required.ours, "peer"), ["NO_CLIENT_CERTIFICATE", "leaf"]);
    const got = await python.receive({ verify: "CERT_OPTIONAL", max }, trusting, { ...trusting, ...own });
    assertEquals(got.theirs.map(({ peer }) => peer), [null, "leaf"]);
    assertEquals(pick(got.ours, "peer"), ["leaf", "leaf"]);
    const strict = await python.receive({ verify: "CERT_REQUIRED", max }, trusting, { ...trusting, ...own });
    assertEquals(strict.theirs.map(({ error, peer }) => error ?? peer), ["PEER_DID_NOT_RETURN_A_CERTIFICATE", "leaf"]);
    assertEquals(pick(strict.ours, "peer"), [version === "TLSv1.2" ? "ALERT" : "NO_CLIENT_CERTIFICATE", "leaf"]);
  }
});

test("sessions are resumed in both directions", async (python, trusting) => {
  const own = python.ca.identity("leaf");
  for (const [version, max] of VERSIONS) {
    for (const mutual of [false, true]) {
      const theirOwn = mutual ? python.identity("leaf") : {};
      const client = { session: `${version} ${mutual}`, max, ...theirOwn };
      const tls = { ...own, ...mutual && { ...trusting, requestCert: true } };
      const served = await python.visit(tls, client, client, client);
      assertEquals(served.theirs.map(({ reused, peer }) => [reused, peer]), [[false, "leaf"], [true, "leaf"], [
        true,
        "leaf",
      ]]);
      assertEquals(pick(served.ours, "reused"), [false, true, true]);
      assertEquals(pick(served.ours, "peer"), Array(3).fill(mutual ? "leaf" : null));
      // As documented of getVerifiedChain().
      assertEquals(served.theirs.map(({ chain }) => chain), [2, 0, 0]);
      const context = new TlsContext({ ...trusting, ...mutual && own });
      const visit = { context, serverHostname: "localhost" };
      const options = { max, ...mutual && { verify: "CERT_REQUIRED" as const } };
      const got = await python.receive(options, visit, visit, visit);
      assertEquals(got.theirs.map(({ reused }) => reused), [false, true, true]);
      assertEquals(got.theirs.map(({ peer }) => peer), Array(3).fill(mutual ? "leaf" : null));
      assertEquals(pick(got.ours, "reused"), [false, true, true]);
      assertEquals(pick(got.ours, "chain"), [2, 2, 2]);
    }
  }
});

test("keylog has Python's lines, and channel bindings are the same on both sides", async (python, trusting) => {
  const own = python.ca.identity("leaf");
  for (const [version, max] of VERSIONS) {
    for (const side of ["server", "client"] as const) {
      using temp = tempPath("keys.log");
      const keylog = `${temp.directory}/ours.log`;
      const { theirs: [their], ours: [our] } = side === "server"
        ? await python.visit({ ...own, keylog }, { keylog: temp.path, max })
        : await python.receive({ keylog: temp.path, max }, { ...trusting, keylog });
      assert(typeof our === "object");
      assertEquals(our.endPoint, their!.endPoint);
      assertEquals(their!.exporter, version === "TLSv1.3" ? our.exporter : undefined);
      const [lines, expected] = [keylog, temp.path].map((path) => {
        return Deno.readTextFileSync(path).split("\n").filter((line) => /^[A-Z]/.test(line)).toSorted();
      });
      assertEquals(lines, expected);
      assertEquals(lines!.length, version === "TLSv1.3" ? 5 : 1);
    }
  }
});

test("crl and verifyDepth reject as Python does", async (python, trusting) => {
  const { ca } = python;
  const crl = [ca.read("ca.crl")];
  const visited = await python.visit(ca.identity("revoked"), { crl: ca.path("ca.crl") });
  assertEquals([visited.theirs[0]!.error, ...visited.ours], ["certificate revoked", "ALERT"]);
  const got = await python.receive(python.identity("revoked"), { ...trusting, crl });
  assertEquals([got.theirs[0]!.error, ...got.ours], ["SSLV3_ALERT_CERTIFICATE_REVOKED", "BAD_CERTIFICATE"]);
  const mutual = { ...ca.identity("leaf"), ...trusting, requestCert: true, crl };
  const served = await python.visit(mutual, python.identity("leaf"), python.identity("revoked"));
  assertEquals(served.theirs.map(({ error }) => error), [undefined, "SSLV3_ALERT_CERTIFICATE_REVOKED"]);
  assertEquals(pick(served.ours, "peer"), ["leaf", "BAD_CERTIFICATE"]);
  const strict = { crl: ca.path("ca.crl"), verify: "CERT_REQUIRED" as const };
  const asked = await python.receive(strict, { ...trusting, ...ca.identity("leaf") }, {
    ...trusting,
    ...ca.identity("revoked"),
  });
  assertEquals(asked.theirs.map(({ error }) => error), [undefined, "certificate revoked"]);
  assertEquals(pick(asked.ours, "peer"), ["leaf", "ALERT"]);
  const below = { cert: ca.path("below.chain"), key: ca.path("below.key") };
  const depths = [0, 1].map((verifyDepth) => ({ ...trusting, verifyDepth }));
  assertEquals(pick((await python.receive(below, ...depths)).ours, "peer"), ["BAD_CERTIFICATE", "below"]);
});

test("an encrypted key and a pfx serve Python", async (python) => {
  const { ca } = python;
  await ca.run("ec -in leaf.key -out locked.key -aes128 -passout pass:secret");
  await ca.run(
    "pkcs12 -export -in below.pem -inkey below.key -certfile middle.pem -out below.p12 -passout pass:secret",
  );
  const locked = { cert: ca.read("leaf.pem"), key: ca.read("locked.key"), passphrase: "secret" };
  const pfx = { pfx: Deno.readFileSync(ca.path("below.p12")), passphrase: "secret" };
  assertEquals((await python.visit(locked, {})).theirs.map(({ peer, error }) => error ?? peer), ["leaf"]);
  assertEquals((await python.visit(pfx, {})).theirs.map(({ peer, error }) => error ?? peer), ["below"]);
});

const define = hasOpenssl ? foreign : (_: string, name: string) => {
  Deno.test({ name: `${name} (skipped: no OpenSSL 3)`, ignore: true, fn: () => {} });
};

define("python3", "the options of TLS by OpenSSL mean for Python's ssl what they say", async (context) => {
  using ca = await makeCa();
  await sign(ca, "middle", "middle");
  await sign(ca, "below", "leaf", "middle");
  Deno.writeTextFileSync(ca.path("below.chain"), ca.read("below.pem") + ca.read("middle.pem"));
  await using child = new Child("python3", [new URL("openssl_python_peer.py", import.meta.url).pathname]);
  const python = new Python(child, ca);
  for (const [name, run] of cases) {
    // It goes on reading what Python prints, from one step to the next.
    const sanitize = { sanitizeOps: false, sanitizeResources: false };
    await context.step({ name, ...sanitize, fn: () => run(python, { caCerts: [ca.read("ca.pem")] }) });
  }
  assert(cases.length > 0);
});
