/** Certificates that name an authority that has not signed them: rustls under node:tls goes by names where it cannot read one. */
import { connect, createServer as createTlsServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { Protocol, TlsError } from "../../mod.ts";
import { captureExceptions, loop, portOf, Recorder } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { assertEquals, assertInstanceOf } from "../std.ts";
import { CA, readCert, SERVER } from "./kit.ts";

const forged = (name: string) => ({ cert: readCert(`${name}.pem`), key: readCert(`${name}.key`) });

/** Serves with a certificate that Tandem's own server would refuse to load. */
async function serve(identity: { cert: string; key: string }): Promise<AsyncDisposable & { port: number }> {
  const server = createTlsServer(identity, (socket) => socket.on("error", () => {}));
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

for (const name of ["forged_v1", "forged_v3"]) {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    Deno.test(`caCerts is no authority for ${name}.pem, which only names it, over ${maxVersion}`, async () => {
      await using server = await serve(forged(name));
      const tls = { caCerts: [CA], serverHostname: "localhost", maxVersion };
      const error = await loop.createConnection(() => new Protocol(), { port: server.port, tls }).then(
        () => null,
        (error: unknown) => error,
      );
      assertInstanceOf(error, TlsError);
      // OpenSSL looks at the name first, and forged_v1 has none.
      assertEquals(error.code, isOverOpenssl() && name === "forged_v1" ? "WRONG_NAME" : "UNKNOWN_ISSUER");
    });
  }
}

Deno.test("caCerts is an authority for what is signed, by whatever server", async () => {
  await using server = await serve(SERVER);
  const tls = { caCerts: [CA], serverHostname: "localhost" };
  const [transport] = await loop.createConnection(() => new Protocol(), { port: server.port, tls });
  const lost = Promise.withResolvers<void>();
  transport.setProtocol({ connectionLost: () => lost.resolve() });
  transport.abort();
  await lost.promise;
});

Deno.test("requestCert takes no client for the authority because it shows that one's certificate", async () => {
  // An authority of version 1, and a client that has its certificate, as everybody has, with or without its key.
  const old = forged("forged_v1");
  using captured = captureExceptions();
  const made: Recorder[] = [];
  const factory = () => made[made.push(new Recorder()) - 1]!;
  const tls = { ...SERVER, requestCert: true, caCerts: [old.cert] };
  await using server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, tls });
  const client = connect({ port: portOf(server), host: "localhost", rejectUnauthorized: false, ...old });
  client.on("error", () => {});
  await new Promise<void>((resolve) => client.on("close", () => resolve()).resume());
  await captured.log.has("TLS handshake with 127.0.0.1 port ");
  assertEquals((captured.contexts[0]!.error as TlsError).code, "UNKNOWN_ISSUER");
  assertEquals(made, []);
});
