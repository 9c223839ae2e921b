/** What `getExtraInfo("sslObject")` can do over OpenSSL. */
import { createHash, X509Certificate } from "node:crypto";
import { InvalidStateError, TlsContext, type TlsOptions, type Transport } from "../../mod.ts";
import { OpensslObject } from "../../engines/epoll/mod.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../std.ts";
import { portOf } from "../kit.ts";
import { execute } from "../program.ts";
import { CA, CLIENT, HOST, SERVER, TRUSTING } from "./kit.ts";
import { opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

function objectOf(transport: Transport): OpensslObject {
  const object = transport.getExtraInfo("sslObject");
  assert(object instanceof OpensslObject);
  return object;
}

/** Connects, and lets a test ask both sides. Returns the objects, when the connection is closed. */
async function both<T>(
  server: TlsOptions,
  client: TlsOptions,
  ask: (object: OpensslObject) => T,
): Promise<{ answers: [T, T]; objects: [OpensslObject, OpensslObject] }> {
  const loop = opensslLoop();
  const made = Promise.withResolvers<Transport>();
  const lost = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()] as const;
  const factory = () => ({ connectionMade: made.resolve, connectionLost: lost[0].resolve });
  await using served = await loop.createServer(factory, { hostname: HOST, port: 0, tls: { ...SERVER, ...server } });
  const options = { hostname: HOST, port: portOf(served), tls: { ...TRUSTING, ...client } };
  const [transport] = await loop.createConnection(() => ({ connectionLost: lost[1].resolve }), options);
  const objects = [objectOf(await made.promise), objectOf(transport)] as [OpensslObject, OpensslObject];
  const answers = objects.map(ask) as [T, T];
  transport.close();
  await Promise.all(lost.map(({ promise }) => promise));
  return { answers, objects };
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  opensslTest(`exportKeyingMaterial() returns the same key on both sides with ${maxVersion}`, async () => {
    const context = new TextEncoder().encode("context");
    const { answers: [server, client] } = await both({ maxVersion }, {}, (object) => [
      object.exportKeyingMaterial("EXPORTER-a", 32),
      object.exportKeyingMaterial("EXPORTER-a", 32, context),
      object.exportKeyingMaterial("EXPORTER-b", 32),
      object.exportKeyingMaterial("EXPORTER-b", 20),
    ]);
    assertEquals(server, client);
    assertEquals(server.map(({ length }) => length), [32, 32, 32, 20]);
    assertEquals(new Set(server.map((key) => key.toHex())).size, 4);
  });

  opensslTest(`getChannelBinding() is that of RFC 9266 and RFC 5929 with ${maxVersion}`, async () => {
    const { answers: [server, client] } = await both({ maxVersion }, {}, (object) => [
      object.getChannelBinding("tls-exporter"),
      object.exportKeyingMaterial("EXPORTER-Channel-Binding", 32, new Uint8Array(0)),
      object.getChannelBinding("tls-server-end-point"),
    ]);
    assertEquals(server, client);
    assertEquals(server[0], server[1]);
    const { raw } = new X509Certificate(SERVER.cert);
    assertEquals(server[2]!.toHex(), createHash("sha256").update(raw).digest("hex"));
  });

  opensslTest(`exportKeyingMaterial() returns what openssl s_client has with ${maxVersion}`, async () => {
    const loop = opensslLoop();
    const key = Promise.withResolvers<string>();
    const factory = () => ({
      connectionMade(transport: Transport) {
        key.resolve(objectOf(transport).exportKeyingMaterial("EXPORTER-test", 24).toHex().toUpperCase());
      },
    });
    await using server = await loop.createServer(factory, { hostname: HOST, port: 0, tls: { ...SERVER, maxVersion } });
    const { stdout } = await execute("openssl", [
      ...["s_client", "-connect", `${HOST}:${portOf(server)}`],
      ...["-keymatexport", "EXPORTER-test", "-keymatexportlen", "24"],
    ]);
    assertMatch(stdout, new RegExp(`Keying material: ${await key.promise}\n`));
  });
}

