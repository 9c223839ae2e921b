/** The module documentation of each entry point, which JSR shows in the place of a README. */
import { assert, assertEquals, assertStringIncludes } from "../std.ts";
import { tempPath } from "../kit.ts";
import { read, runProgram } from "./pages_kit.ts";

const entryPoints: [name: string, file: string][] = Object.entries(
  (JSON.parse(read("deno.json")) as { exports: Record<string, string> }).exports,
).map(([name, file]) => [`@tandem/io${name.slice(1)}`, file]);

/** A module's documentation, without the asterisks. */
function landingPage(file: string): string {
  const [, comment = ""] = /^\/\*\*\n([^]*?) \*\/$/m.exec(read(file)) ?? [];
  return comment.replaceAll(/^ \* ?/gm, "");
}

for (const [name, file] of entryPoints) {
  Deno.test(`${name} has a landing page whose example prints what it says`, async () => {
    const page = landingPage(file);
    assertStringIncludes(page, "\n```sh\ndeno add jsr:@tandem/io\n```\n");
    assert(page.endsWith("\n@module\n"), page);
    // JSR shows no diagrams. What follows an @example belongs to it, so the example is last.
    assertEquals(page.includes("mermaid"), false);
    const [, source = "", rest] = /\n@example .+\n```ts\n([^]*?)```\n\n([^]*)/.exec(page) ?? [];
    assertEquals(rest, "@module\n");
    assertStringIncludes(source, `from "${name}";`);
    using temp = tempPath();
    const [, output = ""] = source.split("\n// Output:\n");
    const permissions = ["--allow-net", ...name.endsWith("/epoll") ? ["--allow-ffi"] : []];
    assertEquals(await runProgram(temp.directory, source, ...permissions), [0, "", output.replaceAll(/^\/\/ /gm, "")]);
  });
}

Deno.test("the landing page of @tandem/io links to every other entry point", () => {
  const page = landingPage("./mod.ts");
  for (const [name] of entryPoints.slice(1)) {
    assertStringIncludes(page, `[\`${name}\`](/@tandem/io/doc/${name.slice("@tandem/io/".length)})`);
  }
});
