/** The options that only TLS by OpenSSL has: keys, revocation, depth, groups and signature algorithms. */
import { EventLoop, TlsContext, TlsError, type TlsOptions, type Transport } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "../std.ts";
import { execute, runProgram } from "../program.ts";
import { CA, CLIENT, SERVER } from "./kit.ts";
import { makeCa, sign } from "./openssl_ca.ts";
import { hasOpenssl, negotiate, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

const ca = hasOpenssl ? await makeCa() : null;
if (ca !== null) globalThis.addEventListener("unload", () => ca[Symbol.dispose]());

/** Connects where the server has a certificate of the tests' own CA, and returns the answer of the client's transport. */
async function meet(server: TlsOptions, client: TlsOptions, leaf = "leaf"): Promise<string> {
  const tls = { caCerts: [ca!.read("ca.pem")], ...client };
  const own = server.pfx === undefined ? ca!.identity(leaf) : { cert: undefined, key: undefined };
  return await negotiate({ ...own, ...server }, tls, (transport) => {
    return String(transport.getExtraInfo("peercert")?.subject["CN"]);
  });
}

/** Returns the message of what a server's call rejects with. */
async function refusal(tls: TlsOptions): Promise<string> {
  const error = await assertRejects(() => opensslLoop().createServer(() => ({}), { port: 0, tls }), TypeError);
  return error.message;
}

opensslTest("passphrase decrypts a key of PKCS #8 and of the older form", async () => {
  await ca!.run("pkcs8 -topk8 -in leaf.key -out leaf8.key -v2 aes-256-cbc -passout pass:sésame");
  await ca!.run("ec -in leaf.key -out leafold.key -aes128 -passout pass:sésame");
  for (const name of ["leaf8.key", "leafold.key"]) {
    const tls = { cert: ca!.read("leaf.pem"), key: ca!.read(name) };
    assertEquals(await meet({ ...tls, passphrase: "sésame" }, {}), "leaf");
    assertEquals(await refusal({ ...tls, passphrase: "sesame" }), "passphrase must be that of key");
    assertEquals(await refusal(tls), "key is encrypted and requires passphrase");
  }
});

opensslTest("passphrase of a key that is not encrypted is ignored", async () => {
  assertEquals(await meet({ passphrase: "unused" }, {}), "leaf");
});

opensslTest("pfx has the certificate, the key and the intermediate CAs", async () => {
  await sign(ca!, "middle", "middle");
  await sign(ca!, "below", "leaf", "middle");
  await ca!.run(
    "pkcs12 -export -in below.pem -inkey below.key -certfile middle.pem -out below.p12 -passout pass:secret",
  );
  const pfx = await Deno.readFile(ca!.path("below.p12"));
  assertEquals(await meet({ pfx, passphrase: "secret" }, {}), "below");
  assertEquals(await refusal({ pfx, passphrase: "other" }), "passphrase must be that of pfx");
  assertEquals(await refusal({ pfx }), "pfx is encrypted and requires passphrase");
  for (const bytes of [[48, 3, 2, 1, 1], []]) {
    assertEquals(
      await refusal({ pfx: new Uint8Array(bytes) }),
      "pfx must be a PKCS #12 (DER), got bytes that cannot be parsed",
    );
  }
  await ca!.run("pkcs12 -export -nokeys -in below.pem -out certs.p12 -passout pass:secret");
  assertEquals(
    await refusal({ pfx: await Deno.readFile(ca!.path("certs.p12")), passphrase: "secret" }),
    "pfx must have a certificate and its private key, got a PKCS #12 without a private key",
  );
  // The contents are a part of what contexts are shared by.
  await ca!.run("pkcs12 -export -in leaf.pem -inkey leaf.key -out leaf.p12 -passout pass:secret");
  assertEquals(await meet({ pfx: await Deno.readFile(ca!.path("leaf.p12")), passphrase: "secret" }, {}), "leaf");
});

opensslTest("a pfx whose encryption this OpenSSL does not have is a TypeError with its reason", async () => {
  const made = await ca!.run("pkcs12 -export -legacy -in leaf.pem -inkey leaf.key -out legacy.p12 -passout pass:secret")
    .then(() => true, () => false);
  if (!made) return; // This OpenSSL cannot make one.
  const pfx = await Deno.readFile(ca!.path("legacy.p12"));
  assertMatch(
    await refusal({ pfx, passphrase: "secret" }),
    /^pfx must be a PKCS #12 that OpenSSL can decrypt: (unsupported|.*inner_evp_generic_fetch.*)/,
  );
});

opensslTest("reload() replaces a certificate by a pfx, and the reverse", async () => {
  await ca!.run("pkcs12 -export -in revoked.pem -inkey revoked.key -out r.p12 -passout pass:secret");
  const loop = opensslLoop();
  const context = new TlsContext(ca!.identity("leaf"));
  await using server = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls: { context } });
  const ask = async () => {
    const lost = Promise.withResolvers<unknown>();
    const tls = { caCerts: [ca!.read("ca.pem")] };
    const options = { hostname: "127.0.0.1", port: server.port!, tls };
    const [transport] = await loop.createConnection(() => ({ connectionLost: lost.resolve }), options);
    transport.close();
    await lost.promise;
    return transport.getExtraInfo("peercert")?.subject["CN"];
  };
  assertEquals(await ask(), "leaf");
  await context.reload({ pfx: await Deno.readFile(ca!.path("r.p12")), passphrase: "secret" });
  assertEquals(await ask(), "revoked");
  await context.reload(ca!.identity("leaf"));
  assertEquals(await ask(), "leaf");
});