opensslTest(
  "exportKeyingMaterial() and getChannelBinding() reject wrong arguments, and a closed connection",
  async () => {
    const { objects } = await both({ maxVersion: "TLSv1.2" }, {}, (object) => {
      assertThrows(() => object.exportKeyingMaterial("", 1), TypeError, "label must be a non-empty string");
      assertThrows(
        () => object.exportKeyingMaterial("a", 0),
        RangeError,
        "length must be a whole number from 1 to 8160",
      );
      assertThrows(() => object.exportKeyingMaterial("a", 1, "b" as never), TypeError, "context must be a Uint8Array");
      assertThrows(
        () => object.exportKeyingMaterial("a", 1, new Uint8Array(65536)),
        RangeError,
        "the length of context",
      );
      assertThrows(() => object.exportKeyingMaterial("client finished", 9), TypeError, "OpenSSL rejects the label: ");
      assertThrows(() => object.getChannelBinding("tls-unique" as never), TypeError, "type must be ");
    });
    for (const object of objects) {
      assertThrows(() => object.exportKeyingMaterial("a", 1), InvalidStateError, "the TLS connection is closed");
      assertThrows(() => object.getChannelBinding("tls-exporter"), InvalidStateError, "the TLS connection is closed");
    }
  },
);

opensslTest(
  "getVerifiedChain() has the peer's certificate and its CA, also when the connection is closed",
  async () => {
    const mutual = { requestCert: true, caCerts: [CA] };
    const { objects, answers } = await both(mutual, CLIENT, (object) => object.getVerifiedChain());
    const names = answers.map((chain) => chain.map(({ subject }) => subject["CN"]));
    assertEquals(names, [["client", "Tandem test authority"], ["localhost", "Tandem test authority"]]);
    assertEquals(objects.map((object) => object.getVerifiedChain()), answers);
  },
);

opensslTest("getVerifiedChain() is empty if nothing was verified", async () => {
  const { answers } = await both({}, { rejectUnauthorized: false, caCerts: [] }, (object) => object.getVerifiedChain());
  assertEquals(answers, [[], []]);
  const context = new TlsContext({ requestCert: true, rejectUnauthorized: false, ...SERVER });
  const { answers: [server] } = await both(
    { context, cert: undefined, key: undefined },
    CLIENT,
    (object) => object.getVerifiedChain(),
  );
  assertEquals(server, []);
});

opensslTest("getChannelBinding() is NotSupported without an extended master secret", async () => {
  const EXTENDED_MASTER_SECRET = 122;
  using _none = replaceSsl("SSL_ctrl", (real, ssl, command, ...rest) => {
    return command === EXTENDED_MASTER_SECRET ? 0 : real(ssl, command, ...rest);
  });
  await both({ maxVersion: "TLSv1.2" }, {}, (object) => {
    const error = assertThrows(() => object.getChannelBinding("tls-exporter"), Deno.errors.NotSupported);
    const why = "it needs TLS 1.3 or an extended master secret";
    assertEquals(error.message, `getChannelBinding(): this connection has no tls-exporter: ${why}`);
  });
  await both({}, {}, (object) => assertEquals(object.getChannelBinding("tls-exporter").length, 32));
});

opensslTest("group has a name for a group that has no number of its own in OpenSSL", async () => {
  const [GET_NEGOTIATED_GROUP, WITHOUT_NID, X25519] = [134, 0x1000000, 0x1d];
  using _group = replaceSsl("SSL_ctrl", (real, ssl, command, ...rest) => {
    return command === GET_NEGOTIATED_GROUP ? WITHOUT_NID | X25519 : real(ssl, command, ...rest);
  });
  const { answers } = await both({}, {}, (object) => object.group);
  assertEquals(answers, ["x25519", "x25519"]);
});
