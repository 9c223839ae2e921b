/** Starting servers and the load, each on a core of its own. */

/** Where a process runs. */
export type Core = "server" | "load";

/** How long a server may take until it listens. */
const START_TIMEOUT = 20_000;

/** The unit of processor time in /proc: a hundredth of a second wherever Deno runs. */
const TICKS = 100;

/** Puts processes on cores, and sees to it that none outlives the run. */
export class Processes implements AsyncDisposable {
  /** Whether servers and load are kept apart. */
  readonly pinned: boolean;
  #running = new Set<Deno.ChildProcess>();
  #onSignal = () => {
    for (const child of this.#running) kill(child);
    Deno.exit(130);
  };

  private constructor(pinned: boolean) {
    this.pinned = pinned;
    Deno.addSignalListener("SIGINT", this.#onSignal);
    Deno.addSignalListener("SIGTERM", this.#onSignal);
  }

  static async create(): Promise<Processes> {
    return new Processes(navigator.hardwareConcurrency >= 2 && await canPin());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Deno.removeSignalListener("SIGINT", this.#onSignal);
    Deno.removeSignalListener("SIGTERM", this.#onSignal);
    for (const child of this.#running) {
      kill(child);
      await child.status;
    }
  }

  /** The command that runs another one on a core. */
  pin(core: Core, command: string[]): string[] {
    return this.pinned ? ["taskset", "-c", core === "server" ? "0" : "1", ...command] : command;
  }

  /** Starts a server and waits until it listens. */
  async listen(command: string[], core: Core = "server"): Promise<ListeningServer> {
    const child = this.spawn(core, command);
    const lines = new LineReader(child.stdout);
    // One that hangs is killed, and the line it never prints is then the end of its output.
    const timer = setTimeout(() => kill(child), START_TIMEOUT);
    const line = await lines.next();
    clearTimeout(timer);
    const where = /^listening (\S+)$/.exec(line ?? "")?.[1];
    if (where === undefined) {
      await this.stop(child);
      throw new Error(`it did not say where it listens: ${command.join(" ")}`);
    }
    return new ListeningServer(this, child, where);
  }

  /** Runs a program to its end and gives what it printed. */
  async run(core: Core, command: string[], timeout: number): Promise<string> {
    const child = this.spawn(core, command);
    const timer = setTimeout(() => kill(child), timeout);
    try {
      child.stdin.close().catch(() => {}); // It may have ended already.
      const [text, status] = await Promise.all([new Response(child.stdout).text(), child.status]);
      if (!status.success) {
        throw new Error(`it ended with ${status.signal ?? `code ${status.code}`}: ${command.join(" ")}`);
      }
      return text;
    } finally {
      clearTimeout(timer);
      this.#running.delete(child);
    }
  }

  /** Starts a program whose input and output are pipes. */
  spawn(core: Core, command: string[]): Deno.ChildProcess {
    const [program, ...args] = this.pin(core, command);
    const options = { args, stdin: "piped", stdout: "piped", stderr: "inherit", env: { NO_COLOR: "1" } } as const;
    const child = new Deno.Command(program!, options).spawn();
    this.#running.add(child);
    return child;
  }

  /** Kills a program and waits for its end. */
  async stop(child: Deno.ChildProcess): Promise<void> {
    kill(child);
    await child.status;
    this.#running.delete(child);
  }
}

/** A server that is ready. */
export class ListeningServer implements AsyncDisposable {
  /** Its port, or the path of its Unix socket. */
  readonly where: string;
  #processes: Processes;
  #child: Deno.ChildProcess;

  constructor(processes: Processes, child: Deno.ChildProcess, where: string) {
    this.#processes = processes;
    this.#child = child;
    this.where = where;
  }

  /** How much memory it has in RAM, in bytes. */
  async residentMemory(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** How long its threads have worked so far, in seconds. */
  async cpuTime(): Promise<number> {
    const stat = await Deno.readTextFile(`/proc/${this.#child.pid}/stat`);
    // The name, which may have any characters, ends at the last bracket; the state is the 3rd field.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.stop(this.#child);
  }
}

/** Reads text line by line, for a program that goes on after the first one. */
export class LineReader {
  #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Gives the next line, `null` at the end. */
  async next(): Promise<string | null> {
    while (!this.#rest.includes("\n")) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }
}

/** What a program prints; `null` where it cannot be run or fails. */
export async function output(program: string, ...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command(program, { args, stderr: "null", stdin: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null; // Not installed.
  }
}

async function canPin(): Promise<boolean> {
  try {
    return (await new Deno.Command("taskset", { args: ["-c", "0,1", "true"], stderr: "null" }).output()).success;
  } catch {
    return false; // Not Linux, or not installed.
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended.
  }
}
