/** The README's word: its code runs, its names exist, its links lead somewhere. */
import { assert, assertEquals, assertGreater, assertMatch } from "../std.ts";
import { bytes, closed, connect, loop, Recorder, tempPath, text } from "../kit.ts";
import * as tandem from "../../mod.ts";
import type { ExtraInfo, TlsErrorCode } from "../../mod.ts";

const root = new URL("../../", import.meta.url);
const readme = Deno.readTextFileSync(new URL("README.md", root));

/** The code blocks of a language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(([, code]) => code!);
}

/** The rows of the table whose first heading is `heading`, as cells. */
function rows(heading: string): string[][] {
  const lines = readme.split("\n");
  const start = lines.findIndex((line) => new RegExp(`^\\| ${heading} +\\|`).test(line));
  const end = lines.indexOf("", start);
  assert(start >= 0 && end > start, heading);
  return lines.slice(start + 2, end).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** What stands in backquotes. */
function codes(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}

/** A project outside the repository that maps the package to `mod.ts`, and has the README's TypeScript. */
async function makeProject(directory: string, sources: Record<string, string>): Promise<void> {
  const config = {
    imports: { "@tandem/io": new URL("mod.ts", root).href },
    compilerOptions: { strict: true, noImplicitOverride: true, noUncheckedIndexedAccess: true, noUnusedLocals: true },
  };
  await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify(config));
  for (const [name, source] of Object.entries(sources)) await Deno.writeTextFile(`${directory}/${name}`, source);
}

function deno(directory: string, ...args: string[]): Deno.Command {
  const env = { NO_COLOR: "1" };
  return new Deno.Command(Deno.execPath(), { args, cwd: directory, env, stdout: "piped", stderr: "piped" });
}

Deno.test("the README names the two commands", () => {
  assertEquals(blocks("sh")[0], "npx --yes deno@2.9.6 task demo\nnpx --yes deno@2.9.6 task test\n");
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  for (const name of ["demo", "test"]) assert(name in tasks, name);
});

Deno.test("the README's TypeScript type-checks in a consumer's project", async () => {
  using temp = tempPath();
  const sources = Object.fromEntries(blocks("ts").map((code, i) => [`block${i}.ts`, code]));
  assertEquals(Object.keys(sources).length, 4);
  await makeProject(temp.directory, sources);
  const { code, stderr } = await deno(temp.directory, "check", "--quiet", ...Object.keys(sources)).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});

/** A server of the README's that runs, and the port that it has printed. */
async function serve(directory: string, source: string, ...permissions: string[]) {
  await makeProject(directory, { "server.ts": source.replace(/port: \d+/, "port: 0") });
  const child = deno(directory, "run", "--quiet", "--no-prompt", ...permissions, "server.ts").spawn();
  // Lest a server that says nothing makes this wait for ever.
  const limit = setTimeout(() => child.kill("SIGKILL"), 20_000);
  let output = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!output.includes("]")) output += (await reader.read()).value ?? "]";
  await reader.cancel();
  return {
    port: Number(/port: (\d+)/.exec(output)?.[1]),
    async [Symbol.asyncDispose]() {
      clearTimeout(limit);
      child.kill("SIGKILL");
      await child.stderr.cancel();
      await child.status;
    },
  };
}

/** Runs a program of the README's to its end. */
async function runProgram(directory: string, source: string, ...permissions: string[]) {
  await makeProject(directory, { "program.ts": source });
  const command = deno(directory, "run", "--quiet", "--no-prompt", ...permissions, "program.ts");
  const { code, stdout, stderr } = await command.output();
  return [code, text(stderr), text(stdout)];
}

const certs = new URL("examples/certs/", root);
const [caCert, cert, key] = ["ca.pem", "server.pem", "server.key"].map((name) =>
  Deno.readTextFileSync(new URL(name, certs))
) as [string, string, string];

async function copyCerts(directory: string): Promise<void> {
  for (const [name, pem] of Object.entries({ "ca.pem": caCert, "server.pem": cert, "server.key": key })) {
    await Deno.writeTextFile(`${directory}/${name}`, pem);
  }
}

