/** OCSP stapling, which OpenSSL alone has. */
import { TlsContext, TlsError, type TlsOptions, type Transport } from "../../mod.ts";
import { OpensslObject } from "../../engines/epoll/mod.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../std.ts";
import { freePort, portOf } from "../kit.ts";
import { execute } from "../program.ts";
import { HOST } from "./kit.ts";
import { makeCa, sign } from "./openssl_ca.ts";
import { hasOpenssl, negotiate, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

const ca = hasOpenssl ? await makeCa() : null;
if (ca !== null) globalThis.addEventListener("unload", () => ca[Symbol.dispose]());

/** Makes an OCSP response for a certificate. `signer`: who signs it. `more`: arguments of `openssl ocsp`. */
async function respond(name: string, signer = "ca", more = "-ndays 7"): Promise<Uint8Array> {
  const by = `-CA ca.pem -rsigner ${signer}.pem -rkey ${signer}.key -issuer ca.pem`;
  await ca!.run(`ocsp -index index ${by} -cert ${name}.pem -respout ${name}.ocsp -noverify ${more}`);
  return await Deno.readFile(ca!.path(`${name}.ocsp`));
}

function responseOf(transport: Transport): Uint8Array | null {
  const object = transport.getExtraInfo("sslObject");
  assert(object instanceof OpensslObject);
  return object.getOcspResponse();
}

const meet = (server: TlsOptions, client: TlsOptions, name = "leaf") =>
  negotiate(
    { ...ca!.identity(name), ...server },
    { caCerts: [ca!.read("ca.pem")], ...client },
    responseOf,
  );

/** Returns the message of what a client rejects the server with. */
async function rejection(server: TlsOptions, client: TlsOptions, name = "leaf"): Promise<string> {
  const error = await assertRejects(
    () =>
      negotiate(
        { ...ca!.identity(name), ...server },
        { caCerts: [ca!.read("ca.pem")], ...client },
        () => {},
      ),
    TlsError,
  );
  assertEquals(error.code, "BAD_CERTIFICATE");
  return error.message.replace("TLS: the certificate is rejected: ", "");
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  opensslTest(`ocspResponse is sent to a client that requests it, and verified, with ${maxVersion}`, async () => {
    const ocspResponse = await respond("leaf");
    assertEquals(await meet({ ocspResponse, maxVersion }, { requestOcsp: true }), ocspResponse);
    assertEquals(await meet({ ocspResponse, maxVersion }, { requestOcsp: "required" }), ocspResponse);
    assertEquals(await meet({ ocspResponse, maxVersion }, {}), null);
    assertEquals(await meet({ maxVersion }, { requestOcsp: true }), null);
    const why = "the server has sent no OCSP response, and requestOcsp requires one";
    assertEquals(await rejection({ maxVersion }, { requestOcsp: "required" }), why);
  });

  opensslTest(`requestOcsp rejects a certificate that was revoked with ${maxVersion}`, async () => {
    const ocspResponse = await respond("revoked");
    const why = "it was revoked, by its OCSP response";
    assertEquals(await rejection({ ocspResponse, maxVersion }, { requestOcsp: true }, "revoked"), why);
  });
}

opensslTest("requestOcsp accepts a response of a responder that the CA has authorized, and of no other", async () => {
  await sign(ca!, "responder", "ocsp");
  await sign(ca!, "impostor", "leaf");
  const good = await respond("leaf", "responder");
  assertEquals(await meet({ ocspResponse: good }, { requestOcsp: "required" }), good);
  for (const [signer, why] of [["impostor", /missing ocspsigning usage/], ["stranger", /certificate verify error/]]) {
    if (signer === "stranger") {
      const ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ca.cnf";
      await ca!.run(`req -x509 ${ec} -keyout stranger.key -out stranger.pem -subj /CN=stranger -extensions middle`);
    }
    const bad = await respond("leaf", signer as string);
    assertMatch(await rejection({ ocspResponse: bad }, { requestOcsp: true }), /^the OCSP response is not signed for/);
    assertMatch(await rejection({ ocspResponse: bad }, { requestOcsp: true }), why as RegExp);
  }
});

opensslTest("requestOcsp accepts a responder that an intermediate CA has authorized", async () => {
  await sign(ca!, "middle", "middle");
  await sign(ca!, "below", "leaf", "middle");
  await sign(ca!, "helper", "ocsp", "middle");
  const by = "-CA middle.pem -rsigner helper.pem -rkey helper.key -issuer middle.pem";
  await ca!.run(`ocsp -index index ${by} -cert below.pem -respout below.ocsp -noverify -ndays 7`);
  const ocspResponse = await Deno.readFile(ca!.path("below.ocsp"));
  const cert = ca!.read("below.pem") + ca!.read("middle.pem");
  assertEquals(await meet({ cert, ocspResponse }, { requestOcsp: "required" }, "below"), ocspResponse);
});

opensslTest("a response that expires while the server runs is no longer sent", async () => {
  const ocspResponse = await respond("leaf");
  assert(await meet({ ocspResponse }, { requestOcsp: true }) !== null);
  const { now } = Date;
  Date.now = () => now() + 8 * 24 * 3600 * 1000;
  try {
    assertEquals(await meet({ ocspResponse }, { requestOcsp: true }), null);
  } finally {
    Date.now = now;
  }
});

opensslTest("a response that does not say when it expires is good for a day", async () => {
  const ocspResponse = await respond("leaf", "ca", "-resp_key_id");
  const ages: (number | bigint)[] = [];
  {
    using _check = replaceSsl("OCSP_check_validity", (real, from, until, leeway, age) => {
      ages.push(age);
      return real(from, until, leeway, age);
    });
    assertEquals(await meet({ ocspResponse }, { requestOcsp: "required" }), ocspResponse);
  }
  assertEquals(ages, [86_400n, 86_400n]);
  const { now } = Date;
  const meetLater = async (hours: number) => {
    Date.now = () => now() + hours * 3_600_000;
    return await meet({ ocspResponse }, { requestOcsp: true });
  };
  try {
    assertEquals(await meetLater(23), ocspResponse);
    assertEquals(await meetLater(25), null);
  } finally {
    Date.now = now;
  }
});

opensslTest("with rejectUnauthorized: false, a client gets the response, and nothing is verified", async () => {
  const ocspResponse = await respond("revoked");
  const client = { requestOcsp: "required" as const, rejectUnauthorized: false };
  assertEquals(await meet({ ocspResponse }, client, "revoked"), ocspResponse);
  assertEquals(await meet({}, client), null);
});

opensslTest("ocspResponse that is no response, is for another certificate or has expired is a TypeError", async () => {
  const refusal = async (ocspResponse: Uint8Array) => {
    const tls = { ...ca!.identity("leaf"), ocspResponse };
    const error = await assertRejects(() => opensslLoop().createServer(() => ({}), { port: 0, tls }), TypeError);
    return error.message;
  };
  const unparsable = "ocspResponse must be an OCSP response (DER), got bytes that cannot be parsed";
  assertEquals(await refusal(new Uint8Array([1, 2, 3])), unparsable);
  // tryLater: RFC 6960, 4.2.1.
  const later = new Uint8Array([0x30, 3, 10, 1, 3]);
  assertEquals(await refusal(later), "ocspResponse must be a successful OCSP response (DER), got other bytes");
  const other = "ocspResponse must be about cert, got one about another certificate";
  assertEquals(await refusal(await respond("revoked")), other);
});

opensslTest("a server whose response is rejected gets the alert that says so", async () => {
  const loop = opensslLoop();
  const alert = Promise.withResolvers<unknown>();
  loop.setExceptionHandler(({ error }) => alert.resolve(error));
  const tls = ca!.identity("leaf");
  await using server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls });
  const client = { caCerts: [ca!.read("ca.pem")], requestOcsp: "required" as const };
  const options = { hostname: HOST, port: portOf(server), tls: client };
  await assertRejects(() => loop.createConnection(() => ({}), options), TlsError);
  // bad_certificate_status_response: RFC 6066, 9.
  assertMatch(String(await alert.promise), /alert 113/);
});

