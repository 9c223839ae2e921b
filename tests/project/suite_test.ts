/** `deno task test` names files and folders: none is forgotten, and none runs twice. */
import { assert, assertEquals } from "../std.ts";

const root = new URL("../../", import.meta.url);

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
    if (isDirectory) yield* testFiles(`${folder}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${folder}/${name}`;
  }
}

/** The test files that a file of `tests/` imports. */
function importsOf(name: string): string[] {
  const source = Deno.readTextFileSync(new URL(`tests/${name}`, root));
  return [...source.matchAll(/^import "\.\/(.*_test\.ts)";$/gm)].map(([, path]) => `tests/${path}`);
}

Deno.test("deno task test runs each test file once over Deno's engine, in fast.ts, in both.ts or by itself", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const named: string[] = tasks.test.command.split(" ").filter((word: string) => word.startsWith("tests/"));
  const imported = [...importsOf("fast.ts"), ...importsOf("both.ts")];
  assert(named.includes("tests/fast.ts"));
  for (const path of testFiles("tests")) {
    const places = [...named, ...imported].filter((place) => place === path || path.startsWith(`${place}/`));
    assertEquals(places.length, 1, `${path}: ${places}`);
  }
});

Deno.test("deno task test runs a test file once at most over epoll, and never over an engine of its own", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  for (const name of ["over_epoll.ts", "tls_over_epoll.ts"]) assert(tasks.test.command.includes(`tests/${name}`));
  const paths = [...importsOf("over_epoll.ts"), ...importsOf("tls_over_epoll.ts"), ...importsOf("both.ts")];
  assertEquals(paths.length, new Set(paths).size);
  const all = [...testFiles("tests")];
  for (const path of paths) assert(all.includes(path) && !path.startsWith("tests/engines/"), path);
});
