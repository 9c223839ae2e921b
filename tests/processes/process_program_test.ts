import { assertEquals, assertRejects } from "../std.ts";
import type { SubprocessExecOptions } from "../../loop/subprocess.ts";
import { tempPath } from "../kit.ts";
import { exec, run } from "./kit.ts";

/** Both ways to start a program: by Deno alone, and through the shell that merges its streams. */
const WAYS = ["piped", "stdout"] as const;

/** A directory with programs that can and cannot be run. */
function programs(): Disposable & { directory: string } {
  const temp = tempPath();
  const add = (name: string, text: string, mode = 0o755) =>
    Deno.writeTextFileSync(`${temp.directory}/${name}`, text, { mode });
  add("hello", '#!/bin/sh\necho "hello $1"\n');
  add("-dash", "#!/bin/sh\necho dash\n");
  add("with space", "#!/bin/sh\necho space\n");
  add("100%25", "#!/bin/sh\necho percent\n");
  add("not_executable", "#!/bin/sh\necho no\n", 0o644);
  add("no_interpreter", "#!/no/such/interpreter\n");
  Deno.mkdirSync(`${temp.directory}/folder`);
  Deno.mkdirSync(`${temp.directory}/folder/hello`);
  return temp;
}

/** The names of variables that two outputs of `env -0` do not agree on; their values stay secret. */
function variablesThatDiffer(a: string, b: string): string[] {
  const [entriesOfA, entriesOfB] = [new Set(a.split("\0")), new Set(b.split("\0"))];
  const names = [...entriesOfA.symmetricDifference(entriesOfB)].map((entry) => entry.split("=", 1)[0]!);
  // A shell may not pass on what it could not name, such as the "?" that `deno task` gives to its second command.
  return names.filter((name) => /^[A-Za-z_]\w*$/.test(name));
}

/** Variables that shells set for themselves, or that a script might use. */
const HOSTILE = "p d line s IFS OPTARG OPTERR OPTIND PPID PS1 PS2 PS4 PWD OLDPWD SHLVL ENV LINENO RANDOM SECONDS _ " +
  "UID BASHOPTS BASHPID BASH_ENV BASH_VERSION EPOCHSECONDS POSIXLY_CORRECT SHELLOPTS TMOUT LC_ALL CDPATH HOME";

/** What came of a call: the error's name and code, or the output. */
async function outcome(program: string | URL, args: string[], options: SubprocessExecOptions): Promise<string> {
  try {
    const child = await run(program, args, options);
    return child.text(1) + child.text(2);
  } catch (error) {
    return `${(error as Error).name} ${(error as Error & { code?: string }).code}`;
  }
}

for (const stderr of WAYS) {
  Deno.test(`subprocessExec() rejects with Deno's error for what cannot be run, with stderr: "${stderr}"`, async () => {
    using temp = programs();
    const { directory } = temp;
    const tries = [
      `${directory}/nothing`,
      "no-such-program-anywhere",
      `${directory}/not_executable`,
      directory,
      `${directory}/hello/below`,
      `${directory}/no_interpreter`,
      // Not looked for in the working directory.
      "hello",
    ];
    const outcomes = [];
    for (const program of tries) outcomes.push(await outcome(program, [], { stderr, cwd: directory }));
    assertEquals(outcomes, [
      "NotFound ENOENT",
      "NotFound ENOENT",
      "PermissionDenied EACCES",
      "PermissionDenied EACCES",
      "NotADirectory ENOTDIR",
      "NotFound ENOENT",
      "NotFound ENOENT",
    ]);
  });

  Deno.test(`subprocessExec() finds what can be run, with stderr: "${stderr}"`, async () => {
    using temp = programs();
    const { directory } = temp;
    const PATH = directory;
    const url = (name: string) => new URL(`file://${directory}/${encodeURIComponent(name)}`);
    const outcomes = [
      await outcome(`${directory}/hello`, ["path"], { stderr }),
      await outcome("hello", ["PATH"], { stderr, env: { PATH } }),
      await outcome("hello", ["not the folder"], { stderr, env: { PATH: `${directory}/folder:${directory}` } }),
      await outcome("./hello", ["cwd"], { stderr, cwd: directory }),
      await outcome("folder/../hello", ["cwd"], { stderr, cwd: directory }),
      await outcome("./hello", ["cwd as URL"], { stderr, cwd: new URL(`file://${directory}/`) }),
      await outcome("-dash", [], { stderr, env: { PATH } }),
      await outcome("with space", [], { stderr, env: { PATH } }),
      await outcome(url("with space"), [], { stderr }),
      await outcome(url("100%25"), [], { stderr }),
    ];
    assertEquals(outcomes, [
      "hello path\n",
      "hello PATH\n",
      "hello not the folder\n",
      "hello cwd\n",
      "hello cwd\n",
      "hello cwd as URL\n",
      "dash\n",
      "space\n",
      "space\n",
      "percent\n",
    ]);
  });

  Deno.test(`subprocessExec() passes arguments as they are, with stderr: "${stderr}"`, async () => {
    const args = ["[%s]", "", "a b", "*", "$HOME", "'", '"', "\\", "a\nb", "-n", "äöü", "`id`"];
    const { length } = args;
    assertEquals(length, 12);
    assertEquals(
      await outcome("printf", args, { stderr }),
      args.slice(1).map((arg) => `[${arg}]`).join(""),
    );
  });

  Deno.test(`subprocessExec() rejects for a working directory that is not there, with stderr: "${stderr}"`, async () => {
    await assertRejects(
      () => exec("cat", [], { stderr, cwd: "/no/such/directory" }),
      Deno.errors.NotFound,
      "/no/such/directory",
    );
  });
}

