/** What measures: the C programs, built on demand, and wrk. */
import { fileURLToPath } from "node:url";
import { output } from "./process.ts";

/** There is no load generator, so nothing can be measured. */
export class BuildError extends Error {}

/** Something that cannot run here. */
export interface Missing {
  name: string;
  reason: string;
}

/** The paths of programs; `null` for one that is not to be had here. */
export interface Tools {
  load: string;
  latency: string;
  epollEcho: string;
  pipe: string;
  tlsLoad: string | null;
  tlsEcho: string | null;
  wrk: string | null;
  missing: Missing[];
}

const OPENSSL = ["-lssl", "-lcrypto"];

/**
 * Builds what can be built and looks for the rest.
 *
 * @param folder Where to put it.
 * @throws {BuildError} If there is no load generator.
 */
export async function findTools(folder: string): Promise<Tools> {
  if (Deno.build.os !== "linux") throw new BuildError("the load generator stands on epoll, which only Linux has");
  const [load, latency, epollEcho, pipe] = await Promise.all(
    ["load", "latency", "epoll_echo", "pipe"].map((name) => build(name, folder)),
  );
  const tools: Tools = { load: load!, latency: latency!, epollEcho: epollEcho!, pipe: pipe!, ...NO_TLS, missing: [] };
  try {
    const programs = await Promise.all(["tls_load", "tls_echo"].map((name) => build(name, folder, OPENSSL)));
    tools.tlsLoad = programs[0]!;
    tools.tlsEcho = programs[1]!;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const [, why] = /(fatal error: .*|cannot find -l\w+)/.exec(error.message) ?? [null, error.message];
    tools.missing.push({ name: "TLS load", reason: `${why}; it needs OpenSSL's headers: Debian's libssl-dev` });
  }
  if (await output("sh", "-c", "command -v wrk") !== null) tools.wrk = "wrk";
  else tools.missing.push({ name: "wrk", reason: "no `wrk` on the PATH" });
  return tools;
}

const NO_TLS = { tlsLoad: null, tlsEcho: null, wrk: null };

async function build(name: string, folder: string, libraries: string[] = []): Promise<string> {
  const source = fileURLToPath(new URL(`c/${name}.c`, import.meta.url));
  const program = `${folder}/${name}`;
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command("cc", { args: ["-O2", "-o", program, source, ...libraries] }).output();
  } catch (error) {
    const { message } = error as Error;
    throw new BuildError(`the load generator is a C program, and there is no C compiler (cc) here: ${message}`);
  }
  if (!result.success) {
    throw new BuildError(`cc could not build ${name}.c:\n${new TextDecoder().decode(result.stderr)}`);
  }
  return program;
}