Deno.test("the README's client and server talk", async () => {
  using temp = tempPath();
  const [source = "", client = ""] = blocks("ts");
  await using server = await serve(temp.directory, source, "--allow-net");
  const output = await runProgram(temp.directory, client.replace("8888", `${server.port}`), "--allow-net");
  assertEquals(output, [0, "", "received Hello, world!\n"]);
});

Deno.test("the README's client and server talk TLS", async () => {
  using temp = tempPath();
  await copyCerts(temp.directory);
  // A port that was free just now.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const source = blocks("ts")[2]!.replace("8443", `${port}`);
  const output = await runProgram(temp.directory, source, "--allow-net", "--allow-read");
  assertEquals(output, [0, "", 'TLSv1.3 { CN: "localhost" }\n']);
});

Deno.test("the README's server upgrades to TLS", async () => {
  using temp = tempPath();
  await copyCerts(temp.directory);
  await using server = await serve(temp.directory, blocks("ts")[3]!, "--allow-net", "--allow-read");
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await plain.write(bytes("STARTTLS\r\n"));
  const buffer = new Uint8Array(100);
  assertEquals(text(buffer.subarray(0, await plain.read(buffer) ?? 0)), "220 go ahead\r\n");
  using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts: [caCert] });
  assertEquals(text(buffer.subarray(0, await conn.read(buffer) ?? 0)), "200 TLSv1.3\r\n");
});

/** What the loop makes, whose classes are not exported: an example of each. */
async function makeExamples(): Promise<Record<string, object>> {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const lost = Promise.withResolvers<void>();
  const child = Promise.withResolvers<void>();
  const [datagrams] = await loop.createDatagramEndpoint(() => ({ connectionLost: () => lost.resolve() }));
  const [subprocess] = await loop.subprocessExec(() => ({ connectionLost: () => child.resolve() }), Deno.execPath(), {
    args: ["--version"],
  });
  const handle = loop.callSoon(() => {});
  const timer = loop.callLater(0, () => {});
  handle.cancel();
  timer.cancel();
  datagrams.close();
  await Promise.all([lost.promise, child.promise]);
  const stream = pair.clientTransport;
  await closed(stream, pair.clientSide);
  return {
    BaseTransport: stream,
    ReadTransport: stream,
    WriteTransport: stream,
    Transport: stream,
    DatagramTransport: datagrams,
    SubprocessTransport: subprocess,
    Handle: handle,
    TimerHandle: timer,
    Server: pair.server,
    EventLoop: loop,
    BaseProtocol: new tandem.BaseProtocol(),
    Protocol: new tandem.Protocol(),
    BufferedProtocol: new tandem.BufferedProtocol(),
    DatagramProtocol: new tandem.DatagramProtocol(),
    SubprocessProtocol: new tandem.SubprocessProtocol(),
    "@tandem/io": tandem,
  };
}

/** Where the mechanical rule does not hold. */
const renamed: Record<string, string> = {
  sockets: "addresses",
  socketpair: "socketPair",
  SSLContext: "TlsContext",
  SSLError: "TlsError",
};

