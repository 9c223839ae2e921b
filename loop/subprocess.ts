import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkFactory, checkInteger, checkOneOf } from "../checks.ts";
import { describe } from "../errors.ts";
import type { Stdio } from "../transports/engine.ts";
import { SubprocessTransport } from "../transports/subprocess_transport.ts";
import type { SubprocessCallbacks, SubprocessTransport as Interface } from "../transports/transport.ts";
import type { LoopCore } from "./loop_core.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";

/** The options of {@linkcode EventLoop.subprocessShell}. */
export interface SubprocessOptions {
  /**
   * The child's standard input.
   *
   * @default {"piped"}
   */
  stdin?: Stdio;
  /**
   * The child's standard output.
   *
   * @default {"piped"}
   */
  stdout?: Stdio;
  /**
   * The child's standard error; `"stdout"` merges it into standard output, in order. This starts the child by `/bin/sh`,
   * needs the permission to run that, and is not supported on Windows. The shell may not pass on two kinds of environment
   * variables: those that are not valid names in a shell (`a.b`), and those that a shell sets itself (`IFS`, `PWD`, `_`)
   * if this process is not permitted to read them.
   *
   * @default {"piped"}
   */
  stderr?: Stdio | "stdout";
  /**
   * The child's working directory.
   *
   * @default {undefined} that of this process
   */
  cwd?: string | URL;
  /** Environment variables, added to those of this process. */
  env?: Record<string, string>;
  /**
   * Pass `env` alone.
   *
   * @default {false}
   */
  clearEnv?: boolean;
  /** The user to run as, on POSIX. */
  uid?: number;
  /** The group to run as, on POSIX. */
  gid?: number;
  /**
   * Let the child live on when this process ends.
   *
   * @default {false}
   */
  detached?: boolean;
  /**
   * Pass arguments without quoting, on Windows.
   *
   * @default {false}
   */
  windowsRawArguments?: boolean;
}

/** The options of {@linkcode EventLoop.subprocessExec}. */
export interface SubprocessExecOptions extends SubprocessOptions {
  /**
   * The program's arguments, without its name.
   *
   * @default {[]}
   */
  args?: string[];
}

const SHELL_OPTIONS = namesOf<SubprocessOptions>({
  stdin: true,
  stdout: true,
  stderr: true,
  cwd: true,
  env: true,
  clearEnv: true,
  uid: true,
  gid: true,
  detached: true,
  windowsRawArguments: true,
});
const EXEC_OPTIONS: ReadonlySet<string> = new Set(["args", ...SHELL_OPTIONS]);
const STDIO = ["piped", "inherit", "null"];

/** Does the work of {@linkcode EventLoop.subprocessExec}. */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function subprocessExec<P extends SubprocessCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  program: string | URL,
  options: SubprocessExecOptions,
): Promise<[Interface, P]> {
  const method = "subprocessExec()";
  checkFactory(method, factory);
  if (!(program instanceof URL) && (typeof program !== "string" || program === "")) {
    throw new TypeError(`${method}: program must be a non-empty string or a URL, got ${describe(program)}`);
  }
  if (Array.isArray(options) || typeof options === "string") {
    const hint = "the program's arguments are the option args";
    throw new TypeError(`${method}: options must be a plain object, got ${describe(options)}; ${hint}`);
  }
  checkOptions(method, options, EXEC_OPTIONS);
  const { args = [] } = options;
  if (!Array.isArray(args)) {
    throw new TypeError(`${method}: args must be an array of strings, got ${describe(args)}`);
  }
  for (let i = 0; i < args.length; i++) checkText(method, `args[${i}]`, args[i]);
  return spawn(loop, method, factory, program, args, options);
}

/** Does the work of {@linkcode EventLoop.subprocessShell}. */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function subprocessShell<P extends SubprocessCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  command: string,
  options: SubprocessOptions,
): Promise<[Interface, P]> {
  const method = "subprocessShell()";
  checkFactory(method, factory);
  checkText(method, "command", command);
  checkOptions(method, options, SHELL_OPTIONS);
  if (Deno.build.os === "windows") {
    // As in CPython's subprocess. /d skips the registry's AutoRun commands.
    const args = ["/d", "/s", "/c", `"${command}"`];
    return spawn(loop, method, factory, "cmd.exe", args, options, true);
  }
  return spawn(loop, method, factory, "/bin/sh", ["-c", command], options);
}

async function spawn<P extends SubprocessCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  program: string | URL,
  args: string[],
  options: SubprocessOptions,
  rawArguments = options.windowsRawArguments,
): Promise<[Interface, P]> {
  const { stdin = "piped", stdout = "piped", stderr = "piped", cwd, env, clearEnv, uid, gid, detached } = options;
  checkOneOf(method, "stdin", stdin, STDIO);
  checkOneOf(method, "stdout", stdout, STDIO);
  checkOneOf(method, "stderr", stderr, [...STDIO, "stdout"]);
  if (cwd !== undefined && typeof cwd !== "string" && !(cwd instanceof URL)) {
    throw new TypeError(`${method}: cwd must be a string or a URL, got ${describe(cwd)}`);
  }
  if (env !== undefined) checkEnv(method, env);
  for (const [name, value] of Object.entries({ clearEnv, detached, windowsRawArguments: rawArguments })) {
    checkBoolean(method, name, value);
  }
  for (const [name, id] of Object.entries({ uid, gid })) if (id !== undefined) checkInteger(method, name, id, 0);
  const protocol = makeProtocol(loop, method, factory, "subprocess");
  const surroundings = { cwd, env, clearEnv, uid, gid, detached, windowsRawArguments: rawArguments };
  const process = await loop.engine.spawn(program, { args, stdin, stdout, stderr, ...surroundings });
  return [new SubprocessTransport(loop, process, protocol), protocol];
}

function checkEnv(method: string, env: Record<string, string>): void {
  if (typeof env !== "object" || env === null || Array.isArray(env)) {
    throw new TypeError(`${method}: env must be a plain object, got ${describe(env)}`);
  }
  for (const [name, value] of Object.entries(env)) checkText(method, `env.${name}`, value);
}

function checkText(method: string, name: string, value: unknown): void {
  if (typeof value === "string") return;
  throw new TypeError(`${method}: ${name} must be a string, got ${describe(value)}`);
}
