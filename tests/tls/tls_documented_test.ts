/**
 * The engine that takes over where Deno has changed inside passes the tests of the usual one: their files once more,
 * without what is about Deno's own TLS. It takes its place by itself, and says so.
 */
import tls from "node:tls";
import { loadNodeTls, NO_STREAM, type TlsSocket, useDocumentedTls } from "../../tls/node/node_tls.ts";
import { assertEquals } from "../std.ts";
import { certs, runProgram } from "../program.ts";
import { bytes, captureExceptions, pattern, portOf, Recorder } from "../kit.ts";
import {
  CA,
  causeOf,
  CLIENT,
  clientTls,
  connectTls,
  Echo,
  FailingServer,
  peerName,
  refusal,
  serverTls,
  WAYS,
} from "./kit.ts";

const FILES = [
  "tls_test.ts",
  "tls_rules_test.ts",
  "tls_scenarios_test.ts",
  "tls_closing_test.ts",
  "tls_failure_test.ts",
  "tls_context_test.ts",
  "../foreign/tls_deno_test.ts",
  "tls_agreement_test.ts",
  "tls_forgery_test.ts",
  "tls_resumption_test.ts",
  "tls_hostile_handshake_test.ts",
  "tls_crash_test.ts",
  "../start_tls/start_tls_test.ts",
  "../start_tls/start_tls_early_test.ts",
  "../start_tls/start_tls_failure_test.ts",
];

/**
 * Deno's own TLS, what is slow and shown over one medium already, programs of their own, where nothing is switched, and
 * the promises that are not kept: one (see below), and what Deno tells of a context or asks for a name a tick late.
 */
const SKIPPED =
  /sni that chooses a context which|reads nothing while sni is asked|ClientHello of 28 KB|native|over TLS on (a Unix socket|socketPair)|process lives on|no client certificate in TLSv1\.3/;

/** Runs a test with the documented engine. */
function documented(fn: () => Promise<void>): () => Promise<void> {
  return async () => {
    useDocumentedTls(true);
    assertEquals((await loadNodeTls()).hasWrap, false);
    try {
      await fn();
    } finally {
      useDocumentedTls(false);
    }
  };
}

const { test } = Deno;

/** Takes the place of `Deno.test`, in the forms that the files use. */
function testDocumented(...args: (string | Partial<Deno.TestDefinition> | Deno.TestDefinition["fn"])[]): void {
  const definition = Object.assign(
    {},
    ...args.map((argument) => {
      if (typeof argument === "string") return { name: argument };
      return typeof argument === "function" ? { fn: argument } : argument;
    }),
  ) as Deno.TestDefinition;
  if (SKIPPED.test(definition.name)) return;
  const fn = documented(async () => await definition.fn({} as Deno.TestContext));
  test({ ...definition, name: `${definition.name}, by the documented engine`, fn });
}

Reflect.set(Deno, "test", testDocumented);
for (const file of FILES) await import(`./${file}`);
Reflect.set(Deno, "test", test);

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  for (const way of WAYS.filter(({ native }) => !native)) {
    Deno.test(
      `write() carries megabytes both ways over ${way.name} and ${version}, by the documented engine`,
      documented(async () => {
        const options = { ...way, clientTls: { ...CLIENT, maxVersion: version, alpnProtocols: ["echo"] } };
        const mutual = { requestCert: true, caCerts: [CA], alpnProtocols: ["echo"] };
        await using pair = await connectTls(() => new Echo(), () => new Recorder(), { ...options, serverTls: mutual });
        const { clientSide, serverSide } = pair;
        clientSide.transport.write(pattern(2_000_000));
        await clientSide.untilReceived(2_000_000);
        assertEquals(clientSide.data, pattern(2_000_000));
        assertEquals([peerName(clientSide.transport), peerName(serverSide.transport)], ["localhost", "client"]);
        for (const { transport } of [clientSide, serverSide]) {
          assertEquals(transport.getExtraInfo("cipher")?.version, version);
          assertEquals(transport.getExtraInfo("alpnProtocol"), "echo");
        }
      }),
    );
  }
}

