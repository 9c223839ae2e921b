/** The key log, which OpenSSL alone has. */
import { type ExceptionContext, TlsContext, type TlsOptions } from "../../mod.ts";
import { hookCallbacks } from "../../tls/openssl/hooks.ts";
import { checkKeylog, passLine } from "../../tls/openssl/keylog.ts";
import { cString, type Pointer } from "../../tls/openssl/libssl.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { bytes, portOf, Recorder, tempPath, turn } from "../kit.ts";
import { execute } from "../program.ts";
import { HOST, SECOND, SERVER, TRUSTING } from "./kit.ts";
import { negotiate, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  opensslTest(`keylog gets the same lines on both sides with ${maxVersion}`, async () => {
    const lines: Record<"server" | "client", string[]> = { server: [], client: [] };
    await negotiate(
      { maxVersion, keylog: (line) => void lines.server.push(line) },
      { keylog: (line) => void lines.client.push(line) },
      () => {},
    );
    assertEquals(lines.server.toSorted(), lines.client.toSorted());
    const labels = maxVersion === "TLSv1.2" ? ["CLIENT_RANDOM"] : [
      "SERVER_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
      "EXPORTER_SECRET",
      "SERVER_TRAFFIC_SECRET_0",
      "CLIENT_TRAFFIC_SECRET_0",
    ];
    assertEquals(lines.client.map((line) => line.split(" ")[0]).toSorted(), labels.toSorted());
  });
}

opensslTest("keylog has the lines of openssl s_client", async () => {
  const lines: string[] = [];
  const tls = { ...SERVER, keylog: (line: string) => void lines.push(line) };
  await using server = await opensslLoop().createServer(() => ({}), { hostname: HOST, port: 0, tls });
  using temp = tempPath("keys.log");
  const file = temp.path;
  await execute("openssl", ["s_client", "-keylogfile", file, "-connect", `${HOST}:${portOf(server)}`]);
  const theirs = (await Deno.readTextFile(file)).split("\n").filter((line) => /^[A-Z]/.test(line));
  assertEquals(lines.toSorted(), theirs.toSorted());
});

opensslTest("keylog of one context gets nothing of another with the same settings", async () => {
  const lines: string[] = [];
  await negotiate({}, { keylog: (line) => void lines.push(line) }, () => {});
  const { length } = lines;
  assert(length > 0);
  await negotiate({ keylog: () => {} }, { keylog: () => {} }, () => {});
  await negotiate({ sni: () => new TlsContext(SECOND) }, { rejectUnauthorized: false }, () => {});
  assertEquals(lines.length, length);
});

/** Connects, exchanges a byte each way and closes. Returns what the exception handler got, and what the client read. */
async function withKeylog(side: "server" | "client", keylog: TlsOptions["keylog"]): Promise<[string[], string]> {
  const errors: string[] = [];
  const onError = ({ message, error }: ExceptionContext) => errors.push(`${message}: ${error}`);
  const [server, client] = side === "server" ? [{ keylog }, {}] : [{}, { keylog }];
  const loop = opensslLoop();
  loop.setExceptionHandler(onError);
  const accepted = new Recorder();
  await using served = await loop.createServer(() => accepted, {
    hostname: HOST,
    port: 0,
    tls: { ...SERVER, ...server },
  });
  const protocol = new Recorder();
  const options = { hostname: HOST, port: portOf(served), tls: { ...TRUSTING, ...client } };
  const [transport] = await loop.createConnection(() => protocol, options);
  transport.write(bytes("ping"));
  await accepted.untilReceived(4);
  accepted.transport.write(bytes("pong"));
  await protocol.untilReceived(4);
  transport.close();
  await Promise.all([protocol.untilLost(), accepted.untilLost()]);
  return [errors, protocol.text];
}

const FULL = new Error("disk full");
const FAILING: [how: string, keylog: () => void][] = [
  ["throws", () => {
    throw FULL;
  }],
  ["rejects", () => Promise.reject(FULL)],
];

for (const [how, keylog] of FAILING) {
  for (const side of ["server", "client"] as const) {
    opensslTest(
      `a keylog of the ${side} that ${how} goes to the exception handler, and the connection goes on`,
      async () => {
        const [errors, answer] = await withKeylog(side, keylog);
        assertEquals(errors, Array(5).fill("Exception in keylog: Error: disk full"));
        assertEquals(answer, "pong");
      },
    );
  }

  opensslTest(`a keylog that ${how} after the handshake goes to the exception handler`, async () => {
    const made: Pointer[] = [];
    using _new = replaceSsl("SSL_new", (real, ctx) => {
      const ssl = real(ctx)!;
      made.push(ssl);
      return ssl;
    });
    let fails = false;
    const errors: string[] = [];
    const loop = opensslLoop();
    loop.setExceptionHandler(({ message, error }) => errors.push(`${message}: ${error}`));
    await using served = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
    const protocol = new Recorder();
    const tls = { ...TRUSTING, keylog: () => fails ? keylog() : undefined };
    const [transport] = await loop.createConnection(() => protocol, { hostname: HOST, port: portOf(served), tls });
    assertEquals(errors, []);
    fails = true;
    // As OpenSSL does when it logs a later key of a connection.
    const definition = { parameters: ["pointer", "buffer"], result: "void" } as const;
    const call = new Deno.UnsafeFnPointer(hookCallbacks().keylog as Deno.PointerObject<typeof definition>, definition);
    const line = cString("CLIENT_TRAFFIC_SECRET_1 00 00");
    for (const ssl of made) call.call(ssl, line);
    await turn();
    assertEquals(errors, ["Exception in keylog: Error: disk full"]);
    transport.close();
    await protocol.untilLost();
  });
}

