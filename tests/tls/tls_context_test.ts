/** Contexts: chosen by name (`sni`), replaced while a server runs (`reload()`), shared by many. */
import { Protocol, TlsContext, TlsError, type TlsOptions } from "../../mod.ts";
import {
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "../std.ts";
import { bytes, captureExceptions, loop, portOf, Recorder, turn } from "../kit.ts";
import {
  agreed,
  CA,
  causeOf,
  CLIENT,
  clientTls,
  FailingServer,
  hangUp,
  peerName,
  refusal,
  SECOND,
  SERVER,
  STRANGER,
  tlsRecorders,
} from "./kit.ts";

const second = new TlsContext(SECOND);
const chooseSni: [how: string, sni: TlsOptions["sni"], name: string, shown: string, heard: string[]][] = [
  ["by name", (name) => name === "second.test" ? second : null, "second.test", "second.test", ["second.test"]],
  ["null for its own", () => null, "a.example.test", "localhost", ["a.example.test"]],
  ["later", async (name) => (await turn(), name === "second.test" ? second : null), "second.test", "second.test", [
    "second.test",
  ]],
  ["by a name in capitals, with a final dot", () => null, "A.Example.test.", "localhost", ["a.example.test"]],
  ["null later", async () => (await turn(), null), "localhost", "localhost", ["localhost"]],
  ["for a client that names none", () => null, "127.0.0.1", "localhost", [""]],
];
for (const [how, sni, serverHostname, shown, heard] of chooseSni) {
  Deno.test(`sni chooses the certificate ${how}`, async () => {
    const names: string[] = [];
    const serverTls: TlsOptions = { sni: (name) => (names.push(name), sni!(name)) };
    assertEquals((await agreed({ serverTls, clientTls: { serverHostname } }, peerName)).client, shown);
    assertEquals(names, heard);
  });
}

Deno.test("sni alone makes a server, and a context of its choice brings its versions", async () => {
  const old = new TlsContext({ ...SECOND, maxVersion: "TLSv1.2" });
  const tls = { sni: () => old };
  const server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0, tls });
  await using _closing = server;
  const options = { port: portOf(server), tls: clientTls({ serverHostname: "second.test" }) };
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertEquals(peerName(transport), "second.test");
  assertEquals(transport.getExtraInfo("cipher")?.version, "TLSv1.2");
  transport.abort();
  await client.untilLost();
  await turn();
});

for (const late of [false, true]) {
  Deno.test(`sni that chooses versions which a client does not have ${late ? "later " : ""}tells it so`, async () => {
    const old = new TlsContext({ ...SECOND, maxVersion: "TLSv1.2" });
    const sni = async () => (late && await turn(), old);
    await using failing = await FailingServer.start({ ...SERVER, sni });
    const { error } = await refusal(failing.port, clientTls({ minVersion: "TLSv1.3", serverHostname: "second.test" }));
    assertEquals([causeOf(error), causeOf(await failing.reported())], ["NO_SHARED_VERSION", "NO_SHARED_VERSION"]);
    await failing.goesOn({ serverHostname: "second.test" });
  });
}

Deno.test("sni with requestCert verifies a client by the server's caCerts, whatever the chosen context trusts", async () => {
  const server = { ...SERVER, requestCert: true };
  const client = { ...CLIENT, serverHostname: "second.test" };
  const strict = new TlsContext({ ...SECOND, caCerts: [STRANGER] });
  const names = await agreed(
    { serverTls: { ...server, caCerts: [CA], sni: () => strict }, clientTls: client },
    peerName,
  );
  assertEquals(names, { server: "client", client: "second.test" });
  const lenient = new TlsContext({ ...SECOND, caCerts: [CA], requestCert: false, rejectUnauthorized: false });
  await using failing = await FailingServer.start({ ...server, caCerts: [STRANGER], sni: () => lenient });
  for (const [identity, code] of [[CLIENT, "UNKNOWN_ISSUER"], [{}, "NO_CLIENT_CERTIFICATE"]] as const) {
    await refusal(failing.port, clientTls({ ...identity, serverHostname: "second.test" }));
    assertEquals(causeOf(await failing.reported()), code);
  }
});

