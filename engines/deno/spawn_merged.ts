/**
 * Finds the program `$0` and puts its path before the arguments, so that `exec "$@" 2>&1` can run it. It runs in a
 * subshell, so that it sets no variable of the child.
 *
 * The result is reported on the shell's standard error, which closes when `exec` succeeds, like the close-on-exec pipe of
 * libc's posix_spawn.
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

/** Deno's errors for the script's reports. */
const COMPLAINTS: Record<string, [new (message: string) => Error, string]> = {
  EACCES: [Deno.errors.PermissionDenied, "Permission denied (os error 13)"],
  ENOENT: [Deno.errors.NotFound, "No such file or directory (os error 2)"],
  ENOTDIR: [Deno.errors.NotADirectory, "Not a directory (os error 20)"],
};

/** Variables that a shell may set for itself and pass on: dash, bash and the ash of BusyBox do. */
const SHELL_VARIABLES = "IFS OPTARG OPTERR OPTIND PATH PPID PS1 PS2 PS3 PS4 PWD OLDPWD SHLVL LINENO RANDOM SECONDS _ " +
  "BASH BASHOPTS BASHPID BASH_ARGV0 BASH_COMMAND BASH_SUBSHELL BASH_VERSINFO BASH_VERSION COMP_WORDBREAKS EPOCHREALTIME " +
  "EPOCHSECONDS EUID HISTCMD POSIXLY_CORRECT SHELLOPTS SRANDOM UID";

/** Replacements, for the shell only, of variables that could change or break the shell. */
const HARMLESS: Record<string, string> = { OPTIND: "1", SHELLOPTS: "" };

/** Starts a child with its standard error merged into its standard output, for which Deno has no option. */
export async function spawnMerged(program: string | URL, options: Deno.CommandOptions): Promise<Deno.ChildProcess> {
  if (Deno.build.os === "windows") {
    throw new Deno.errors.NotSupported('stderr: "stdout" is not supported on Windows');
  }
  const name = program instanceof URL ? decodeURIComponent(program.pathname) : program;
  const env = { ...options.env };
  // Only these variables are passed by env(1): all users can see its arguments, and other variables may be secrets.
  let unset = "";
  let set = "";
  for (const [variable, value] of shellVariables(options)) {
    if (value === undefined) unset += ` -u ${variable}`;
    else set += ` '${variable}=${value.replaceAll("'", `'\\''`)}'`;
    if (value !== undefined && variable in HARMLESS) env[variable] = HARMLESS[variable]!;
  }
  // env(1) would take a program with "=" in its name for a variable.
  const restore = `case $1 in *=*) ;; *) [ -x /usr/bin/env ] && exec /usr/bin/env${unset} --${set} "$@" 2>&1 ;; esac\n`;
  const script = `${FIND_SCRIPT}${unset + set === "" ? "" : restore}exec "$@" 2>&1`;
  const args = ["-c", script, name, ...(options.args ?? [])];
  const child = new Deno.Command("/bin/sh", { ...options, env, args, stderr: "piped" }).spawn();
  // The loader or the shell may have printed other lines.
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

/** Returns the child's values of the variables that a shell may change, as far as this process can read them. */
function shellVariables({ env = {}, clearEnv = false }: Deno.CommandOptions): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (const variable of SHELL_VARIABLES.split(" ")) {
    const inherits = env[variable] === undefined && !clearEnv;
    // Queried first, because Deno.env.get() would prompt on a terminal.
    if (inherits && Deno.permissions.querySync({ name: "env", variable }).state !== "granted") continue;
    try {
      found.set(variable, inherits ? Deno.env.get(variable) : env[variable]);
    } catch {
      // Not valid Unicode: the child gets the shell's value.
    }
  }
  return found;
}
