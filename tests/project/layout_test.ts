/** The shape that CONTRIBUTING.md promises: no circles, and each layer on those below it only. */
import { assert, assertEquals, assertGreater } from "../std.ts";

const root = new URL("../../", import.meta.url);

/** The part of `deno info --json` that is used. */
interface Info {
  modules: { specifier: string; dependencies?: { code?: { specifier: string }; type?: { specifier: string } }[] }[];
}

/** What each file imports, type imports included, by path from the root. */
async function readImports(): Promise<Map<string, string[]>> {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root))) as {
    exports: Record<string, string>;
  };
  const modules: Info["modules"] = [];
  for (const file of Object.values(exports)) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", new URL(file, root).href],
    }).output();
    modules.push(...(JSON.parse(new TextDecoder().decode(stdout)) as Info).modules);
  }
  const isOurs = (specifier: string) => specifier.startsWith(root.href);
  const pathOf = (specifier: string) => specifier.slice(root.href.length);
  return new Map(
    modules.filter(({ specifier }) => isOurs(specifier)).map(({ specifier, dependencies = [] }) => {
      const imports = dependencies.flatMap(({ code, type }) => [code?.specifier, type?.specifier]);
      return [
        pathOf(specifier),
        imports.filter((specifier) => specifier !== undefined && isOurs(specifier)).map((s) => pathOf(s!)),
      ];
    }),
  );
}

/** A circle among the files, if there is one. */
function findCircle(imports: Map<string, string[]>): string[] | null {
  const done = new Set<string>();
  const visit = (path: string, above: string[]): string[] | null => {
    if (above.includes(path)) return [...above.slice(above.indexOf(path)), path];
    if (done.has(path)) return null;
    for (const next of imports.get(path) ?? []) {
      const circle = visit(next, [...above, path]);
      if (circle !== null) return circle;
    }
    done.add(path);
    return null;
  };
  for (const path of imports.keys()) {
    const circle = visit(path, []);
    if (circle !== null) return circle;
  }
  return null;
}

Deno.test("no file imports itself by way of others, types included", async () => {
  const imports = await readImports();
  assertGreater(imports.size, 30);
  assertEquals(findCircle(imports), null);
  assertEquals(findCircle(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
});

Deno.test("transports/transport.ts imports the keys of TLS and the types of a PROXY header, which import nothing", async () => {
  const imports = await readImports();
  const types = ["transports/proxy_header.ts", "transports/tls_extra_info.ts"];
  assertEquals([...new Set(imports.get("transports/transport.ts"))].sort(), types);
  for (const file of types) assertEquals(imports.get(file), []);
});

Deno.test("each room imports only itself and the rooms below it", async () => {
  // From the bottom to the top. A room names itself and the rooms before it; protocols name the interfaces alone.
  const rooms = ["memory", "transports", "protocols", "tls", "proxy_protocol", "engines", "loop"];
  // Each stands above the loop, on the `mod.ts` of the rooms below, and imports no other room of this kind.
  const above = ["streams", "framing", "testing"];
  const allowed = (room: string, other: string): boolean => {
    if (room === "protocols") return /^(protocols\/|transports\/transport\.ts$)/.test(other);
    if (above.includes(room)) {
      if (other.startsWith(`${room}/`)) return true;
      return other !== "mod.ts" &&
        (!other.includes("/") ||
          /^((transports|protocols|loop)\/mod|protocols\/library_class|engines\/deno\/mod)\.ts$/.test(other));
    }
    const [otherRoom = "", file] = other.split("/");
    return file === undefined ? other !== "mod.ts" : rooms.indexOf(otherRoom) <= rooms.indexOf(room);
  };
  for (const [path, imports] of await readImports()) {
    const [room = "", file] = path.split("/");
    // A door names what is behind other doors, too.
    if (file === undefined || path.endsWith("/mod.ts")) continue;
    for (const other of imports) assert(allowed(room, other), `${path} imports ${other}`);
  }
});

/** What Deno has for sockets, listeners, datagrams, children, files and pipes. */
const SYSTEM =
  /\bDeno\.(connect|connectTls|startTls|listen|listenTls|listenDatagram|Command|ChildProcess|(Tcp|Unix|Tls|Datagram)?Conn|(Tcp|Unix|Tls)?Listener|FsFile|open|stdin|stdout|stderr)\b/;

/** Types that a seam or an interface names, and a file that is an option's. */
const NAMES_TYPES: Record<string, RegExp> = {
  "tls/openssl/keylog.ts": /^ +(let file: Deno\.FsFile;|file = await Deno\.open\(keylog, APPEND\);)/,
  "transports/engine.ts": /^export type Deno(Conn|Listener) = /,
  "transports/file_source.ts": /^export type DenoFile = /,
  "transports/transport.ts": /^ +(socket: Deno\.Conn|subprocess: Deno\.ChildProcess);/,
};

Deno.test("only engines/deno/ names a socket, a listener, a process, a file or a pipe of Deno's", async () => {
  const paths = [...(await readImports()).keys()];
  assertGreater(paths.filter((path) => path.startsWith("loop/")).length, 15);
  for (const path of paths) {
    if (path.startsWith("engines/")) continue;
    const source = await Deno.readTextFile(new URL(path, root));
    const code = source.replaceAll(/\/\*\*.*?\*\//gs, "").split("\n").map((line) =>
      line.replace(/"[^"]*"|`[^`]*`|(^|\s)\/\/ .*/g, "")
    );
    const named = code.filter((line) => SYSTEM.test(line) && !NAMES_TYPES[path]?.test(line));
    assertEquals(named, [], path);
  }
  assert(SYSTEM.test("await Deno.connect({ port })") && SYSTEM.test("conn: Deno.TcpConn"));
});

Deno.test("only tls/default_provider.ts names an implementation of TLS", async () => {
  const importers: string[] = [];
  for (const [path, imports] of await readImports()) {
    if (!path.startsWith("tls/node/") && imports.some((other) => other.startsWith("tls/node/"))) importers.push(path);
  }
  assertEquals(importers, ["tls/default_provider.ts"]);
});
