/** Sessions that are taken up again: no way past the certificate that a side wants to see. */
import { TlsContext, type TlsContextOptions, type Transport } from "../../mod.ts";
import { assertEquals, assertMatch } from "../std.ts";
import { bytes, captureExceptions, Recorder, tempPath } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { certs, execute, foreign } from "../program.ts";
import { CA, causeOf, HOST, peerName, refusal, serve, SERVER, serverTls, STRANGER } from "./kit.ts";
import { VERSIONS } from "../foreign/kit.ts";

const GREETING = "what only some may read";
/** The files of a client's certificate that a good server takes. */
const OWN = ["-cert", `${certs}client.pem`, "-key", `${certs}client.key`];

/** Says something, so that there is a ticket in front of it, and closes. */
class Greeter extends Recorder {
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes(`${GREETING}\n`));
    transport.close();
  }
}

/** Connects with openssl's client until the server has closed; tells whether it was let in, by a session or without. */
async function connect(port: number, ...args: string[]): Promise<{ reused: boolean; greeted: boolean }> {
  const fixed = ["s_client", "-connect", `${HOST}:${port}`, "-servername", "localhost", "-ign_eof"];
  const { stdout } = await execute("openssl", [...fixed, ...args]);
  assertMatch(stdout, /^(New|Reused), /m);
  return { reused: /^Reused, /m.test(stdout), greeted: stdout.includes(GREETING) };
}

for (const { version } of VERSIONS) {
  const mutual = { ...SERVER, maxVersion: version, requestCert: true, caCerts: [CA] };

  foreign(
    "openssl",
    `requestCert is not walked past by a session of another server of the process, ${version}`,
    async () => {
      using session = tempPath("session");
      using captured = captureExceptions();
      await using anybody = await serve(() => new Greeter(), serverTls({ maxVersion: version }));
      await using some = await serve(() => new Greeter(), mutual);
      await connect(anybody.port, "-sess_out", session.path);
      assertEquals(await connect(anybody.port, "-sess_in", session.path), { reused: true, greeted: true });
      assertEquals((await connect(some.port, "-sess_in", session.path)).greeted, false);
      await captured.log.has("TLS handshake with 127.0.0.1 port ");
      assertEquals(captured.contexts.map(({ error }) => causeOf(error)), ["NO_CLIENT_CERTIFICATE"]);
    },
  );

  foreign("openssl", `requestCert lets a verified client take up its session, ${version}`, async () => {
    using session = tempPath("session");
    using captured = captureExceptions();
    await using served = await serve(() => new Greeter(), mutual);
    await connect(served.port, ...OWN, "-sess_out", session.path);
    // Without its certificate: it is the session that speaks for it.
    assertEquals(await connect(served.port, "-sess_in", session.path), { reused: true, greeted: true });
    assertEquals(served.protocols.map(({ transport }) => peerName(transport)), ["client", "client"]);
    assertEquals(captured.contexts, []);
  });

  foreign(
    "openssl",
    `requestCert takes no session with a certificate that is good for another server alone, ${version}`,
    async () => {
      using session = tempPath("session");
      using captured = captureExceptions();
      await using lenient = await serve(() => new Greeter(), { ...mutual, rejectUnauthorized: false });
      await using strict = await serve(() => new Greeter(), { ...mutual, caCerts: [STRANGER] });
      await connect(lenient.port, ...OWN, "-sess_out", session.path);
      assertEquals((await connect(strict.port, ...OWN, "-sess_in", session.path)).greeted, false);
      await captured.log.has("TLS handshake with 127.0.0.1 port ");
      // With OpenSSL there is a full handshake, in which the client shows its certificate.
      const cause = isOverOpenssl() ? "UNKNOWN_ISSUER" : "BAD_CERTIFICATE";
      assertEquals(captured.contexts.map(({ error }) => causeOf(error)), [cause]);
      assertEquals(strict.protocols, []);
    },
  );

  /** What a context is reloaded with, and whether a client that it has verified before may still resume. */
  const reloads: [what: string, reload: TlsContextOptions, greeted: boolean][] = [
    ["another authority", { caCerts: [STRANGER] }, false],
    ["one authority more", { caCerts: [CA, STRANGER] }, true],
    ["the same authority", { caCerts: [CA] }, true],
  ];
  for (const [what, reload, greeted] of reloads) {
    foreign(
      "openssl",
      `reload() with ${what} ${greeted ? "keeps" : "ends"} the sessions of verified clients, ${version}`,
      async () => {
        using session = tempPath("session");
        using captured = captureExceptions();
        const context = new TlsContext(mutual);
        await using served = await serve(() => new Greeter(), { context });
        await connect(served.port, ...OWN, "-sess_out", session.path);
        await context.reload(reload);
        assertEquals((await connect(served.port, "-sess_in", session.path)).greeted, greeted);
        if (!greeted) await captured.log.has("TLS handshake with 127.0.0.1 port ");
        // With OpenSSL there is a full handshake, in which the client shows no certificate.
        const cause = isOverOpenssl() ? "NO_CLIENT_CERTIFICATE" : "BAD_CERTIFICATE";
        assertEquals(captured.contexts.map(({ error }) => causeOf(error)), greeted ? [] : [cause]);
        assertEquals(served.protocols.length, greeted ? 2 : 1);
      },
    );
  }
}

Deno.test("rejectUnauthorized false leaves nothing behind that a later connection would trust", async () => {
  using captured = captureExceptions();
  await using served = await serve(() => new Greeter(), SERVER);
  // No caCerts: with them Deno would make a verifier of each connection's own.
  const tls = { serverHostname: "localhost" };
  for (let i = 0; i < 2; i++) {
    assertEquals((await refusal(served.port, { ...tls, rejectUnauthorized: false })).rejected, false);
  }
  const { error, rejected } = await refusal(served.port, tls);
  assertEquals([causeOf(error), rejected], ["UNKNOWN_ISSUER", true]);
  await captured.log.has("TLS handshake");
});
