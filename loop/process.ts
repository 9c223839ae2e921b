/**
 * Starting child processes.
 *
 * @module
 */
import type { LoopContext } from "../transports/context.ts";
import { describe } from "../transports/errors.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import { SubprocessTransport } from "../transports/subprocess_transport.ts";
import type { SubprocessCallbacks, SubprocessTransport as Interface } from "../transports/transport.ts";
import { ReadableStreamHandle, WritableStreamHandle } from "../transports/web_stream_handle.ts";
import { checkFactory, makeProtocol, type ProtocolFactory } from "./factory.ts";

/** What one of a child's standard streams is connected to. */
export type Stdio = "piped" | "inherit" | "null";

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
   * passing `/bin/sh` and the permission to run it, and is not to be had on Windows. Environment variables whose
   * names are none in a shell do not get past it.
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

/**
 * Complains if "$1" cannot be run, before `exec "$@" 2>&1` runs it with its standard error merged.
 *
 * The shell's own standard error is how we learn of it: it closes, empty, when `exec` succeeds, which is the
 * trick that libc's posix_spawn plays with a close-on-exec pipe.
 */
const CHECK_SCRIPT = `
case $1 in
*/*) p=$1 ;;
*) p=; IFS=:
   for d in $PATH; do [ -f "\${d:-.}/$1" ] && [ -x "\${d:-.}/$1" ] && p=\${d:-.}/$1 && break; done
   unset IFS ;;
esac
if [ ! -e "$p" ]; then
  d=\${p%/*}
  if [ -n "$d" ] && [ -e "$d" ] && [ ! -d "$d" ]; then echo tandem:ENOTDIR >&2; else echo tandem:ENOENT >&2; fi
  exit 127
fi
[ -f "$p" ] && [ -x "$p" ] || { echo tandem:EACCES >&2; exit 126; }
IFS= read -r line 2>/dev/null <"$p"
case $line in
'#!'*) line=\${line#'#!'}; line=\${line#"\${line%%[! ]*}"}
   [ -e "\${line%% *}" ] || { echo tandem:ENOENT >&2; exit 127; } ;;
esac
`;

/** What the script may complain of, as Deno says it. */
const COMPLAINTS: Record<string, [new (message: string) => Error, string]> = {
  EACCES: [Deno.errors.PermissionDenied, "Permission denied (os error 13)"],
  ENOENT: [Deno.errors.NotFound, "No such file or directory (os error 2)"],
  ENOTDIR: [Deno.errors.NotADirectory, "Not a directory (os error 20)"],
};

/** Variables that a shell sets for itself, and hands on. */
const SHELL_VARIABLES = ["PWD", "OLDPWD", "SHLVL"];

/** {@inheritDoc EventLoop.subprocessExec} */
export async function subprocessExec<P extends SubprocessCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  program: string | URL,
  options: SubprocessExecOptions,
): Promise<[Interface, P]> {
  checkFactory(factory);
  if (!(program instanceof URL) && (typeof program !== "string" || program === "")) {
    throw new TypeError(`program must be a non-empty string or a URL, got ${describe(program)}`);
  }
  const { args = [], stdin = "piped", stdout = "piped", stderr = "piped", ...rest } = options;
  if (!Array.isArray(args)) throw new TypeError(`args must be an array of strings, got ${describe(args)}`);
  checkStdio("stdin", stdin, []);
  checkStdio("stdout", stdout, []);
  checkStdio("stderr", stderr, ["stdout"]);
  const protocol = makeProtocol(factory);
  const child = stderr === "stdout"
    ? await spawnMerged(program, { ...rest, args, stdin, stdout })
    : new Deno.Command(program, { ...rest, args, stdin, stdout, stderr }).spawn();
  const handles = new Map<number, StreamHandle>();
  if (stdin === "piped") handles.set(0, new WritableStreamHandle(child.stdin, false));
  if (stdout === "piped") handles.set(1, new ReadableStreamHandle(child.stdout));
  if (stderr === "piped") handles.set(2, new ReadableStreamHandle(child.stderr));
  const transport = new SubprocessTransport(loop, { child, handles }, protocol);
  transport.connected();
  loop.callSoon(() => transport.startReading());
  return [transport, protocol];
}

/** {@inheritDoc EventLoop.subprocessShell} */
// deno-lint-ignore require-await -- bad arguments reject like everything else
export async function subprocessShell<P extends SubprocessCallbacks>(
  loop: LoopContext,
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

async function spawnMerged(program: string | URL, options: Deno.CommandOptions): Promise<Deno.ChildProcess> {
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported('stderr: "stdout" is not supported on Windows');
  }
  const name = program instanceof URL ? decodeURIComponent(program.pathname) : program;
  const script = `${CHECK_SCRIPT}${restoreVariables(options)}exec "$@" 2>&1`;
  const args = ["-c", script, "sh", name, ...(options.args ?? [])];
  const child = new Deno.Command("/bin/sh", { ...options, args, stderr: "piped" }).spawn();
  // The loader or the shell may have said something, too; that is not ours.
  const complaint = /^tandem:(\w+)$/m.exec(await child.stderr.text())?.[1];
  if (complaint === undefined) return child;
  if (options.stdin === "piped") child.stdin.close().catch(() => {});
  if (options.stdout === "piped") await child.stdout.cancel();
  await child.status.catch(() => {});
  const [Class, reason] = COMPLAINTS[complaint] ?? COMPLAINTS["ENOENT"]!;
  throw Object.assign(new Class(`Failed to spawn '${name}': ${reason}`), { code: complaint });
}

/** Makes the environment what it was before the shell began. */
function restoreVariables({ env = {}, clearEnv = false }: Deno.CommandOptions): string {
  let script = "";
  for (const name of SHELL_VARIABLES) {
    const inherits = env[name] === undefined && !clearEnv;
    if (inherits && Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") continue;
    const value = inherits ? Deno.env.get(name) : env[name];
    script += value === undefined ? `unset ${name}\n` : `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`;
  }
  return script;
}

function checkStdio(name: string, value: unknown, more: string[]): void {
  const accepted = ["piped", "inherit", "null", ...more];
  if (accepted.includes(value as string)) return;
  throw new TypeError(`${name} must be one of ${accepted.map((s) => `"${s}"`).join(", ")}, got ${describe(value)}`);
}
