/** What is wrong with the options of TLS is said by name, and before anybody connects. */
import { Protocol, socketPair, TlsContext } from "../../mod.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { loop } from "../kit.ts";
import { CA, SECOND, SERVER } from "./kit.ts";

/** A certificate that is none, though it looks like one. */
const BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/** Options that are wrong, with what the message says of them. */
const wrong: [what: string, tls: unknown, ErrorClass: new (...args: never[]) => Error, message: RegExp][] = [
  ["tls", 1, TypeError, /^tls must be a boolean, an object with options or a TlsContext, got number 1$/],
  ["tls", null, TypeError, /^tls must be a boolean, an object with options or a TlsContext, got null$/],
  [
    "handshakeTimeout",
    { handshakeTimeout: 0 },
    RangeError,
    /^handshakeTimeout must be a number of milliseconds from 1 to 2147483647, got number 0$/,
  ],
  [
    "shutdownTimeout",
    { shutdownTimeout: "1" },
    TypeError,
    /^shutdownTimeout must be a number of milliseconds from 0 to 2147483647, got string "1"$/,
  ],
  [
    "maxHandshakes",
    { maxHandshakes: "1" },
    TypeError,
    /^maxHandshakes must be a whole number, 1 or more, got string "1"$/,
  ],
  [
    "maxHandshakes",
    { maxHandshakes: 0 },
    RangeError,
    /^maxHandshakes must be a whole number, 1 or more, got number 0$/,
  ],
  ["context", { context: SERVER }, TypeError, /^context must be a TlsContext, got Object$/],
  [
    "context and more",
    { context: new TlsContext(SERVER), cert: SERVER.cert },
    TypeError,
    /^context and cert cannot both be given$/,
  ],
  ["caCerts", { caCerts: CA }, TypeError, /^caCerts must be an array of strings, got string "-----BEGIN/],
  ["caCerts", { caCerts: [CA, 7] }, TypeError, /^caCerts\[1\] must be a non-empty string, got number 7$/],
  [
    "caCerts",
    { caCerts: ["no PEM"] },
    TypeError,
    /^caCerts\[0\] must be a PEM certificate, got text that is not PEM; pass the contents of the file, not its name$/,
  ],
  ["cert", { cert: 1, key: SERVER.key }, TypeError, /^cert must be a non-empty string, got number 1$/],
  [
    "cert",
    { ...SERVER, cert: "no PEM" },
    TypeError,
    /^cert must be a PEM certificate, got text that is not PEM; pass the contents of the file, not its name$/,
  ],
  [
    "cert behind the first",
    { ...SERVER, cert: SERVER.cert + BROKEN },
    TypeError,
    /^cert must be a PEM certificate, got a PEM CERTIFICATE that cannot be parsed$/,
  ],
  [
    "caCerts behind the first",
    { caCerts: [CA + BROKEN] },
    TypeError,
    /^caCerts\[0\] must be a PEM certificate, got a PEM CERTIFICATE that cannot be parsed$/,
  ],
  [
    "cert alone",
    { cert: SERVER.cert, key: undefined },
    TypeError,
    /^cert requires key$/,
  ],
  ["key alone", { cert: undefined, key: SERVER.key }, TypeError, /^key requires cert$/],
  [
    "key",
    { ...SERVER, key: "no PEM" },
    TypeError,
    /^key must be a PEM private key, got text that is not PEM; pass the contents of the file, not its name$/,
  ],
  ["key of another", { ...SERVER, key: SECOND.key }, TypeError, /^key must be the private key of cert$/],
  ["alpnProtocols", { alpnProtocols: "h2" }, TypeError, /^alpnProtocols must be an array of strings, got string "h2"$/],
  [
    "alpnProtocols",
    { alpnProtocols: [""] },
    TypeError,
    /^alpnProtocols\[0\] must be a non-empty string, got string ""$/,
  ],
  [
    "alpnProtocols",
    { alpnProtocols: ["é".repeat(128)] },
    TypeError,
    /^alpnProtocols\[0\] must have at most 255 bytes, got 256 bytes$/,
  ],
  ["requestCert", { requestCert: 1 }, TypeError, /^requestCert must be a boolean or "optional", got number 1$/],
  ["rejectUnauthorized", { rejectUnauthorized: 0 }, TypeError, /^rejectUnauthorized must be a boolean, got number 0$/],
  [
    "minVersion",
    { minVersion: "TLSv1.1" },
    TypeError,
    /^minVersion must be "TLSv1\.2" or "TLSv1\.3", got string "TLSv1\.1"$/,
  ],
  ["maxVersion", { maxVersion: 1.3 }, TypeError, /^maxVersion must be "TLSv1\.2" or "TLSv1\.3", got number 1\.3$/],
  [
    "versions",
    { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
    RangeError,
    /^minVersion TLSv1\.3 is newer than maxVersion TLSv1\.2$/,
  ],
  [
    "ciphers",
    { ciphers: "aes please" },
    TypeError,
    /^ciphers must be names of cipher suites separated by colons, got string "aes please"$/,
  ],
  ["sni", { sni: SECOND }, TypeError, /^sni must be a function that returns a TlsContext or null, got Object$/],
  [
    "requestCert without caCerts",
    { requestCert: true, caCerts: undefined },
    TypeError,
    /^requestCert requires caCerts; without them every client would be rejected$/,
  ],
  // Deno's own TLS comes with { listener } and { conn }.
  ["native", { native: true }, TypeError, /^native is not an option; the options are caCerts, cert, key, /],
  [
    "an option in asyncio's words",
    { server_hostname: "a" },
    TypeError,
    /^server_hostname is not an option; did you mean serverHostname\?$/,
  ],
  [
    "an option in Node's words",
    { requestClientCert: true },
    TypeError,
    /^requestClientCert is not an option; did you mean requestCert\?$/,
  ],
];
for (const [i, [what, tls, ErrorClass, message]] of wrong.entries()) {
  Deno.test(`tls names ${what} where it is wrong, on both sides and before anybody connects (${i})`, async () => {
    // Nobody listens there: an attempt to connect would be another error.
    const options = {
      port: 1,
      tls: typeof tls === "object" && tls !== null ? addTo(tls, { serverHostname: "localhost" }) : tls,
    };
    const client = await assertRejects(
      () => loop.createConnection(() => new Protocol(), options as { port: number }),
      ErrorClass,
    );
    const serving = { port: 0, tls: typeof tls === "object" && tls !== null ? addTo(tls, SERVER) : tls };
    const server = await assertRejects(
      () => loop.createServer(() => new Protocol(), serving as { port: number }),
      ErrorClass,
    );
    for (const error of [client, server]) {
      const said = error.message.replace(/^create(Connection|Server)\(\): /, "").replaceAll("tls.", "");
      assert(message.test(said), error.message);
    }
  });
}

/** The rest of what a side needs, where the options do not say it. */
function addTo(tls: object, rest: object): object {
  return "context" in tls ? tls : { ...rest, ...tls };
}

Deno.test("tls: true is no server: it has no certificate", async () => {
  for (const tls of [true, {}, { caCerts: [CA] }]) {
    const error = await assertRejects(() => loop.createServer(() => new Protocol(), { port: 0, tls }), TypeError);
    assertEquals(error.message, "createServer(): a TLS server requires tls.cert and tls.key, or tls.sni");
  }
});

Deno.test("serverHostname must be given where there is no hostname", async () => {
  const [near, far] = await socketPair();
  for (const tls of [true, { caCerts: [CA] }]) {
    for (
      const call of [
        () => loop.createConnection(() => new Protocol(), { conn: near, tls }),
        () => loop.createUnixConnection(() => new Protocol(), { path: "/nowhere", tls }),
      ]
    ) await assertRejects(call, TypeError, "serverHostname is required without a hostname");
  }
  await assertRejects(
    () => loop.createConnection(() => new Protocol(), { conn: near, tls: { serverHostname: "" } }),
    TypeError,
    'serverHostname must be a host name or an IP address, got string ""',
  );
  for (const conn of [near, far]) conn.close();
});

for (
  const serverHostname of ["é@other.test", "localhost/é", "é?localhost", "é#localhost", "a b.test", "é\\localhost"]
) {
  Deno.test(`serverHostname ${JSON.stringify(serverHostname)} is refused: it is no host, though a URL has one`, async () => {
    const tls = { serverHostname };
    const call = () => loop.createConnection(() => new Protocol(), { hostname: "127.0.0.1", port: 9, tls });
    await assertRejects(call, TypeError, "serverHostname must be a host name or an IP address");
  });
}