opensslTest("a response that has expired is a TypeError at the call, and rejected by a client", async () => {
  const ocspResponse = await respond("leaf");
  let valid = 1;
  // A client of another server checks the same bytes later.
  using _clock = replaceSsl("OCSP_check_validity", () => valid--);
  const why = "the OCSP response has expired or is not valid yet";
  assertEquals(await rejection({ ocspResponse }, { requestOcsp: true }), why);
  valid = 0;
  const tls = { ...ca!.identity("leaf"), ocspResponse, alpnProtocols: ["new"] };
  const error = await assertRejects(() => opensslLoop().createServer(() => ({}), { port: 0, tls }), TypeError);
  assertMatch(error.message, /^ocspResponse must be valid now, got one that is valid from .* GMT until .* GMT$/);
});

opensslTest("reload() with another certificate drops the response of the old one", async () => {
  const context = new TlsContext({ ...ca!.identity("leaf"), ocspResponse: await respond("leaf") });
  const loop = opensslLoop();
  await using server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: { context } });
  const ask = async () => {
    const lost = Promise.withResolvers<unknown>();
    const tls = { caCerts: [ca!.read("ca.pem")], requestOcsp: true };
    const options = { hostname: HOST, port: portOf(server), tls };
    const [transport] = await loop.createConnection(() => ({ connectionLost: lost.resolve }), options);
    transport.close();
    await lost.promise;
    return responseOf(transport)?.length;
  };
  assert(await ask() !== undefined);
  await context.reload(ca!.identity("revoked"));
  assertEquals(await ask(), undefined);
  await context.reload({ ...ca!.identity("leaf"), ocspResponse: await respond("leaf") });
  assert(await ask() !== undefined);
  await ca!.run("pkcs12 -export -in revoked.pem -inkey revoked.key -out r.p12 -passout pass:secret");
  await context.reload({ pfx: await Deno.readFile(ca!.path("r.p12")), passphrase: "secret" });
  assertEquals(await ask(), undefined);
});

