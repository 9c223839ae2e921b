/** TLS with asyncio, and with a socket of Python's `ssl`, whose every goodbye is its own doing. */
import type { TlsCipher } from "../../mod.ts";
import { assertEquals, assertInstanceOf, assertMatch } from "../std.ts";
import { bytes, loop, Recorder, turn } from "../kit.ts";
import { foreign } from "../program.ts";
import {
  assertClean,
  CA,
  CLIENT,
  dial,
  Echo,
  ENGINES,
  hangUp,
  HOST,
  peerName,
  serve,
  SERVER,
  TRUSTING,
} from "../tls/kit.ts";
import { BIG, type Child, pythonClient, pythonServer, Smtp, VERSIONS } from "./kit.ts";

const ALPN = { alpnProtocols: ["echo"] };

for (const { version } of VERSIONS) {
  foreign("python3", `createConnection() exchanges megabytes with an asyncio server over ${version}`, async () => {
    await using child = await pythonServer("async", version, "mutual");
    const [transport, protocol] = await dial(child.port, { ...TRUSTING, ...CLIENT, ...ALPN });
    transport.write(BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    const { name } = transport.getExtraInfo("cipher") as TlsCipher;
    await child.until(new RegExp(`^tls ${version} ${name} echo client$`, "m"));
    assertEquals(peerName(transport), "localhost");
    await hangUp([transport, protocol]);
    await child.until(/^eof\nclosed$/m);
  });

  foreign("python3", `createServer() exchanges megabytes with an asyncio client over ${version}`, async () => {
    const mutual = { caCerts: [CA], requestCert: true };
    await using served = await serve(() => new Echo(), { ...SERVER, ...ALPN, ...mutual });
    await using child = pythonClient("async", served.port, version, "mutual");
    await child.until(/^same\nclosed$/m);
    assertEquals(await child.exit(), 0, child.output);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
    assertEquals(peerName(protocol.transport), "client");
    const { name } = protocol.transport.getExtraInfo("cipher") as TlsCipher;
    assertMatch(child.output, new RegExp(`^tls ${version} ${name} echo localhost$`, "m"));
  });
}

foreign("python3", "startTls() upgrades together with an asyncio server", async () => {
  await using child = await pythonServer("async", "starttls");
  const lines = new Recorder();
  const [plain] = await loop.createConnection(() => lines, { hostname: HOST, port: child.port });
  plain.write(bytes("STARTTLS\n"));
  await lines.untilReceived(9);
  const secured = new Recorder();
  const transport = await loop.startTls(plain, secured, { ...TRUSTING, ...ALPN });
  transport.write(BIG);
  await secured.untilReceived(BIG.length);
  assertEquals(secured.data, BIG);
  assertEquals(lines.text, "go ahead\n");
  await hangUp([transport, secured]);
  await child.until(/^eof\nclosed$/m);
});

foreign("python3", "startTls() on the server's side upgrades together with an asyncio client", async () => {
  await using served = await serve(() => new Smtp());
  await using child = pythonClient("async", served.port, "starttls");
  await child.until(/^same\nclosed$/m);
  const { secured } = await served.first();
  await secured.untilLost();
  assertClean(secured);
  assertEquals(secured.data, BIG);
});

/** Meets both sides of Python's, which start at the same time. */
function meet(native: boolean, ending: string, test: (child: Child, protocol: Recorder) => Promise<void>) {
  return async () => {
    await using served = await serve(() => new Recorder(), { ...SERVER, native });
    await using client = pythonClient(ending, served.port);
    await using server = await pythonServer(ending);
    const [transport, clientSide] = await dial(server.port, { ...TRUSTING, native });
    transport.write(bytes("ready"));
    await test(server, clientSide);
    await turn();
    const serverSide = await served.first();
    serverSide.transport.write(bytes("ready"));
    await test(client, serverSide);
  };
}

for (const { name, native } of ENGINES) {
  foreign(
    "python3",
    `connectionLost() tells of a socket that ssl closes without unwrap() (${name} engine)`,
    meet(native, "cut", async (_, protocol) => {
      await protocol.untilLost();
      assertEquals(protocol.text, "hello");
      assertInstanceOf(protocol.error, Deno.errors.UnexpectedEof);
      assertEquals(protocol.log.entries.includes("eofReceived"), false);
    }),
  );

  foreign(
    "python3",
    `eofReceived() answers unwrap() of ssl (${name} engine)`,
    meet(native, "unwrap", async (child, protocol) => {
      await protocol.untilLost();
      assertClean(protocol);
      assertEquals(protocol.text, "hello");
      assertEquals(await child.exit(), 0, child.output);
    }),
  );

  foreign(
    "python3",
    `close() is a clean end for ssl, whose answer is waited for (${name} engine)`,
    meet(native, "wait", async (child, protocol) => {
      await protocol.untilReceived(5);
      protocol.transport.close();
      await protocol.untilLost();
      assertEquals(protocol.error, null);
      assertEquals(await child.exit(), 0, child.output);
    }),
  );
}
