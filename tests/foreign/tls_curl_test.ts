/** HTTPS with curl, which verifies what it is shown. */
import { TlsError } from "../../mod.ts";
import { assertEquals, assertInstanceOf, assertMatch } from "../std.ts";
import { bytes, captureExceptions, concat, Recorder } from "../kit.ts";
import { certs, foreign } from "../program.ts";
import { assertClean, ENGINES, HOST, serve, SERVER } from "../tls/kit.ts";
import { BIG, Child } from "./kit.ts";

/** Answers one HTTP request with what it was sent, or else with `BIG`, and closes. */
class Http extends Recorder {
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    const end = this.text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(this.text)?.[1] ?? 0);
    if (this.received < end + 4 + length) return;
    const body = length > 0 ? this.data.subarray(end + 4) : BIG;
    this.transport.write(bytes(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`));
    this.transport.write(body);
    this.transport.close();
  }
}

for (const { name, native } of ENGINES) {
  foreign("curl", `createServer() serves megabytes to curl, which verifies the name (${name} engine)`, async () => {
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const args = ["--silent", "--show-error", "--cacert", `${certs}ca.pem`, `https://localhost:${served.port}/`];
    await using child = new Child("curl", args);
    assertEquals(await child.exit(), 0, child.output);
    assertEquals(concat(child.stdout), BIG);
  });

  foreign("curl", `createServer() takes megabytes from curl and gives them back (${name} engine)`, async () => {
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const post = ["--data-binary", "@-", "-H", "Expect:", "-H", "Content-Type: application/octet-stream"];
    const args = ["-sS", "--cacert", `${certs}ca.pem`, ...post, `https://localhost:${served.port}/`];
    await using child = new Child("curl", args);
    await child.write(BIG.subarray(0, 1_500_000));
    await child.end();
    assertEquals(await child.exit(), 0, child.output);
    assertEquals(concat(child.stdout), BIG.slice(0, 1_500_000));
  });

  foreign("curl", `createServer() reports that curl does not trust the certificate (${name} engine)`, async () => {
    using captured = captureExceptions();
    await using served = await serve(() => new Http(), { ...SERVER, native });
    await using child = new Child("curl", ["-sS", `https://localhost:${served.port}/`]);
    assertEquals(await child.exit(), 60, child.output);
    await captured.log.has("TLS handshake with 127.0.0.1 port ");
    const { error } = captured.contexts[0]!;
    assertInstanceOf(error, TlsError);
    assertEquals(error.code, "ALERT");
    assertMatch(error.message, /issuer of this side's certificate/);
    assertEquals(served.protocols.length, 0);
  });

  foreign("curl", `createServer() sees a clean end when curl wants another name (${name} engine)`, async () => {
    // curl looks at the name after the handshake.
    await using served = await serve(() => new Http(), { ...SERVER, native });
    const resolve = ["--resolve", `wrong.test:${served.port}:${HOST}`, `https://wrong.test:${served.port}/`];
    await using child = new Child("curl", ["-sS", "--cacert", `${certs}ca.pem`, ...resolve]);
    assertEquals(await child.exit(), 60, child.output);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.received, 0);
  });
}
