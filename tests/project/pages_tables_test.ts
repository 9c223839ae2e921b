/** The tables of docs/: their names exist, and every public name is in them. */
import { assert, assertEquals, assertGreater } from "../std.ts";
import { closed, connect, loop, Recorder } from "../kit.ts";
import * as tandem from "../../mod.ts";
import * as streams from "../../streams/mod.ts";
import * as framing from "../../framing/mod.ts";
import type { ExtraInfo, TlsErrorCode } from "../../mod.ts";
import { codes, deno, read, root, rows } from "./pages_kit.ts";

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
  socketpair: "socketPair",
  SSLContext: "TlsContext",
  SSLError: "TlsError",
};

function camelCase(name: string): string {
  return renamed[name] ?? name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

Deno.test("docs/asyncio.md: every name follows the rule and exists", async () => {
  const objects = await makeExamples();
  let object: object = {};
  let count = 0;
  for (const [left = "", right = ""] of rows("docs/asyncio.md", "asyncio", "Tandem")) {
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
  properties?: Property[];
}
interface Property {
  name: string;
  optional: boolean;
  jsDoc?: { tags?: { kind: string; value?: string }[] };
}

/** What `deno doc` knows of `mod.ts`. */
async function readSymbols() {
  const { stdout } = await deno(Deno.cwd(), "doc", "--json", new URL("mod.ts", root).href).output();
  const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
  return Object.values(nodes)[0]!.symbols;
}

Deno.test("docs/asyncio.md: every public name is there", async () => {
  const listed = new Set(rows("docs/asyncio.md", "asyncio", "Tandem").flatMap(([, right = ""]) => codes(right)));
  const [, only = ""] = /^Only in Tandem: ([^]*?)\n\n/m.exec(read("docs/asyncio.md")) ?? [];
  for (const name of codes(only)) listed.add(name);
  const symbols = await readSymbols();
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
  assertEquals(missing.filter((name) => !/(Options|Info|State)\./.test(name)), []);
});

Deno.test("docs/asyncio.md: every key of getExtraInfo() is there", () => {
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
    proxyProtocol: true,
    proxyPeername: true,
    proxySockname: true,
  };
  const listed = rows("docs/asyncio.md", "key of `getExtraInfo`").flatMap(([cell = ""]) => codes(cell));
  assertEquals(listed, Object.keys(keys));
});

Deno.test("docs/tls.md: every code of TlsError is there", () => {
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
  assertEquals(rows("docs/tls.md", "code", "cause").flatMap(([cell = ""]) => codes(cell)), Object.keys(all));
});

Deno.test("docs/errors.md: every error exists", () => {
  for (const [cell = ""] of rows("docs/errors.md", "error", "when")) {
    for (const name of codes(cell)) {
      const [first, last] = name.split(".").length === 1 ? [name, name] : name.split(/\.(?=\w+$)/);
      const holder = first === "Deno"
        ? Deno
        : first === "Deno.errors"
        ? Deno.errors
        : { ...globalErrors, ...tandem, ...streams, ...framing };
      assert(last! in holder, name);
    }
  }
});

const globalErrors = { Error, TypeError, RangeError };

Deno.test("docs/recipes.md: every option is there, with its default", async () => {
  const listed = rows("docs/recipes.md", "option", "of", "default").map(([option = "", , value = ""]) =>
    [codes(option)[0], value === "required" ? value : codes(value)[0]].join(": ")
  );
  const missing: string[] = [];
  for (const { name, declarations } of await readSymbols()) {
    // SpawnOptions is what an engine is given: it has every field.
    if (!/Options$|^WriteBufferLimits$/.test(name) || name === "SpawnOptions") continue;
    for (const property of declarations.flatMap(({ def }) => def?.properties ?? [])) {
      // Deno cuts a default that has braces of its own short.
      const { value = "undefined" } = property.jsDoc?.tags?.find(({ kind }) => kind === "default") ?? {};
      const entry = `${property.name}: ${property.optional ? value : "required"}`;
      if (!listed.some((option) => option === entry || option === `${entry}}`)) missing.push(`${name}.${entry}`);
    }
  }
  assertEquals(missing, []);
});
