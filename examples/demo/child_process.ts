import { type EventLoop, SubprocessProtocol, type SubprocessTransport } from "../../mod.ts";
import { bytes, quote, type Story, text } from "./story.ts";

export const title = "A child process: `sort`, written and read through pipes";

export async function run(loop: EventLoop, story: Story): Promise<void> {
  class Sorter extends SubprocessProtocol {
    readonly lost = Promise.withResolvers<void>();
    output = "";
    #transport!: SubprocessTransport;

    override connectionMade(transport: SubprocessTransport): void {
      story.saw("parent", "connectionMade", "writes three lines and closes pipe 0");
      this.#transport = transport;
      const stdin = transport.getPipeTransport(0)!;
      stdin.write(bytes("pear\napple\nfig\n"));
      stdin.close();
    }

    override pipeDataReceived(fd: number, data: Uint8Array<ArrayBuffer>): void {
      story.saw("parent", "pipeDataReceived", `${fd}, ${quote(data)}`);
      this.output += text(data);
    }

    override pipeConnectionLost(fd: number, error: Error | null): void {
      story.saw("parent", "pipeConnectionLost", `${fd}, ${error}`);
    }

    override processExited(): void {
      story.saw("parent", "processExited", `return code ${this.#transport.getReturncode()}`);
    }

    override connectionLost(error: Error | null): void {
      story.saw("parent", "connectionLost", String(error));
      this.lost.resolve();
    }
  }

  const [transport, sorter] = await loop.subprocessExec(() => new Sorter(), "sort", {});
  await sorter.lost.promise;
  story.check("the lines came back in order", sorter.output.split(/\s+/).join(" ").trim() === "apple fig pear");
  story.check("the return code is 0", transport.getReturncode() === 0);
  let refused = "nothing";
  try {
    transport.terminate();
  } catch (error) {
    refused = (error as Error).name;
  }
  story.check("a signal to a child that has ended is a ProcessLookupError", refused === "ProcessLookupError");
}
