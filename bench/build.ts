/** Building the C programs on demand. */
import { fileURLToPath } from "node:url";

/** There is no load generator, so nothing can be measured. */
export class BuildError extends Error {}

/**
 * Compiles a C program of this folder.
 *
 * @param name The program, without its extension.
 * @param folder Where to put it.
 * @returns The path of the program.
 * @throws {BuildError} If that does not work.
 */
export async function build(name: string, folder: string): Promise<string> {
  if (Deno.build.os !== "linux") throw new BuildError("the load generator stands on epoll, which only Linux has");
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const program = `${folder}/${name}`;
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command("cc", { args: ["-O2", "-o", program, source] }).output();
  } catch (error) {
    const { message } = error as Error;
    throw new BuildError(`the load generator is a C program, and there is no C compiler (cc) here: ${message}`);
  }
  if (!result.success) {
    throw new BuildError(`cc could not build ${name}.c:\n${new TextDecoder().decode(result.stderr)}`);
  }
  return program;
}