opensslTest("sni staples what belongs to the certificate that it selects", async () => {
  await sign(ca!, "chosen", "leaf");
  const ocspResponse = await respond("chosen");
  const chosen = new TlsContext({ ...ca!.identity("chosen"), ocspResponse });
  const plain = new TlsContext(ca!.identity("chosen"));
  const own = await respond("leaf");
  assertEquals(await meet({ sni: () => chosen }, { requestOcsp: "required" }), ocspResponse);
  assertEquals(await meet({ sni: () => chosen, ocspResponse: own }, { requestOcsp: "required" }), ocspResponse);
  assertEquals(await meet({ sni: () => plain, ocspResponse: own }, { requestOcsp: true }), null);
  assertEquals(await meet({ sni: () => null, ocspResponse: own }, { requestOcsp: "required" }), own);
});

opensslTest("openssl s_client gets the response, and a client gets that of openssl s_server", async () => {
  const ocspResponse = await respond("leaf");
  const tls = { ...ca!.identity("leaf"), ocspResponse };
  await using server = await opensslLoop().createServer(() => ({}), { hostname: HOST, port: 0, tls });
  const { stdout } = await execute("openssl", ["s_client", "-status", "-connect", `${HOST}:${portOf(server)}`]);
  assertMatch(stdout, /OCSP Response Status: successful \(0x0\)[^]*Cert Status: good/);

  const port = freePort();
  const flags = ["-accept", `${HOST}:${port}`, "-cert", "leaf.pem", "-key", "leaf.key", "-status_file", "leaf.ocsp"];
  const child = new Deno.Command("openssl", {
    args: ["s_server", ...flags, "-naccept", "1"],
    cwd: ca!.path("."),
    ...{ stdin: "piped", stdout: "piped", stderr: "null" },
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let seen = ""; !seen.includes("ACCEPT");) seen += (await lines.read()).value ?? "ACCEPT";
  const lost = Promise.withResolvers<unknown>();
  const client = { caCerts: [ca!.read("ca.pem")], requestOcsp: "required" as const };
  const [transport] = await opensslLoop().createConnection(
    () => ({ connectionLost: lost.resolve }),
    { hostname: HOST, port, tls: client },
  );
  transport.close();
  await lost.promise;
  assertEquals(responseOf(transport), ocspResponse);
  await lines.cancel();
  await child.stdin.close();
  await child.status;
});
