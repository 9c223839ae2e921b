/** The promise of startTls() that its caller never looks at. */
import { runProgram } from "../program.ts";
import { assertEquals, assertStringIncludes } from "../std.ts";

/** Upgrades a connection to a peer that does what the test says, and does not look at the promise. */
const program = (options: string, peer: string) => `
import { getRunningLoop, Protocol } from "@tandem/io";
const loop = getRunningLoop();
class Peer extends Protocol {
  connectionMade(transport) {
    ${peer}
  }
}
const server = await loop.createServer(() => new Peer(), { hostname: "127.0.0.1", port: 0 });
class Client extends Protocol {
  connectionMade(transport) {
    void loop.startTls(transport, this, ${options});
  }
  connectionLost(error) {
    console.log("lost", error?.name, error?.code ?? "");
    server.close();
    server.closeClients();
  }
}
const [transport] = await loop.createConnection(() => new Client(), { port: server.port });
if (${options}.caCerts !== undefined) setTimeout(() => transport.close(), 50);
await server.waitClosed();
console.log("end");
`;

const flags = ["--allow-net", "--no-check"];

for (
  const [how, options, peer, lost] of [
    [
      "the peer speaks no TLS",
      '{ serverHostname: "x" }',
      'transport.write(new TextEncoder().encode("no TLS"));',
      "lost TlsError NOT_TLS",
    ],
    ["the peer closes", '{ serverHostname: "x" }', "transport.close();", "lost "],
    ["it takes too long", '{ serverHostname: "x", handshakeTimeout: 20 }', "", "lost TimeoutError"],
  ] as const
) {
  Deno.test(`startTls() whose promise is ignored does not end the process if connectionLost() has the error: ${how}`, async () => {
    const { code, stdout, stderr } = await runProgram(program(options, peer), { flags });
    assertEquals([code, stderr, stdout.split("\n").slice(1)], [0, "", ["end", ""]]);
    assertStringIncludes(stdout, lost);
  });
}

for (
  const [what, options, message] of [
    ["options", "{ serverHostnam: 1 }", "startTls(): serverHostnam is not an option; did you mean serverHostname?"],
    ["certificates", '{ serverHostname: "x", caCerts: ["no PEM"] }', "caCerts[0] must be a PEM certificate"],
  ]
) {
  Deno.test(`startTls() whose promise is ignored ends the process if its ${what} are wrong, which no callback reports`, async () => {
    const { code, stderr } = await runProgram(program(options!, ""), { flags });
    assertEquals(code, 1);
    assertStringIncludes(stderr, message!);
  });
}
