/** What the tests of README.md and docs/ read, and how they run what stands there. */
import { assert, assertGreater } from "../std.ts";
import { text } from "../kit.ts";

export const root = new URL("../../", import.meta.url);

/** The pages that users read, by their path. */
export const PAGES: string[] = [
  "README.md",
  ...[...Deno.readDirSync(new URL("docs/", root))].map(({ name }) => `docs/${name}`).sort(),
];

export function read(page: string): string {
  return Deno.readTextFileSync(new URL(page, root));
}

/** The code blocks of a language in a page. */
export function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(([, code]) => code!);
}

/** The rows of the table of a page whose first headings are these, as cells. */
export function rows(page: string, ...headings: string[]): string[][] {
  const lines = read(page).split("\n");
  const pattern = new RegExp(`^${headings.map((heading) => `\\| ${heading} +`).join("")}\\|`);
  const start = lines.findIndex((line) => pattern.test(line));
  assert(start >= 0, `${page} has no table that begins with ${headings.join(", ")}`);
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"));
  const found = lines.slice(start + 2, length === -1 ? undefined : start + length);
  assertGreater(found.length, 0);
  return found.map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
}

/** What stands in backquotes. */
export function codes(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
}

/** A project outside the repository that maps the package to its files, and has a user's TypeScript. */
export async function makeProject(directory: string, sources: Record<string, string>): Promise<void> {
  const { exports, imports } = JSON.parse(read("deno.json")) as Record<"exports" | "imports", Record<string, string>>;
  const config = {
    imports: {
      "@std/async/retry": imports["@std/async/retry"],
      "@std/streams": imports["@std/streams"],
      ...Object.fromEntries(
        Object.entries(exports).map(([name, file]) => [`@tandem/io${name.slice(1)}`, new URL(file, root).href]),
      ),
    },
    compilerOptions: { strict: true, noImplicitOverride: true, noUncheckedIndexedAccess: true, noUnusedLocals: true },
  };
  await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify(config));
  for (const [name, source] of Object.entries(sources)) await Deno.writeTextFile(`${directory}/${name}`, source);
}

export function deno(directory: string, ...args: string[]): Deno.Command {
  const env = { NO_COLOR: "1" };
  return new Deno.Command(Deno.execPath(), { args, cwd: directory, env, stdout: "piped", stderr: "piped" });
}

/** Runs a page's program to its end. */
export async function runProgram(directory: string, source: string, ...permissions: string[]) {
  await makeProject(directory, { "program.ts": source });
  const command = deno(directory, "run", "--quiet", "--no-prompt", ...permissions, "program.ts");
  const { code, stdout, stderr } = await command.output();
  return [code, text(stderr), text(stdout)];
}

/** Runs a page's server, and gives the port that it has printed. */
export async function serve(directory: string, source: string, ...permissions: string[]) {
  await makeProject(directory, { "server.ts": source.replace(/port: \d+/, "port: 0") });
  const child = deno(directory, "run", "--quiet", "--no-prompt", ...permissions, "server.ts").spawn();
  // A server that prints nothing must not make this wait for ever.
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

const certs = new URL("examples/certs/", root);

/** The certificates of the examples. */
export const [caCert, cert, key] = ["ca.pem", "server.pem", "server.key"].map((name) =>
  Deno.readTextFileSync(new URL(name, certs))
) as [string, string, string];

export async function copyCerts(directory: string): Promise<void> {
  for (const [name, pem] of Object.entries({ "ca.pem": caCert, "server.pem": cert, "server.key": key })) {
    await Deno.writeTextFile(`${directory}/${name}`, pem);
  }
}