opensslTest("the bytes of a passphrase are wiped", async () => {
  const seen: Uint8Array[] = [];
  using _key = replaceSsl("PEM_read_bio_PrivateKey", (real, bio, key, callback, secret) => {
    seen.push(secret as Uint8Array);
    return real(bio, key, callback, secret);
  });
  using _pfx = replaceSsl("PKCS12_parse", (real, p12, secret, ...rest) => {
    seen.push(secret as Uint8Array);
    return real(p12, secret, ...rest);
  });
  await ca!.run("ec -in leaf.key -out wiped.key -aes128 -passout pass:secret");
  await ca!.run("pkcs12 -export -in leaf.pem -inkey leaf.key -out wiped.p12 -passout pass:secret");
  const pfx = await Deno.readFile(ca!.path("wiped.p12"));
  for (const passphrase of ["secret", "wrong"]) {
    for (const tls of [{ pfx }, { cert: ca!.read("leaf.pem"), key: ca!.read("wiped.key") }]) {
      await new TlsContext({ ...tls, passphrase, alpnProtocols: ["wiped"] }).load().catch(() => {});
      await opensslLoop().createServer(() => ({}), { port: 0, tls: { ...tls, passphrase }, startServing: false })
        .then((server) => server.close(), () => {});
    }
  }
  assertEquals([seen.length, seen.flatMap((secret) => [...secret]).some((byte) => byte !== 0)], [4, false]);
});

opensslTest("crl rejects a certificate that was revoked, on both sides", async () => {
  const crl = [ca!.read("ca.crl")];
  assertEquals(await meet({}, { crl }), "leaf");
  assertEquals(await meet({}, {}, "revoked"), "revoked");
  const error = await assertRejects(() => meet({}, { crl }, "revoked"), TlsError);
  assertEquals([error.code, error.message], [
    "BAD_CERTIFICATE",
    "TLS: the certificate is invalid (certificate revoked)",
  ]);
  const server = { crl, requestCert: true, caCerts: [ca!.read("ca.pem")], maxVersion: "TLSv1.2" as const };
  assertEquals(await meet(server, ca!.identity("leaf")), "leaf");
  const refused = await assertRejects(() => meet(server, ca!.identity("revoked")), TlsError);
  assertMatch(refused.message, /alert 44/);
});

for (const version of ["-tls1_2", "-tls1_3"]) {
  opensslTest(`a client that crl has revoked since cannot resume its session (${version})`, async () => {
    const context = new TlsContext({
      ...ca!.identity("leaf"),
      ...{ requestCert: true, caCerts: [ca!.read("ca.pem")] },
    });
    const loop = opensslLoop();
    const made: unknown[] = [];
    let failed = Promise.withResolvers<string>();
    loop.setExceptionHandler(({ error }) => failed.resolve(String(error)));
    const factory = () => ({
      connectionMade(transport: Transport) {
        made.push((transport.getExtraInfo("sslObject") as { sessionReused: boolean }).sessionReused);
        transport.write(new Uint8Array([10])); // With it, a client of TLS 1.3 reads its tickets.
        transport.close();
      },
    });
    await using server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, tls: { context } });
    const session = ca!.path("session.pem");
    const own = ["-cert", ca!.path("revoked.pem"), "-key", ca!.path("revoked.key")];
    const connect = (...more: string[]) =>
      execute("openssl", ["s_client", version, "-connect", `127.0.0.1:${server.port}`, "-ign_eof", ...own, ...more]);
    await connect("-sess_out", session);
    await connect("-sess_in", session);
    assertEquals(made, [false, true]);
    await context.reload({ crl: [ca!.read("ca.crl")] });
    failed = Promise.withResolvers();
    await connect("-sess_in", session);
    assertMatch(await failed.promise, /certificate revoked/);
    assertEquals(made.length, 2);
  });
}

