/** What the two sides agree upon: protocols, names, authorities, certificates, versions, ciphers. */
import { Protocol, type TlsOptions, type TlsVersion, type Transport } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { portOf, Recorder } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import {
  agreed,
  CA,
  CLIENT,
  createConnection,
  createServer,
  ENGINES,
  EXPIRED,
  hangUp,
  peerName,
  serverTls,
  STRANGER,
} from "./kit.ts";

for (const { name, native } of ENGINES) {
  const alpn: [server: string[] | undefined, client: string[] | undefined, agreed: string | null][] = [
    [["a", "b"], ["b", "a"], "a"],
    [["a"], ["x", "a"], "a"],
    [["a"], undefined, null],
    [undefined, ["a"], null],
    [["é", "a".repeat(255)], ["a".repeat(255)], "a".repeat(255)],
  ];
  for (const [server, client, expected] of alpn) {
    const names = `${JSON.stringify(server)?.slice(0, 20)} and ${JSON.stringify(client)?.slice(0, 20)}`;
    Deno.test(`alpnProtocols ${names} agree on what the server likes best (${name})`, async () => {
      const options = {
        native,
        serverTls: server ? { alpnProtocols: server } : {},
        clientTls: client ? { alpnProtocols: client } : {},
      };
      const both = await agreed(options, (transport) => transport.getExtraInfo("alpnProtocol"));
      assertEquals(both, { server: expected, client: expected });
    });
  }

  for (const serverHostname of ["localhost", "LOCALHOST", "a.example.test", "127.0.0.1", "::1"]) {
    Deno.test(`serverHostname ${serverHostname} is what the certificate is for (${name})`, async () => {
      const both = await agreed({ native, clientTls: { serverHostname } }, peerName);
      assertEquals(both.client, "localhost");
    });
  }

  Deno.test(`hostname is the name that the certificate must be for where serverHostname is not given (${name})`, async () => {
    const server = await createServer(() => new Protocol(), {
      hostname: "127.0.0.1",
      port: 0,
      tls: serverTls({ native }),
    });
    await using _closing = server;
    const tls = { caCerts: [CA], native };
    const [transport, client] = await createConnection(() => new Recorder(), { port: portOf(server), tls });
    assertEquals(peerName(transport), "localhost");
    await hangUp([transport, client]);
  });

  Deno.test(`caCerts trusts every authority, in a text of its own or not (${name})`, async () => {
    for (const caCerts of [[STRANGER, CA], [CA + STRANGER], [STRANGER + CA]]) {
      const both = await agreed({ native, clientTls: { caCerts } }, peerName);
      assertEquals(both.client, "localhost");
    }
  });

  Deno.test(`cert and key of a client are shown to a server that asks (${name})`, async () => {
    const { server } = await agreed({
      serverTls: { requestCert: true, caCerts: [CA] },
      clientTls: { ...CLIENT, native, serverHostname: "127.0.0.1" },
    }, peerName);
    assertEquals(server, "client");
  });
}

/** What becomes of a client's certificate: the name that the server learns, or the code of the client's error. */
const mutual: [what: string, server: TlsOptions, client: TlsOptions, seen: string | null][] = [
  ["nothing of a client that has none, if rejectUnauthorized is false", { rejectUnauthorized: false }, {}, null],
  [
    "a certificate that it cannot verify, if rejectUnauthorized is false",
    {
      caCerts: [STRANGER],
      rejectUnauthorized: false,
    },
    CLIENT,
    "client",
  ],
  ["an expired one, if rejectUnauthorized is false", { rejectUnauthorized: false }, EXPIRED, "localhost"],
  ["a good one, if rejectUnauthorized is false", { rejectUnauthorized: false }, CLIENT, "client"],
  ["a good one", {}, CLIENT, "client"],
];
for (const [what, server, client, seen] of mutual) {
  Deno.test(`requestCert lets a server see ${what}`, async () => {
    const serverTls = { requestCert: true, caCerts: [CA], ...server };
    const both = await agreed({ serverTls, clientTls: client }, peerName);
    assertEquals(both, { server: seen, client: "localhost" });
  });
}

Deno.test("requestCert that is not given leaves a client's certificate unseen", async () => {
  assertEquals(await agreed({ clientTls: CLIENT }, peerName), { server: null, client: "localhost" });
});

Deno.test("rejectUnauthorized false lets a client see a certificate that it does not trust", async () => {
  for (const clientTls of [{ caCerts: [STRANGER] }, { serverHostname: "other.test" }]) {
    const both = await agreed({ clientTls: { ...clientTls, rejectUnauthorized: false } }, peerName);
    assertEquals(both.client, "localhost");
  }
});

Deno.test("rejectUnauthorized false lets a client do without a serverHostname", async () => {
  const clientTls = { rejectUnauthorized: false, serverHostname: undefined };
  for (const medium of ["tcp", "unix", "socketPair"] as const) {
    assertEquals((await agreed({ medium, clientTls }, peerName)).client, "localhost");
  }
});

const versions: [server: TlsOptions, client: TlsOptions, version: TlsVersion][] = [
  [{}, {}, "TLSv1.3"],
  [{ maxVersion: "TLSv1.2" }, {}, "TLSv1.2"],
  [{}, { maxVersion: "TLSv1.2" }, "TLSv1.2"],
  [{ minVersion: "TLSv1.3" }, {}, "TLSv1.3"],
  [{ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.2" }, "TLSv1.2"],
];
for (const [serverTls, clientTls, version] of versions) {
  const what = `server ${JSON.stringify(serverTls)}, client ${JSON.stringify(clientTls)}`;
  Deno.test(`minVersion and maxVersion are kept to by ${what}`, async () => {
    const both = await agreed({ serverTls, clientTls }, (transport) => transport.getExtraInfo("cipher")?.version);
    assertEquals(both, { server: version, client: version });
  });
}

Deno.test("ciphers lets in what it names", async () => {
  const ciphers = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
  const ask = (transport: Transport) => transport.getExtraInfo("cipher")?.name;
  const both = await agreed({ serverTls: { ciphers }, clientTls: { ciphers } }, ask);
  // Over OpenSSL, the order counts.
  const name = isOverOpenssl() ? "TLS_CHACHA20_POLY1305_SHA256" : "TLS_AES_256_GCM_SHA384";
  assertEquals(both, { server: name, client: name });
});
