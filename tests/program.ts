/** Programs: in a Deno of their own, for permissions, flags, standard streams and the end of a process; and others. */
import { isOverEpoll, isOverOpenssl } from "./engine.ts";
import { bytes, text } from "./kit.ts";

/** Where the certificates of the examples are, for programs that take paths. */
export const certs = new URL("../examples/certs/", import.meta.url).pathname;

/** How to run a program. */
export interface ProgramOptions {
  /** Flags of `deno run`, such as permissions. None are given by default, and none is asked for. */
  flags?: string[];
  /** Arguments of the program. */
  args?: string[];
  /** How many files it may have open at a time; as many as we by default. */
  openFiles?: number;
  /** Its environment, beside ours. */
  env?: Record<string, string>;
}

/** What became of a program. */
export interface ProgramResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Adds the flags of `deno run` by which a program runs over the engine of this isolate's tests. */
export function withEngine(flags: string[]): string[] {
  if (!isOverEpoll()) return flags;
  const files = [...isOverOpenssl() ? [] : ["./use_node_tls.ts"], "./install_epoll.ts"];
  const preload = files.flatMap((file) => ["--preload", new URL(file, import.meta.url).pathname]);
  return [...flags, ...preload, ...flags.includes("-A") ? [] : ["--allow-ffi"]];
}

/**
 * Makes a program that can import `@tandem/io`, with no configuration; leaving the scope removes it. It runs over the engine of
 * this isolate's tests.
 */
export function program(
  source: string,
  options: ProgramOptions = {},
): Disposable & { command(stdio?: Stdio): Deno.Command; words: string[] } {
  const path = Deno.makeTempFileSync({ prefix: "tandem-test-", suffix: ".ts" });
  Deno.writeTextFileSync(path, source.replaceAll('"@tandem/io"', JSON.stringify(import.meta.resolve("../mod.ts"))));
  const { args = [], env = {}, openFiles } = options;
  const flags = withEngine(["--no-config", "--no-prompt", "--quiet", ...options.flags ?? []]);
  const words = [Deno.execPath(), "run", ...flags, path, ...args];
  if (openFiles !== undefined) words.unshift("/bin/sh", "-c", `ulimit -n ${openFiles}; exec "$0" "$@"`);
  return {
    words,
    command: (stdio = {}) =>
      new Deno.Command(words[0]!, {
        args: words.slice(1),
        env: { NO_COLOR: "1", ...env },
        stdin: "null",
        ...stdio,
      }),
    [Symbol.dispose]: () => Deno.removeSync(path),
  };
}

/** Which of a program's standard streams are pipes. */
type Stdio = Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">;

/** Runs a program to its end, with nothing on its standard input. */
export async function runProgram(source: string, options: ProgramOptions = {}): Promise<ProgramResult> {
  using made = program(source, options);
  const { code, stdout, stderr } = await made.command().output();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

function isThere(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdin: "null", stdout: "null", stderr: "null" })
      .outputSync()
      .code !== 127;
  } catch {
    return false;
  }
}

/** A test with a program that may be missing. */
export function foreign(program: string, name: string, fn: (test: Deno.TestContext) => Promise<void>): void {
  const ignore = Deno.build.os === "windows" || !isThere(program);
  Deno.test(ignore ? `${name} (skipped: no ${program})` : name, { ignore }, fn);
}

/** Runs a program to its end, which comes within ten seconds. */
export async function execute(program: string, args: string[], input = "") {
  const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(program, { args, ...piped, signal: AbortSignal.timeout(10_000) }).spawn();
  const writer = child.stdin.getWriter();
  // It may end without reading all.
  await writer.write(bytes(input)).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