Deno.test(
  "requestCert refuses a client without a certificate over TLSv1.3, by the documented engine, which cannot tell it",
  documented(async () => {
    await using failing = await FailingServer.start(serverTls({ requestCert: true, caCerts: [CA] }));
    const { error } = await refusal(failing.port, clientTls());
    const reported = await failing.reported();
    assertEquals([causeOf(error), causeOf(reported)], ["UnexpectedEof", "NO_CLIENT_CERTIFICATE"]);
    await failing.goesOn(CLIENT);
  }),
);

Deno.test("createConnection() trusts caCerts, and nothing else, where Deno's contexts have no addCACert()", async () => {
  using captured = captureExceptions();
  const parts = await loadNodeTls();
  const { createSecureContext } = parts;
  parts.createSecureContext = (options) => {
    const made = createSecureContext(options);
    delete made.context.addCACert;
    return made;
  };
  try {
    await using pair = await connectTls(() => new Echo(), () => new Recorder());
    pair.clientSide.transport.write(bytes("hello"));
    await pair.clientSide.untilReceived(5);
    const { error } = await refusal(portOf(pair.server!), clientTls({ caCerts: [] }));
    assertEquals(causeOf(error), "UNKNOWN_ISSUER");
    await captured.log.has("TLS handshake");
  } finally {
    parts.createSecureContext = createSecureContext;
  }
});

/** The class of what is inside of a `TLSSocket`. */
const { prototype } = (() => {
  const socket = new tls.TLSSocket(NO_STREAM, { isServer: false }) as unknown as TlsSocket;
  socket.on("error", () => {});
  const { constructor } = socket._handle;
  socket.destroy();
  return constructor as unknown as { prototype: Record<string, unknown> };
})();

for (const name of ["start", "drainEncOut", "destroySsl", "verifyError"]) {
  Deno.test(`loadNodeTls() finds that Deno has changed inside where there is no ${name}()`, async () => {
    const load = async (how: string) => {
      // Not the module that the other tests have loaded.
      const module = await import(
        `../../tls/node/node_tls.ts?${name}=${how}`
      ) as typeof import("../../tls/node/node_tls.ts");
      return (await module.loadNodeTls()).hasWrap;
    };
    const method = prototype[name];
    delete prototype[name];
    try {
      assertEquals(await load("missing"), false);
    } finally {
      prototype[name] = method;
    }
    assertEquals(await load("there"), true);
  });
}

/** Echoes in debug mode, where one method was missing at the start. */
const program = (hidden: string) => `
import tls from "node:tls";
import { Duplex } from "node:stream";
import { getRunningLoop, Protocol, TlsContext } from "@tandem/io";
const socket = new tls.TLSSocket(new Duplex({ read() {}, write() {} }), { isServer: false });
const { prototype } = socket._handle.constructor;
socket.destroy();
const method = prototype[${hidden}];
delete prototype[${hidden}];
const read = (name) => Deno.readTextFileSync("${certs}" + name);
const context = new TlsContext({ cert: read("server.pem"), key: read("server.key"), caCerts: [read("ca.pem")] });
await context.load();
if (method) prototype[${hidden}] = method;
const loop = getRunningLoop();
loop.setDebug(true);
class Echo extends Protocol {
  connectionMade(transport) { this.transport = transport; }
  dataReceived(data) { this.transport.write(data); }
}
const done = Promise.withResolvers();
class Client extends Protocol {
  received = 0;
  connectionMade(transport) { this.transport = transport; transport.write(new Uint8Array(1e6)); }
  dataReceived(data) { this.received += data.length; if (this.received === 1e6) this.transport.close(); }
  connectionLost(error) { done.resolve(error); }
}
const server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0, tls: context });
const { port } = server.addresses[0];
const tls_ = { context, serverHostname: "localhost" };
await loop.createConnection(() => new Client(), { port, tls: tls_ });
console.log(await done.promise);
server.close();
`;

for (
  const [hidden, engine] of [
    ["verifyError", "a TLSSocket over a Duplex, which is slower"],
    [null, "the rustls connection inside its TLSSocket"],
  ] as const
) {
  const where = hidden === null ? "Deno is made as it is known" : "Deno has changed inside";
  Deno.test(`setDebug() has it said once by which engine TLS is made, which works, where ${where}`, async () => {
    const { code, stdout, stderr } = await runProgram(program(JSON.stringify(hidden)), { flags: ["-A", "--no-check"] });
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: `Tandem: TLS is node:tls, by ${engine}\nnull\n`,
      stderr: "",
    });
  });
}
