/**
 * Starting a child whose standard error goes where its standard output goes, which Deno has no option for.
 *
 * @module
 */

/**
 * Finds the program that `$0` names and puts its path before the arguments, or complains, for `exec "$@" 2>&1` to run it
 * with its standard error merged. All is done in a shell of its own, so that no variable of the child's is touched.
 *
 * The shell's own standard error is how we learn of it: it closes when `exec` succeeds, which is the trick that libc's
 * posix_spawn plays with a close-on-exec pipe.
 */
const FIND_SCRIPT = `
set -- "$(
set -f
case $0 in
*/*) p=$0 ;;
*) p=; IFS=:
   for d in $PATH; do [ -n "$d" ] && [ -f "$d/$0" ] && [ -x "$d/$0" ] && p=$d/$0 && break; done ;;
esac
if [ ! -e "$p" ]; then
  d=\${p%/*}
  if [ -n "$d" ] && [ -e "$d" ] && [ ! -d "$d" ]; then echo tandem:ENOTDIR >&2; else echo tandem:ENOENT >&2; fi
  exit
fi
[ -f "$p" ] && [ -x "$p" ] || { echo tandem:EACCES >&2; exit; }
IFS= read -r line 2>/dev/null <"$p"
case $line in
'#!'*) line=\${line#'#!'}; line=\${line#"\${line%%[! ]*}"}
   [ -e "\${line%% *}" ] || { echo tandem:ENOENT >&2; exit; } ;;
esac
echo tandem:OK >&2
printf %s "$p"
)" "$@"
[ -n "$1" ] || exit 127
`;

/** What the script may complain of, as Deno says it. */
const COMPLAINTS: Record<string, [new (message: string) => Error, string]> = {
  EACCES: [Deno.errors.PermissionDenied, "Permission denied (os error 13)"],
  ENOENT: [Deno.errors.NotFound, "No such file or directory (os error 2)"],
  ENOTDIR: [Deno.errors.NotADirectory, "Not a directory (os error 20)"],
};

/** Variables that a shell may set for itself and hand on: dash, bash and the ash of BusyBox do. */
const SHELL_VARIABLES = "IFS OPTARG OPTERR OPTIND PATH PPID PS1 PS2 PS3 PS4 PWD OLDPWD SHLVL LINENO RANDOM SECONDS _ " +
  "BASH BASHOPTS BASHPID BASH_ARGV0 BASH_COMMAND BASH_SUBSHELL BASH_VERSINFO BASH_VERSION COMP_WORDBREAKS EPOCHREALTIME " +
  "EPOCHSECONDS EUID HISTCMD POSIXLY_CORRECT SHELLOPTS SRANDOM UID";

/** What a shell is given in their place that would not run, or run otherwise, with what they are. */
const HARMLESS: Record<string, string> = { OPTIND: "1", SHELLOPTS: "" };

/** Starts a child with its standard error merged into its standard output. */
export async function spawnMerged(program: string | URL, options: Deno.CommandOptions): Promise<Deno.ChildProcess> {
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported('stderr: "stdout" is not supported on Windows');
  }
  const name = program instanceof URL ? decodeURIComponent(program.pathname) : program;
  const env = { ...options.env };
  // These go to the child by env(1), which is no shell. Anybody can see its arguments, so it gets no others: those may be
  // secrets.
  let unset = "";
  let set = "";
  for (const [variable, value] of shellVariables(options)) {
    if (value === undefined) unset += ` -u ${variable}`;
    else set += ` '${variable}=${value.replaceAll("'", `'\\''`)}'`;
    if (value !== undefined && variable in HARMLESS) env[variable] = HARMLESS[variable]!;
  }
  // A program that has a "=" in its name is a variable for env(1).
  const restore = `case $1 in *=*) ;; *) [ -x /usr/bin/env ] && exec /usr/bin/env${unset} --${set} "$@" 2>&1 ;; esac\n`;
  const script = `${FIND_SCRIPT}${unset + set === "" ? "" : restore}exec "$@" 2>&1`;
  const args = ["-c", script, name, ...(options.args ?? [])];
  const child = new Deno.Command("/bin/sh", { ...options, env, args, stderr: "piped" }).spawn();
  // The loader or the shell may have said something, too; that is not ours.
  const said = await child.stderr.text();
  const complaint = /^tandem:(\w+)$/m.exec(said)?.[1];
  if (complaint === "OK") return child;
  if (options.stdin === "piped") child.stdin.close().catch(() => {});
  if (options.stdout === "piped") await child.stdout.cancel();
  await child.status.catch(() => {});
  const known = COMPLAINTS[complaint ?? ""];
  if (known === undefined) throw new Error(`Failed to spawn '${name}': /bin/sh said ${JSON.stringify(said)}`);
  throw Object.assign(new known[0](`Failed to spawn '${name}': ${known[1]}`), { code: complaint });
}

/** Gives what the child is to have of the variables that a shell may change, as far as we can read it. */
function shellVariables({ env = {}, clearEnv = false }: Deno.CommandOptions): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (const variable of SHELL_VARIABLES.split(" ")) {
    const inherits = env[variable] === undefined && !clearEnv;
    // Asked first, lest somebody at a terminal be asked.
    if (inherits && Deno.permissions.querySync({ name: "env", variable }).state !== "granted") continue;
    try {
      found.set(variable, inherits ? Deno.env.get(variable) : env[variable]);
    } catch {
      // It is no Unicode, and stays as the shell leaves it.
    }
  }
  return found;
}
