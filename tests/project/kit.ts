/** Running the examples as their first comments say: with just those permissions, without any flag or configuration. */
import { assert } from "../std.ts";
import { bytes, text } from "../kit.ts";
import { certs } from "../program.ts";

export const examples = new URL("../../examples/", import.meta.url);
export const caCerts = [Deno.readTextFileSync(`${certs}ca.pem`)];

/** The command lines in an example's first comment. */
export function commandLines(name: string): string[] {
  const [comment = ""] = Deno.readTextFileSync(new URL(name, examples)).split("*/");
  return comment.split("\n").filter((line) => line.includes("deno run ")).map((line) => line.replace(/^[ *]+/, ""));
}

/** The permissions that the command line with `word` in it, or the first one, names. */
export function permissionsOf(name: string, word = ""): string[] {
  const line = commandLines(name).find((line) => line.includes(word));
  return line?.split(" ").filter((part) => part.startsWith("--allow-")) ?? [];
}

/** A running example. */
export class Example implements AsyncDisposable {
  #child: Deno.ChildProcess;
  /** A test that waits for a program that hangs must not wait for ever. */
  #limit: ReturnType<typeof setTimeout>;
  #reader: ReadableStreamDefaultReader<string>;
  /** What was printed and not yet looked at. */
  #text = "";

  constructor(name: string, args: string[] = [], permissions = permissionsOf(name)) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--no-config", ...permissions, new URL(name, examples).href, ...args],
      env: { NO_COLOR: "1", LC_ALL: "C", TZ: "UTC" },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#limit = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Waits for a line of output. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`the example ended; standard error: ${await this.#child.stderr.text()}`);
      this.#text += value;
    }
  }

  /** Waits for its first line, which tells where it serves. */
  async port(): Promise<number> {
    const match = /on 127\.0\.0\.1:(\d+)/.exec(await this.line());
    assert(match !== null);
    return Number(match[1]);
  }

  /** Sends SIGINT. */
  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** Sends SIGTERM. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Sends SIGHUP. */
  hangUp(): void {
    this.#child.kill("SIGHUP");
  }

  /** Waits for its end. */
  async end(): Promise<{ code: number; stdout: string; stderr: string }> {
    const stderr = this.#child.stderr.text();
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) break;
      this.#text += value;
    }
    return { code: (await this.#child.status).code, stdout: this.#text, stderr: await stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#limit);
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended, as it should.
    }
    await this.#reader.cancel();
    if (!this.#child.stderr.locked) await this.#child.stderr.cancel();
    await this.#child.status;
  }
}

/** Runs an example to its end. */
export async function run(name: string, args: string[] = [], permissions?: string[]) {
  await using example = new Example(name, args, permissions);
  return await example.end();
}

/** A plain client that speaks lines. */
export class Wire implements Disposable {
  conn: Deno.Conn;
  #text = "";

  constructor(conn: Deno.Conn) {
    this.conn = conn;
  }

  static async connect(port: number): Promise<Wire> {
    return new Wire(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(data: string | Uint8Array): Promise<void> {
    const all = typeof data === "string" ? bytes(data) : data;
    for (let sent = 0; sent < all.length;) sent += await this.conn.write(all.subarray(sent));
  }

  /** The next line; `null` at the end. */
  async line(): Promise<string | null> {
    const buffer = new Uint8Array(1024);
    while (!this.#text.includes("\r\n")) {
      const count = await this.conn.read(buffer);
      if (count === null) return null;
      this.#text += text(buffer.subarray(0, count));
    }
    const end = this.#text.indexOf("\r\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    return line;
  }

  /** The last line of the next reply. */
  async reply(): Promise<string | null> {
    for (;;) {
      const line = await this.line();
      if (line?.[3] !== "-") return line;
    }
  }

  async ask(command: string): Promise<string | null> {
    await this.send(`${command}\r\n`);
    return await this.reply();
  }

  async startTls(): Promise<void> {
    this.conn = await Deno.startTls(this.conn as Deno.TcpConn, { hostname: "localhost", caCerts });
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}