opensslTest("crl must have a list of every CA in the chain", async () => {
  await sign(ca!, "middle2", "middle");
  await sign(ca!, "below2", "leaf", "middle2");
  const cert = ca!.read("below2.pem") + ca!.read("middle2.pem");
  const tls = { cert, key: ca!.read("below2.key") };
  const error = await assertRejects(() => meet(tls, { crl: [ca!.read("ca.crl")] }), TlsError);
  assertMatch(error.message, /unable to get certificate CRL/);
  await ca!.run("ca -config ca.cnf -cert middle2.pem -keyfile middle2.key -gencrl -out middle2.crl");
  assertEquals(await meet(tls, { crl: [ca!.read("ca.crl") + ca!.read("middle2.crl")] }), "below2");
  assertEquals(await meet(tls, { crl: [ca!.read("ca.crl"), ca!.read("middle2.crl")] }), "below2");
});

opensslTest("crl rejects a chain with a CA that was revoked", async () => {
  await sign(ca!, "lost", "middle");
  await sign(ca!, "under", "leaf", "lost");
  await ca!.run("ca -config ca.cnf -cert lost.pem -keyfile lost.key -gencrl -out lost.crl");
  await ca!.run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke lost.pem");
  await ca!.run("ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl -out newer.crl");
  const tls = { cert: ca!.read("under.pem") + ca!.read("lost.pem"), key: ca!.read("under.key") };
  const lists = (own: string) => ({ crl: [ca!.read(own), ca!.read("lost.crl")] });
  assertEquals(await meet(tls, lists("ca.crl")), "under");
  const error = await assertRejects(() => meet(tls, lists("newer.crl")), TlsError);
  assertMatch(error.message, /certificate revoked/);
});

opensslTest("with crl, a CA that only Deno knows is not trusted", async () => {
  const source = `
    import { EventLoop } from "@tandem/io";
    import { EpollEngine } from "${new URL("../../engines/epoll/mod.ts", import.meta.url)}";
    const loop = new EventLoop({ engine: new EpollEngine({ tls: "openssl" }) });
    loop.setExceptionHandler(() => {});
    const { cert, key } = ${JSON.stringify(ca!.identity("leaf"))};
    const tls = { cert: cert + ${JSON.stringify(ca!.read("ca.pem"))}, key };
    const server = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls });
    for (const more of [{}, { verifyDepth: 1 }, { verifyDepth: 0 }, { crl: [${JSON.stringify(ca!.read("ca.crl"))}] }]) {
      const options = { hostname: "127.0.0.1", port: server.port, tls: { ...more, serverHostname: "localhost" } };
      try {
        const [transport] = await loop.createConnection(() => ({}), options);
        console.log("accepted");
        transport.abort();
      } catch (error) {
        console.log(error.code ?? error);
      }
    }
    Deno.exit();`;
  const flags = ["--allow-ffi", "--allow-net"];
  const { stdout } = await runProgram(source, { flags, env: { DENO_CERT: ca!.path("ca.pem") } });
  // The root that the server sends counts for verifyDepth, too.
  assertEquals(stdout.split("\n"), ["accepted", "accepted", "BAD_CERTIFICATE", "UNKNOWN_ISSUER", ""]);
});

