/** TLS with `openssl s_client` and `openssl s_server`: versions, names and certificates, both ways. */
import { type TlsCipher, TlsContext, TlsError } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "../std.ts";
import { bytes, captureExceptions, concat, turn } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { certs, foreign } from "../program.ts";
import { assertClean, CA, CLIENT, dial, Echo, hangUp, peerName, SECOND, serve, SERVER, TRUSTING } from "../tls/kit.ts";
import { BIG, opensslClient, opensslServer, Smtp, VERSIONS } from "./kit.ts";

/** Makes `s_server` insist on a certificate of ours. */
const MUTUAL = ["-Verify", "1", "-verify_return_error", "-CAfile", `${certs}ca.pem`];

for (const { version, flag } of VERSIONS) {
  foreign("openssl", `createServer() talks ${version} with openssl s_client, and reads its close_notify`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, alpnProtocols: ["h2", "http/1.1"] });
    const verify = ["-verify_return_error", "-verify_hostname", "localhost"];
    await using child = opensslClient(served.port, "-brief", flag, "-alpn", "http/1.1", ...verify);
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

  foreign("openssl", `createConnection() talks ${version} with openssl s_server`, async () => {
    await using child = await opensslServer([flag, "-rev", "-alpn", "echo"]);
    const [transport, protocol] = await dial(child.port, { ...TRUSTING, alpnProtocols: ["other", "echo"] });
    transport.write(bytes("hello\n"));
    await protocol.untilReceived(6);
    assertEquals(protocol.text, "olleh\n");
    const cipher = transport.getExtraInfo("cipher") as TlsCipher;
    assertEquals([cipher.version, transport.getExtraInfo("alpnProtocol")], [version, "echo"]);
    assertEquals(peerName(transport), "localhost");
    await hangUp([transport, protocol]);
  });
}

foreign("openssl", "createServer() and openssl s_client exchange megabytes both ways at once", async () => {
  await using served = await serve(() => new Echo(), SERVER);
  await using child = opensslClient(served.port, "-quiet", "-nocommands");
  const size = () => child.stdout.reduce((sum, piece) => sum + piece.length, 0);
  await child.write(BIG);
  await child.log.until(() => size() >= BIG.length);
  assertEquals(concat(child.stdout), BIG);
  assertEquals((await served.first()).data, BIG);
});

foreign("openssl", "createConnection() takes megabytes from openssl s_server", async () => {
  const directory = await Deno.makeTempDir({ prefix: "tandem-test-" });
  try {
    await Deno.writeFile(`${directory}/big`, BIG);
    await using child = await opensslServer(["-WWW"], { cwd: directory });
    const [transport, protocol] = await dial(child.port);
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

foreign("openssl", "sni() gives openssl s_client -servername the certificate of that name", async () => {
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
    await using child = opensslClient(served.port, "-brief", ...args);
    await child.until(new RegExp(`Peer certificate: CN = ${subject}`));
    await child.end();
    assertEquals(await child.exit(), 0);
  }
  assertEquals(asked, ["second.test", "localhost", ""]);
});

for (const { version, flag } of VERSIONS) {
  foreign(
    "openssl",
    `requestCert takes openssl s_client with a certificate, and no other, over ${version}`,
    async () => {
      using captured = captureExceptions();
      await using served = await serve(() => new Echo(), { ...SERVER, caCerts: [CA], requestCert: true });
      {
        await using child = opensslClient(served.port, "-brief", flag);
        await captured.log.until(() => captured.contexts.length === 1);
        await child.until(/alert/);
        assert(await child.exit() !== 0);
      }
      assertInstanceOf(captured.contexts[0]!.error, TlsError);
      assertEquals(captured.contexts[0]!.error.code, "NO_CLIENT_CERTIFICATE");
      assertEquals(served.protocols.length, 0);
      const own = ["-cert", `${certs}client.pem`, "-key", `${certs}client.key`];
      await using child = opensslClient(served.port, "-brief", flag, ...own);
      await child.write("hello\n");
      await child.until(/^hello$/m);
      assertEquals(peerName((await served.first()).transport), "client");
      assertEquals(captured.contexts.length, 1);
    },
  );

  foreign("openssl", `createConnection() shows openssl s_server its certificate over ${version}`, async () => {
    await using child = await opensslServer([flag, ...MUTUAL]);
    const [transport, protocol] = await dial(child.port, { ...TRUSTING, ...CLIENT });
    await child.write("hello\n");
    await protocol.untilReceived(6);
    await child.until(/subject=CN = client/);
    transport.abort();
    await protocol.untilLost();
    await turn();
  });

  foreign(
    "openssl",
    `createConnection() without the certificate that s_server wants fails over ${version}`,
    async () => {
      await using child = await opensslServer([flag, ...MUTUAL]);
      let error: unknown;
      try {
        // With TLS 1.3 the client is done before the server has seen that there is none.
        const [, protocol] = await dial(child.port);
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

foreign("openssl", "createServer() refuses the TLS 1.1 of openssl s_client, and names the cause", async () => {
  using captured = captureExceptions();
  await using served = await serve(() => new Echo(), SERVER);
  await using child = opensslClient(served.port, "-brief", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0");
  assertEquals(await child.exit(), 1);
  // rustls misses another thing first, a list of signature algorithms, which TLS 1.1 does not have.
  assertMatch(child.output, isOverOpenssl() ? /alert protocol version/ : /alert handshake failure/);
  await captured.log.until(() => captured.contexts.length === 1);
  assertInstanceOf(captured.contexts[0]!.error, TlsError);
  assertEquals(captured.contexts[0]!.error.code, "NO_SHARED_VERSION");
});

foreign("openssl", "createConnection() refuses the TLS 1.1 of openssl s_server, and names the cause", async () => {
  await using child = await opensslServer(["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
  const error = await assertRejects(() => dial(child.port), TlsError);
  assertEquals(error.code, "NO_SHARED_VERSION");
});

foreign("openssl", "startTls() on the server's side is what openssl s_client -starttls smtp expects", async () => {
  await using served = await serve(() => new Smtp());
  await using child = opensslClient(served.port, "-starttls", "smtp", "-brief", "-verify_return_error");
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