Deno.test("subprocessExec() gives the child the same environment, whether its streams are merged or not", async () => {
  using temp = tempPath();
  const names = HOSTILE.split(" ");
  const hostile = ["' x", "a\nb", "77", "", "noexec"].map((value) => names.map((name) => [name, value]));
  const environments: SubprocessExecOptions[] = [
    ...hostile.map((entries) => ({ env: Object.fromEntries(entries) })),
    ...hostile.map((entries) => ({ env: Object.fromEntries(entries), clearEnv: true })),
    ...names.map((name) => ({ env: { [name]: "a b" } })),
    {},
    { env: { TANDEM: "a b" } },
    { clearEnv: true },
    { clearEnv: true, env: { TANDEM: "a=b" } },
    { cwd: temp.directory },
    { cwd: temp.directory, clearEnv: true },
    { cwd: temp.directory, env: { PWD: "/elsewhere" } },
  ];
  for (const options of environments) {
    const [plain, merged] = await Promise.all(
      WAYS.map((stderr) => outcome("/usr/bin/env", ["-0"], { ...options, stderr })),
    );
    assertEquals(variablesThatDiffer(plain!, merged!), [], JSON.stringify(options.env));
    assertEquals(plain!.split("\0").length > (options.clearEnv ? 0 : 1), true);
  }
  assertEquals(await outcome("/usr/bin/env", [], { clearEnv: true, env: { TANDEM: "1" } }), "TANDEM=1\n");
});

Deno.test("subprocessExec() finds a program by PATH alike, whether its streams are merged or not", async () => {
  using temp = programs();
  const { directory: cwd } = temp;
  Deno.writeTextFileSync(`${cwd}/name`, '#!/bin/sh\necho "$0 is run"\n', { mode: 0o755 });
  Deno.symlinkSync(`${cwd}/name`, `${cwd}/a=b`);
  const tries: [string, SubprocessExecOptions][] = [
    ["hello", { cwd, env: { PATH: ":/bin" } }],
    ["hello", { cwd, env: { PATH: "/bin::/usr/bin" } }],
    ["hello", { cwd, env: { PATH: "/bin:" } }],
    ["hello", { cwd, env: { PATH: "" } }],
    ["hello", { env: { PATH: `${cwd.slice(0, -1)}*` } }],
    ["true", { clearEnv: true }],
    ["name", { env: { PATH: cwd } }],
    ["a=b", { env: { PATH: cwd } }],
    [`${cwd}/a=b`, {}],
  ];
  for (const [program, options] of tries) {
    const outcomes = await Promise.all(WAYS.map((stderr) => outcome(program, [], { ...options, stderr })));
    assertEquals(outcomes[1], outcomes[0], `${program} ${JSON.stringify(options)}`);
  }
});

Deno.test("subprocessExec() runs the child in the directory that cwd names", async () => {
  using temp = tempPath();
  const directory = Deno.realPathSync(temp.directory);
  for (const stderr of WAYS) assertEquals(await outcome("pwd", ["-P"], { stderr, cwd: directory }), `${directory}\n`);
});