opensslTest("crl that has expired, is not valid yet or is no list is a TypeError", async () => {
  const gencrl = "ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl";
  await ca!.run(`${gencrl} -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z -out old.crl`);
  await ca!.run(`${gencrl} -crl_lastupdate 20400101000000Z -crl_nextupdate 20400201000000Z -out new.crl`);
  const own = ca!.identity("leaf");
  assertEquals(
    await refusal({ ...own, crl: [ca!.read("ca.crl"), ca!.read("old.crl")] }),
    "crl[1] must be a list that is valid now, got one that expired on Feb  1 00:00:00 2020 GMT",
  );
  assertEquals(
    await refusal({ ...own, crl: [ca!.read("new.crl")] }),
    "crl[0] must be a list that is valid now, got one of Jan  1 00:00:00 2040 GMT",
  );
  assertEquals(await refusal({ ...own, crl: [own.cert] }), "crl[0] must be a PEM X509 CRL, got text that has none");
  const broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----";
  assertEquals(
    await refusal({ ...own, crl: [broken] }),
    "crl[0] must be a PEM X509 CRL, got one that cannot be parsed",
  );
});

opensslTest("verifyDepth limits how many intermediate CAs a chain may have", async () => {
  await sign(ca!, "middle3", "middle");
  await sign(ca!, "below3", "leaf", "middle3");
  const tls = { cert: ca!.read("below3.pem") + ca!.read("middle3.pem"), key: ca!.read("below3.key") };
  assertEquals(await meet(tls, { verifyDepth: 1 }), "below3");
  assertEquals(await meet({}, { verifyDepth: 0 }), "leaf");
  const error = await assertRejects(() => meet(tls, { verifyDepth: 0 }), TlsError);
  assertEquals(error.message, "TLS: the certificate is invalid (certificate chain too long)");
});

opensslTest(
  'requestCert: "optional" accepts a client without a certificate, and verifies one that it has',
  async () => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const seen: unknown[] = [];
      const loop = opensslLoop();
      const failed = Promise.withResolvers<unknown>();
      loop.setExceptionHandler(({ error }) => failed.resolve(error));
      const accepted = Promise.withResolvers<void>();
      let count = 0;
      const factory = () => ({
        connectionMade: (transport: { getExtraInfo(name: "peercert"): { subject: unknown } | null }) => {
          seen.push(transport.getExtraInfo("peercert")?.subject);
          if (++count === 2) accepted.resolve();
        },
      });
      const tls = { ...SERVER, requestCert: "optional" as const, caCerts: [CA], maxVersion };
      await using server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, tls });
      const connect = async (own: TlsOptions) => {
        const lost = Promise.withResolvers<unknown>();
        const options = { hostname: "127.0.0.1", port: server.port!, tls: { caCerts: [CA], ...own } };
        const [transport] = await loop.createConnection(() => ({ connectionLost: lost.resolve }), options);
        return { transport, lost: lost.promise };
      };
      const ends = [await connect({}), await connect(CLIENT)];
      await accepted.promise;
      for (const { transport, lost } of ends) {
        transport.close();
        await lost;
      }
      assertEquals(seen, [undefined, { CN: "client" }]);
      const lost = await connect(ca!.identity("leaf")).then(({ lost }) => lost, (error) => error);
      assertMatch(String(lost), /alert 48/);
      assertEquals((await failed.promise as TlsError).code, "UNKNOWN_ISSUER");
    }
  },
);

opensslTest("groups chooses the group of the key exchange", async () => {
  const ask = (server: TlsOptions, client: TlsOptions) =>
    negotiate(server, client, (transport) => (transport.getExtraInfo("sslObject") as { group: string }).group);
  assertEquals(await ask({ groups: "P-384" }, {}), "secp384r1");
  assertEquals(await ask({}, { groups: "P-521:P-256" }), "secp521r1");
  const error = await assertRejects(() => ask({ groups: "P-384" }, { groups: "P-256" }), TlsError);
  assertEquals(error.code, "ALERT");
  assertEquals(
    await refusal({ ...SERVER, groups: "P-256:P-257" }),
    'groups must be names of groups, and this OpenSSL has none that is string "P-257"',
  );
});

opensslTest("signatureAlgorithms chooses what both sides sign and accept", async () => {
  const only = "ecdsa_secp256r1_sha256";
  assertEquals(await negotiate({ signatureAlgorithms: only }, { signatureAlgorithms: only }, () => "yes"), "yes");
  const error = await assertRejects(() => negotiate({}, { signatureAlgorithms: "RSA-PSS+SHA256" }, () => {}), TlsError);
  assertEquals(error.code, "ALERT");
  assertEquals(
    await refusal({ ...SERVER, signatureAlgorithms: `${only}:ECDSA+SHA257` }),
    'signatureAlgorithms must be names of signature algorithms, and this OpenSSL has none that is string "ECDSA+SHA257"',
  );
});

