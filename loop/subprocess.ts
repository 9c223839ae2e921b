/**
 * Starting child processes.
 *
 * @module
 */
import { checkFactory } from "../checks.ts";
import { describe } from "../errors.ts";
import type { Stdio } from "../transports/engine.ts";
import { SubprocessTransport } from "../transports/subprocess_transport.ts";
import type { SubprocessCallbacks, SubprocessTransport as Interface } from "../transports/transport.ts";
import type { LoopCore } from "./loop_core.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";

/** How to start a child. */
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
   * The child's standard error; `"stdout"` sends it where standard output goes, in order. That takes a
   * passing `/bin/sh` and the permission to run it, and is `NotSupported` on Windows. Two kinds of environment variables
   * may not get past that shell: those whose names are none in a shell (`a.b`), and those that a shell sets for itself
   * (`IFS`, `PWD`, `_`) and that this process may not read.
   *
   * @default {"piped"}
   */
  stderr?: Stdio | "stdout";
  /**
   * The child's working directory.
   *
   * @default {undefined} ours
   */
  cwd?: string | URL;
  /** Environment variables, besides ours. */
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

/** How to start a program. */
export interface SubprocessExecOptions extends SubprocessOptions {
  /**
   * The program's arguments, without its name.
   *
   * @default {[]}
   */
  args?: string[];
}

/** Does the work of {@linkcode EventLoop.subprocessExec}. */
export async function subprocessExec<P extends SubprocessCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  program: string | URL,
  options: SubprocessExecOptions,
): Promise<[Interface, P]> {
  checkFactory(factory);
  if (!(program instanceof URL) && (typeof program !== "string" || program === "")) {
    throw new TypeError(`program must be a non-empty string or a URL, got ${describe(program)}`);
  }
  const { args = [], stdin = "piped", stdout = "piped", stderr = "piped" } = options;
  if (!Array.isArray(args)) throw new TypeError(`args must be an array of strings, got ${describe(args)}`);
  checkStdio("stdin", stdin, []);
  checkStdio("stdout", stdout, []);
  checkStdio("stderr", stderr, ["stdout"]);
  const protocol = makeProtocol(factory);
  const { cwd, env, clearEnv, uid, gid, detached, windowsRawArguments } = options;
  const surroundings = { cwd, env, clearEnv, uid, gid, detached, windowsRawArguments };
  const process = await loop.engine.spawn(program, { args, stdin, stdout, stderr, ...surroundings });
  return [new SubprocessTransport(loop, process, protocol), protocol];
}

/** Does the work of {@linkcode EventLoop.subprocessShell}. */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function subprocessShell<P extends SubprocessCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  command: string,
  options: SubprocessOptions,
): Promise<[Interface, P]> {
  if (typeof command !== "string") throw new TypeError(`command must be a string, got ${describe(command)}`);
  if (Deno.build.os === "windows") {
    // As CPython's subprocess does; /d skips the registry's AutoRun commands.
    const args = ["/d", "/s", "/c", `"${command}"`];
    return subprocessExec(loop, factory, "cmd.exe", { ...options, args, windowsRawArguments: true });
  }
  return subprocessExec(loop, factory, "/bin/sh", { ...options, args: ["-c", command] });
}

function checkStdio(name: string, value: unknown, more: string[]): void {
  const accepted = ["piped", "inherit", "null", ...more];
  if (accepted.includes(value as string)) return;
  throw new TypeError(`${name} must be one of ${accepted.map((s) => `"${s}"`).join(", ")}, got ${describe(value)}`);
}
