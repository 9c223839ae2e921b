/**
 * Output of a child process: runs `date` and prints the time.
 *
 *     deno run --allow-run=date examples/child_output.ts [arguments of date]
 */
import { getRunningLoop, SubprocessProtocol } from "../mod.ts";

class Output extends SubprocessProtocol {
  /** Resolves when the child has ended and its output is complete. */
  readonly lost = Promise.withResolvers<void>();
  text = "";
  #decoder = new TextDecoder();

  override pipeDataReceived(_fd: number, data: Uint8Array<ArrayBuffer>): void {
    this.text += this.#decoder.decode(data, { stream: true });
  }

  override processExited(): void {
    console.log("the child has ended; its output may still be on the way");
  }

  override connectionLost(): void {
    this.lost.resolve();
  }
}

const [transport, output] = await getRunningLoop().subprocessExec(() => new Output(), "date", {
  args: Deno.args,
  stdin: "null",
  stderr: "inherit",
});
await output.lost.promise;
console.log(`return code ${transport.getReturncode()}`);
console.log(`output      ${JSON.stringify(output.text)}`);