Deno.test("new TlsContext() rejects a value of the wrong kind of each option of OpenSSL", () => {
  const wrong: [options: object, message: RegExp][] = [
    [{ password: "a" }, /password is not an option; did you mean passphrase\?$/],
    [{ ecdhCurve: "a" }, /ecdhCurve is not an option; did you mean groups\?$/],
    [{ sigalgs: "a" }, /sigalgs is not an option; did you mean signatureAlgorithms\?$/],
    [{ keylogFilename: "a" }, /keylogFilename is not an option; did you mean keylog\?$/],
    [{ passphrase: "a" }, /passphrase requires key or pfx$/],
    [{ ...SERVER, passphrase: "" }, /passphrase must be a non-empty string without U\+0000$/],
    [{ ...SERVER, passphrase: "a\0b" }, /passphrase must be a non-empty string without U\+0000$/],
    [{ ...SERVER, pfx: new Uint8Array(1) }, /pfx and cert cannot both be given$/],
    [{ pfx: "text" }, /pfx must be a Uint8Array, got string "text"$/],
    [{ crl: "text" }, /crl must be an array of strings, got string "text"$/],
    [{ groups: "a b" }, /groups must be names separated by colons, got string "a b"$/],
    [{ groups: 1 }, /groups must be a non-empty string, got number 1$/],
    [{ signatureAlgorithms: ":" }, /signatureAlgorithms must be names separated by colons, got string ":"$/],
    [{ ocspResponse: new Uint8Array(1) }, /ocspResponse requires cert or pfx$/],
    [{ ...SERVER, ocspResponse: "text" }, /ocspResponse must be a Uint8Array, got string "text"$/],
    [{ requestOcsp: "optional" }, /requestOcsp must be a boolean or "required", got string "optional"$/],
    [{ keylog: "" }, /keylog must be a function that takes a line, or the path or file: URL of a file, got string ""$/],
    [
      { keylog: "a\0b" },
      /keylog must be a function that takes a line, or the path or file: URL of a file, got string /,
    ],
    [{ keylog: new URL("https://a.test/") }, /keylog must be .* file: URL of a file, got URL$/],
    [{ keylog: new URL("file://a.test/keys.log") }, /keylog must be .* file: URL of a file, got URL$/],
    [{ keylog: new URL("file:///keys%00.log") }, /keylog must be .* file: URL of a file, got URL$/],
    [{ requestCert: "always" }, /requestCert must be a boolean or "optional", got string "always"$/],
    [{ verifyDepth: "1" }, /verifyDepth must be a whole number from 0 to 2147483646, got string "1"$/],
  ];
  for (const [options, message] of wrong) {
    assertMatch(assertThrows(() => new TlsContext(options as TlsOptions), TypeError).message, message);
  }
  assertThrows(() => new TlsContext({ verifyDepth: -1 }), RangeError, "verifyDepth must be a whole number from 0");
});

Deno.test("an option that only OpenSSL has is NotSupported at the call where TLS is Deno's", async () => {
  const loop = new EventLoop({ engine: new DenoEngine() });
  const given: [option: string, tls: TlsOptions][] = [
    ["passphrase", { passphrase: "secret" }],
    ["pfx", { cert: undefined, key: undefined, pfx: new Uint8Array(1) }],
    ["crl", { crl: ["x"] }],
    ["verifyDepth", { verifyDepth: 1 }],
    ["groups", { groups: "X25519" }],
    ["signatureAlgorithms", { signatureAlgorithms: "ed25519" }],
    ["ocspResponse", { ocspResponse: new Uint8Array(1) }],
    ["requestOcsp", { requestOcsp: true }],
    ["keylog", { keylog: () => {} }],
    ["keylog", { keylog: "keys.log" }],
    ['requestCert: "optional"', { requestCert: "optional", caCerts: [CA] }],
  ];
  for (const [option, tls] of given) {
    const error = await assertRejects(
      () => loop.createServer(() => ({}), { port: 0, tls: { ...SERVER, ...tls } }),
      Deno.errors.NotSupported,
    );
    const where = 'use TLS by OpenSSL: install({ tls: "openssl" }) of @tandem/io/epoll';
    assertEquals(error.message, `${option} is not supported by node:tls; ${where}`);
  }
  assert(given.length > 0);
});
