/** `deno task test` names files and folders: none is forgotten, and none runs twice. */
import { assert, assertEquals } from "../std.ts";

const root = new URL("../../", import.meta.url);

function* testFiles(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, root))) {
    if (isDirectory) yield* testFiles(`${folder}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${folder}/${name}`;
  }
}

Deno.test("deno task test runs each test file once, in fast.ts or by itself", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const named: string[] = tasks.test.command.split(" ").filter((word: string) => word.startsWith("tests/"));
  const fast = Deno.readTextFileSync(new URL("tests/fast.ts", root));
  const imported = [...fast.matchAll(/^import "\.\/(.*)";$/gm)].map(([, path]) => `tests/${path}`);
  assert(named.includes("tests/fast.ts"));
  for (const path of testFiles("tests")) {
    const places = [...named, ...imported].filter((place) => place === path || path.startsWith(`${place}/`));
    assertEquals(places.length, 1, `${path}: ${places}`);
  }
});