function camelCase(name: string): string {
  return renamed[name] ?? name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

Deno.test("every name in the README's table follows the rule and exists", async () => {
  const objects = await makeExamples();
  let object: object = {};
  let count = 0;
  for (const [left = "", right = ""] of rows("asyncio")) {
    const names = codes(right);
    if (right.startsWith("**")) {
      assert(names[0]! in objects, names[0]!);
      object = objects[names[0]!]!;
      continue;
    }
    assertEquals(codes(left).map(camelCase), names);
    for (const name of names) {
      assert(name in object, `${object.constructor?.name ?? "mod.ts"} has no ${name}`);
      count++;
    }
  }
  assertGreater(count, 70);
});

/** The part of `deno doc --json` that is used. */
interface Documentation {
  nodes: Record<string, { symbols: { name: string; declarations: { kind: string; def?: Members }[] }[] }>;
}
interface Members {
  methods?: { name: string }[];
  properties?: { name: string }[];
}

Deno.test("every public name is in the README's table", async () => {
  const listed = new Set(rows("asyncio").flatMap(([, right = ""]) => codes(right)));
  const [, only = ""] = /^Only in Tandem: ([^]*?)\n\n/m.exec(readme) ?? [];
  for (const name of codes(only)) listed.add(name);
  const { stdout } = await deno(Deno.cwd(), "doc", "--json", new URL("mod.ts", root).href).output();
  const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
  const { symbols } = Object.values(nodes)[0]!;
  const missing: string[] = [];
  for (const { name, declarations } of symbols) {
    const values = declarations.filter(({ kind }) => kind === "class" || kind === "function");
    if (values.length > 0 && !listed.has(name)) missing.push(name);
    if (!/Loop|Server|Protocol|Transport|^Handle|TimerHandle|WriteBuffer$/.test(name)) continue;
    for (const { def } of declarations) {
      for (const member of [...def?.methods ?? [], ...def?.properties ?? []]) {
        if (/^\w+$/.test(member.name) && !listed.has(member.name)) missing.push(`${name}.${member.name}`);
      }
    }
  }
  assertGreater(symbols.length, 40);
  assertEquals(missing.filter((name) => !/^(Server|UnixServer)Options\./.test(name)), []);
});

Deno.test("the README's table of extra information has every key", () => {
  const keys: Record<keyof ExtraInfo, true> = {
    peername: true,
    sockname: true,
    socket: true,
    cipher: true,
    peercert: true,
    alpnProtocol: true,
    sslcontext: true,
    sslObject: true,
    compression: true,
    pipe: true,
    subprocess: true,
  };
  const listed = rows("key of `getExtraInfo`").flatMap(([cell = ""]) => codes(cell));
  assertEquals(listed, Object.keys(keys));
});

Deno.test("the README's table of TLS errors has every code", () => {
  const all: Record<TlsErrorCode, true> = {
    UNKNOWN_ISSUER: true,
    WRONG_NAME: true,
    CERTIFICATE_EXPIRED: true,
    CERTIFICATE_NOT_YET_VALID: true,
    BAD_CERTIFICATE: true,
    NO_CLIENT_CERTIFICATE: true,
    NO_SHARED_PROTOCOL: true,
    NO_SHARED_VERSION: true,
    NOT_TLS: true,
    ALERT: true,
    FAILED: true,
  };
  assertEquals(rows("code").flatMap(([cell = ""]) => codes(cell)), Object.keys(all));
});

Deno.test("every error in the README's table exists", () => {
  for (const [cell = ""] of rows("error")) {
    for (const name of codes(cell)) {
      const [first, last] = name.split(".").length === 1 ? [name, name] : name.split(/\.(?=\w+$)/);
      const holder = first === "Deno" ? Deno : first === "Deno.errors" ? Deno.errors : { ...globalErrors, ...tandem };
      assert(last! in holder, name);
    }
  }
});

const globalErrors = { Error, TypeError, RangeError };

/** For each row of the table of permissions, a program that uses just that. `HOST` is 127.0.0.1, and so on. */
const uses: Record<string, string> = {
  "`createConnection`, also with `tls`":
    `await loop.createConnection(() => ({}), { hostname: "HOST", port: PORT, tls: { caCerts } })`,
  "`createServer`, also with `tls`": `for (const tls of [undefined, { cert, key }]) {
      await loop.createServer(() => ({}), { hostname: "HOST", port: 0, tls });
    }`,
  "`createServer` with `reusePort`":
    `await loop.createServer(() => ({}), { hostname: "HOST", port: 0, reusePort: true })`,
  "`createUnixConnection`": `await loop.createUnixConnection(() => ({}), { path: "PATH" })`,
  "`createUnixServer`": `await loop.createUnixServer(() => ({}), { path: "FOLDER/" + Deno.pid })`,
  "`createDatagramEndpoint`": `await loop.createDatagramEndpoint(() => ({}))`,
  "`createDatagramEndpoint` with `path`":
    `await loop.createDatagramEndpoint(() => ({}), { localAddr: { path: "FOLDER/" + Deno.pid } })`,
  "`connectReadPipe`, `connectWritePipe`":
    `await loop.connectReadPipe(() => ({}), Deno.stdin); await loop.connectWritePipe(() => ({}), Deno.stderr)`,
  "`subprocessExec`": `await loop.subprocessExec(() => ({}), "PROGRAM")`,
  "`subprocessShell`": `await loop.subprocessShell(() => ({}), "exit 0")`,
  '`subprocessExec` with `stderr: "stdout"`': `await loop.subprocessExec(() => ({}), "true", { stderr: "stdout" })`,
  "`sendfile`":
    `const c = new WritableStream(); const [t] = await loop.connectWritePipe(() => ({}), c); await loop.sendfile(t, await Deno.open("FILE"))`,
  "`socketPair`": `await socketPair()`,
  "scheduling, signals, debug mode":
    `loop.callLater(1, () => {}); loop.setDebug(true); loop.addSignalHandler("SIGINT", () => {})`,
};

const permissions = rows("what");

Deno.test("the README's table of permissions has the rows that are tried here", () => {
  assertEquals(permissions.map(([what]) => what!), Object.keys(uses));
});

for (const [what = "", needed = ""] of permissions) {
  const flags = needed.startsWith("none") ? [] : codes(needed)[0]!.split(" ");
  Deno.test(
    `${what} needs ${flags.join(" ") || "no permission"}`,
    { ignore: Deno.build.os === "windows" },
    async () => {
      using temp = tempPath();
      const { directory, path } = temp;
      await Deno.writeFile(`${directory}/file`, bytes("content"));
      await using tcp = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls: { cert, key } });
      await using unix = await loop.createUnixServer(() => ({}), { path });
      const fill = (text: string) =>
        text.replace("HOST", "127.0.0.1").replace("PATH", path).replace("FOLDER", directory).replace("PROGRAM", "true")
          .replace("FILE", `${directory}/file`)
          .replace("PORT", what.startsWith("`createConnection`") ? `${(tcp.addresses[0] as Deno.NetAddr).port}` : "0");
      const program = `import { getRunningLoop, socketPair } from ${JSON.stringify(new URL("mod.ts", root).href)};
      const loop = getRunningLoop();
      const { caCerts, cert, key } = ${JSON.stringify({ caCerts: [caCert], cert, key })};
      try { ${fill(uses[what]!)}; console.log("ran"); } catch (error) { console.log(error.name); }
      socketPair, caCerts, cert, key; Deno.exit();`;
      await Deno.writeTextFile(`${directory}/main.js`, program);
      const run = async (flags: string[]) => {
        const args = ["run", "--quiet", "--no-prompt", "--no-config", ...flags, "main.js"];
        const command = new Deno.Command(Deno.execPath(), { args, cwd: directory, env: { NO_COLOR: "1" } });
        const { stdout, stderr } = await command.output();
        return new TextDecoder().decode(stdout).trim() || new TextDecoder().decode(stderr);
      };
      const given = flags.map(fill);
      assertEquals(await run(given), "ran");
      for (const flag of given) {
        const denied = await run(given.filter((other) => other !== flag));
        assertMatch(denied, flag.startsWith("--unstable") ? /^NotSupported$/ : /^NotCapable$/, `without ${flag}`);
      }
      // Both servers must go before their listeners' scope does, with what connected to them.
      for (const server of [tcp, unix]) server.abortClients();
    },
  );
}

Deno.test("the README's links lead to files that exist", () => {
  for (const name of ["README.md", "CONTRIBUTING.md"]) {
    const text = Deno.readTextFileSync(new URL(name, root));
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)\)/g)) Deno.statSync(new URL(target!, root));
  }
});
