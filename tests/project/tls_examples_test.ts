/** The TLS echo pair, with each other, with Deno's own TLS and with openssl. */
import { assertEquals, assertMatch, assertStringIncludes } from "../std.ts";
import { caCerts, Example, run, Wire } from "./kit.ts";
import { certs, foreign } from "../program.ts";
import { bytes, concat, pattern } from "../kit.ts";

Deno.test("tls_echo_server.ts and tls_echo_client.ts talk, and SIGINT stops the server", async () => {
  await using server = new Example("tls_echo_server.ts", ["0"]);
  const client = await run("tls_echo_client.ts", [`${await server.port()}`, "127.0.0.1", "good day"]);
  assertEquals(client, {
    code: 0,
    stdout: "TLSv1.3, TLS_AES_256_GCM_SHA384, certificate of localhost until 2086\n" +
      'sent 8 bytes\nreceived "good day"\nclosed\n',
    stderr: "",
  });
  for (const line of ["connection, TLSv1.3, TLS_AES_256_GCM_SHA384", "8 bytes", "connection lost"]) {
    assertEquals(await server.line(), line);
  }
  server.interrupt();
  assertEquals(await server.end(), { code: 0, stdout: "stopped\n", stderr: "" });
});

Deno.test("tls_echo_client.ts refuses a server whose CA is not trusted, and the server goes on", async () => {
  await using server = new Example("tls_echo_server.ts", ["0"]);
  const args = [`${await server.port()}`, "127.0.0.1", "good day"];
  const { code, stdout, stderr } = await run("tls_echo_client.ts", [...args, `${certs}stranger.pem`]);
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertMatch(stderr, /^UNKNOWN_ISSUER: TLS: the certificate is not signed by a trusted CA [^\n]+\n$/);
  assertEquals((await run("tls_echo_client.ts", args)).code, 0);
  server.interrupt();
  assertMatch((await server.end()).stderr, /^TLS handshake with 127\.0\.0\.1 port \d+ failed: TLS: [^\n]+\n$/);
});

Deno.test("tls_echo_server.ts closes its connections when SIGINT stops it", async () => {
  await using server = new Example("tls_echo_server.ts", ["0"]);
  using conn = await Deno.connectTls({ hostname: "localhost", port: await server.port(), caCerts });
  await conn.handshake();
  await server.line();
  server.interrupt();
  // close_notify comes first, or this would be an error.
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await conn.closeWrite();
  assertEquals(await server.end(), { code: 0, stdout: "connection lost\nstopped\n", stderr: "" });
});

Deno.test("tls_echo_server.ts sends megabytes back in order", async () => {
  await using server = new Example("tls_echo_server.ts", ["0"]);
  const data = pattern(2_000_000);
  using wire = new Wire(await Deno.connectTls({ hostname: "localhost", port: await server.port(), caCerts }));
  const sending = wire.send(data);
  const pieces: Uint8Array[] = [];
  for (let received = 0; received < data.length;) {
    const buffer = new Uint8Array(65_536);
    const count = await wire.conn.read(buffer) ?? 0;
    assertEquals(count > 0, true);
    pieces.push(buffer.subarray(0, count));
    received += count;
  }
  await sending;
  assertEquals(concat(pieces), data);
});

Deno.test("tls_echo_server.ts reloads its certificate at SIGHUP and keeps its connections", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const folder = await Deno.makeTempDir({ prefix: "tandem-test-" });
  try {
    const install = async (name: string) => {
      for (const kind of ["pem", "key"]) await Deno.copyFile(`${certs}${name}.${kind}`, `${folder}/now.${kind}`);
    };
    await install("server");
    await using server = new Example("tls_echo_server.ts", [
      "0",
      "127.0.0.1",
      `${folder}/now.pem`,
      `${folder}/now.key`,
    ]);
    const port = await server.port();
    using old = new Wire(await Deno.connectTls({ hostname: "localhost", port, caCerts }));
    await old.send("before\r\n");
    assertEquals(await old.line(), "before");
    for (const line of ["connection, TLSv1.3, TLS_AES_256_GCM_SHA384", "8 bytes"]) {
      assertEquals(await server.line(), line);
    }
    // A certificate that cannot be read changes nothing.
    await Deno.writeTextFile(`${folder}/now.pem`, "rubbish");
    server.hangUp();
    assertMatch(await server.line(), /^still the old certificate: cert must be a PEM certificate/);
    await install("second");
    server.hangUp();
    assertEquals(await server.line(), "new certificate");
    await old.send("after\r\n");
    assertEquals(await old.line(), "after");
    const plain = await Deno.connect({ hostname: "127.0.0.1", port });
    using fresh = new Wire(await Deno.startTls(plain, { hostname: "second.test", caCerts }));
    await fresh.send("new\r\n");
    assertEquals(await fresh.line(), "new");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

foreign("openssl", "tls_echo_server.ts answers openssl s_client", async () => {
  await using server = new Example("tls_echo_server.ts", ["0"]);
  const port = await server.port();
  const args = ["s_client", "-CAfile", `${certs}ca.pem`, "-verify_return_error", "-connect", `127.0.0.1:${port}`];
  // It ends when it reads a Q at the start of a line.
  const child = new Deno.Command("openssl", {
    args: [...args, "-verify_hostname", "localhost"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(10_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes("good day\n"));
  let output = "";
  const decoder = new TextDecoder();
  const reader = child.stdout.getReader();
  for (let asked = false;;) {
    const { value, done } = await reader.read();
    if (done) break;
    output += decoder.decode(value, { stream: true });
    if (asked || !/^good day$/m.test(output)) continue;
    asked = true;
    await writer.write(bytes("Q\n"));
  }
  assertEquals((await child.status).code, 0);
  await writer.close().catch(() => {});
  assertStringIncludes(output, "Verify return code: 0 (ok)");
});