opensslTest("keylog is not called while OpenSSL runs, so that it may end the connection", async () => {
  let running = 0;
  using _handshake = replaceSsl("SSL_do_handshake", (real, ssl) => {
    running++;
    try {
      return real(ssl);
    } finally {
      running--;
    }
  });
  const seen = new Set<number>();
  await negotiate({ keylog: () => void seen.add(running) }, { keylog: () => void seen.add(running) }, () => {});
  assertEquals([...seen], [0]);
});

opensslTest("a keylog may abort the connection", async () => {
  const controller = new AbortController();
  const loop = opensslLoop();
  await using server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
  loop.setExceptionHandler(() => {});
  const tls = { rejectUnauthorized: false, keylog: () => controller.abort(new Error("enough")) };
  const options = { hostname: HOST, port: portOf(server), tls, signal: controller.signal };
  const error = await assertRejects(() => loop.createConnection(() => ({}), options), Error);
  assertEquals(error.message, "enough");
});

const LINE = /^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]+$/;

for (const how of ["path", "URL"] as const) {
  opensslTest(`keylog appends the lines to the file of a ${how}, which only the user may read`, async () => {
    using temp = tempPath("keys.log");
    const keylog = how === "path" ? temp.path : new URL(`file://${temp.path}`);
    const lines: string[] = [];
    for (let i = 0; i < 2; i++) {
      await negotiate({ keylog }, { keylog: (line) => void lines.push(line) }, () => {});
    }
    const written = Deno.readTextFileSync(temp.path);
    assert(written.endsWith("\n"));
    assertEquals(written.trimEnd().split("\n").toSorted(), lines.toSorted());
    assertEquals(lines.filter((line) => !LINE.test(line)), []);
    assertEquals(lines.length, 10);
    assertEquals(Deno.statSync(temp.path).mode! & 0o777, 0o600);
  });
}

opensslTest("keylog leaves what is in the file, and its mode", async () => {
  using temp = tempPath("keys.log");
  Deno.writeTextFileSync(temp.path, "# mine\n");
  Deno.chmodSync(temp.path, 0o640);
  await negotiate({}, { keylog: temp.path }, () => {});
  assertEquals(Deno.readTextFileSync(temp.path).split("\n").slice(0, 1), ["# mine"]);
  assertEquals(Deno.statSync(temp.path).mode! & 0o777, 0o640);
});

opensslTest("a keylog that cannot be opened is an error of the call, which names it", async () => {
  using temp = tempPath("missing");
  const path = `${temp.path}/keys.log`;
  const loop = opensslLoop();
  const tls = { ...SERVER, keylog: path };
  const message = `keylog: No such file or directory (os error 2): open '${path}'`;
  const error = await assertRejects(
    () => loop.createServer(() => ({}), { hostname: HOST, port: 0, tls }),
    Deno.errors.NotFound,
  );
  assertEquals([error.message, (error as { code?: string }).code], [message, "ENOENT"]);
  const context = new TlsContext(SERVER);
  await using _server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: context });
  assertEquals((await assertRejects(() => context.reload({ keylog: path }), Deno.errors.NotFound)).message, message);
  await assertRejects(() => context.reload({ keylog: temp.directory }), Deno.errors.IsADirectory, temp.directory);
});

opensslTest("keylog rejects a FIFO, which would block the process", async () => {
  using temp = tempPath("fifo");
  await execute("mkfifo", [temp.path]);
  const reader = Deno.open(temp.path);
  await assertRejects(() => checkKeylog(temp.path), TypeError, `got a FIFO: ${temp.path}`);
  (await reader).close();
});

Deno.test("keylog to a file needs --allow-write, and no other", { permissions: { write: true } }, async () => {
  // Not tempPath(), which needs to read.
  const path = Deno.makeTempFileSync();
  await checkKeylog(path);
  const errors: unknown[] = [];
  passLine(path, "CLIENT_RANDOM", (error) => errors.push(error));
  assertEquals(errors, []);
  Deno.removeSync(path);
  if (Deno.build.os !== "windows") await checkKeylog("/dev/null");
});

Deno.test("keylog to a file without --allow-write is NotCapable", { permissions: { write: false } }, async () => {
  const error = await assertRejects(() => checkKeylog("/tmp/keys.log"), Deno.errors.NotCapable);
  assertEquals(error.message.startsWith('keylog: Requires write access to "/tmp/keys.log"'), true);
});

opensslTest("a file of keylog that fails later goes to the exception handler, and the connection goes on", async () => {
  using temp = tempPath("keys.log");
  const folder = `${temp.directory}/gone`;
  Deno.mkdirSync(folder, { recursive: true });
  const keylog = `${folder}/keys.log`;
  const context = new TlsContext({ caCerts: TRUSTING.caCerts, keylog });
  const missing = `No such file or directory (os error 2): open '${keylog}'`;
  const loop = opensslLoop();
  const errors: string[] = [];
  loop.setExceptionHandler(({ message, error }) => errors.push(`${message}: ${error}`));
  await using served = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
  for (const expected of [0, 5]) {
    const protocol = new Recorder();
    const options = { hostname: HOST, port: portOf(served), tls: { context, serverHostname: "localhost" } };
    const [transport] = await loop.createConnection(() => protocol, options);
    transport.close();
    await protocol.untilLost();
    assertEquals(errors, Array(expected).fill(`Exception in keylog: NotFound: ${missing}`));
    if (expected === 0) Deno.removeSync(folder, { recursive: true });
  }
});