const badSni: [how: string, sni: () => unknown, ErrorClass: new (...args: never[]) => Error, message: RegExp][] = [
  [
    "throws",
    () => {
      throw new RangeError("no such name");
    },
    RangeError,
    /no such name/,
  ],
  ["rejects", () => Promise.reject(new RangeError("no such name")), RangeError, /no such name/],
  [
    "returns a string",
    () => "second",
    TypeError,
    /sni must return a TlsContext with cert and key, or null, got string "second"/,
  ],
  ["returns nothing", () => {}, TypeError, /sni must return a TlsContext with cert and key, or null, got undefined/],
  ["returns options", () => SECOND, TypeError, /sni must return a TlsContext with cert and key, or null, got Object/],
  ["returns a context without a certificate", () => new TlsContext(), TypeError, /sni/],
  ["returns a context that cannot be read", () => new TlsContext({ cert: "x", key: "y" }), TypeError, /cert/],
];
for (const [how, sni, ErrorClass, message] of badSni) {
  Deno.test(`sni that ${how} fails the handshake, tells the exception handler, and the server goes on`, async () => {
    using captured = captureExceptions();
    let broken = true;
    const tls = { ...SERVER, sni: (() => broken ? sni() : null) as () => null };
    const server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0, tls });
    await using _closing = server;
    const options = { port: portOf(server), tls: clientTls() };
    await assertRejects(() => loop.createConnection(() => new Protocol(), options), Error);
    await captured.log.has("TLS handshake");
    assertEquals(captured.contexts.length, 1);
    const { error } = captured.contexts[0]!;
    assertInstanceOf(error, ErrorClass);
    assertMatch(error.message, message);
    broken = false;
    const [transport, client] = await loop.createConnection(() => new Recorder(), options);
    await hangUp([transport, client]);
  });
}

Deno.test("reload() changes the certificate of new connections and keeps the others", async () => {
  const context = new TlsContext(SERVER);
  await using old = await tlsRecorders({ serverTls: { context } });
  await context.reload(SECOND);
  const tls = clientTls({ serverHostname: "second.test" });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: portOf(old.server!), tls });
  assertEquals([peerName(old.clientSide.transport), peerName(transport)], ["localhost", "second.test"]);
  old.clientSide.transport.write(bytes("still here"));
  await old.serverSide.untilReceived(10);
  await hangUp([transport, client]);
});

Deno.test("reload() that fails leaves the context as it was", async () => {
  const context = new TlsContext(SERVER);
  await using pair = await tlsRecorders({ serverTls: { context } });
  await assertRejects(() => context.reload({ key: SECOND.key }), TypeError, "key must be the private key of cert");
  await assertRejects(() => context.reload({ minVersion: "TLSv1.4" as "TLSv1.3" }), TypeError, "minVersion must be");
  const options = { port: portOf(pair.server!), tls: clientTls() };
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertEquals(peerName(transport), "localhost");
  await hangUp([transport, client]);
});

Deno.test("reload() changes the CAs that a client trusts for new connections", async () => {
  const context = new TlsContext({ caCerts: [STRANGER] });
  await using pair = await tlsRecorders();
  const options = { port: portOf(pair.server!), tls: { context, serverHostname: "localhost" } };
  using captured = captureExceptions();
  await assertRejects(() => loop.createConnection(() => new Recorder(), options), TlsError);
  await captured.log.has("TLS handshake");
  await context.reload({ caCerts: [CA] });
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertStrictEquals(transport.getExtraInfo("sslcontext"), context);
  await hangUp([transport, client]);
});

Deno.test("a TlsContext serves many connections of both sides at once", async () => {
  const context = new TlsContext({ ...SERVER, caCerts: [CA] });
  const options = { serverTls: { context }, clientTls: { context } };
  const names = await Promise.all(Array.from({ length: 10 }, () => agreed(options, peerName)));
  assertEquals(names, Array(10).fill({ server: null, client: "localhost" }));
});

Deno.test("new TlsContext() names an option that it does not have, and the one that was meant", () => {
  for (
    const [options, message] of [
      [{ requestClientCert: true }, "requestClientCert is not an option; did you mean requestCert?"],
      [{ cafile: "ca.pem" }, "cafile is not an option; did you mean caCerts?"],
      [{ serverHostname: "localhost" }, /^serverHostname is not an option; /],
      [[], "options must be a plain object, got Array"],
      [null, "options must be a plain object, got null"],
      [{ requestCert: "yes" }, 'requestCert must be a boolean or "optional", got string "yes"'],
    ] as const
  ) {
    const error = assertThrows(() => new TlsContext(options as object), TypeError);
    const said = error.message.replace("new TlsContext(): ", "");
    assertEquals(error.message.startsWith("new TlsContext(): "), true);
    if (typeof message === "string") assertEquals(said, message);
    else assertMatch(said, message);
  }
});

Deno.test("reload() names an option that it does not have, and leaves the context as it was", async () => {
  const context = new TlsContext(SERVER);
  const options = { ...SECOND, ca: [CA] };
  await assertRejects(() => context.reload(options), TypeError, "reload(): ca is not an option; did you mean caCerts?");
  await assertRejects(() => context.reload(undefined as unknown as object), TypeError, "reload(): options must be");
  assertEquals(await agreed({ serverTls: { context } }, peerName), { server: null, client: "localhost" });
});
