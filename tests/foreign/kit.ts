/** For the tests of TLS with peers that are not ours: foreign programs, and what Tandem serves them. */
import type { Transport } from "../../mod.ts";
import { assert } from "../std.ts";
import { bytes, concat, EventLog, loop, pattern, Recorder, text } from "../kit.ts";
import { certs } from "../program.ts";
import { Echo, HOST, same, SERVER } from "../tls/kit.ts";

/** Some megabytes, in no round number. */
export const BIG = pattern(4 * 1024 * 1024 + 12_345);
/** The versions, with openssl's names for them. */
export const VERSIONS = [{ version: "TLSv1.2", flag: "-tls1_2" }, { version: "TLSv1.3", flag: "-tls1_3" }] as const;

/** A foreign program; whatever happens, it is gone when the scope is left. */
export class Child implements AsyncDisposable {
  readonly log = new EventLog();
  readonly stdout: Uint8Array[] = [];
  #stderr: Uint8Array[] = [];
  #process: Deno.ChildProcess;
  #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #ended: Promise<unknown>;
  #deadline: ReturnType<typeof setTimeout>;

  constructor(program: string, args: string[], options: { cwd?: string } = {}) {
    const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    this.#process = new Deno.Command(program, { args, ...piped, ...options }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    // A test that waits for what never comes fails, instead of waiting for ever.
    this.#deadline = setTimeout(() => this.#kill(), 20_000);
    const collect = async (stream: ReadableStream<Uint8Array>, into: Uint8Array[]) => {
      for await (const piece of stream) {
        into.push(piece);
        this.log.changed();
      }
    };
    this.#ended = Promise.all([
      collect(this.#process.stdout, this.stdout),
      collect(this.#process.stderr, this.#stderr),
      this.#process.status,
    ]).finally(() => this.log.add("ended"));
  }

  /** Gives it bytes, while it has somebody to take them. */
  write(data: Uint8Array | string): Promise<void> {
    return this.#stdin.write(typeof data === "string" ? bytes(data) : data).catch(() => {});
  }

  /** Ends its standard input. */
  async end(): Promise<void> {
    await this.#stdin.close().catch(() => {});
  }

  /** All that it has printed. */
  get output(): string {
    return text(concat([...this.stdout, ...this.#stderr]));
  }

  /** Waits until these bytes are the last of its standard output. */
  async untilLast(data: Uint8Array): Promise<void> {
    await this.log.until(() => this.log.entries.length > 0 || this.#endsWith(data));
    assert(this.#endsWith(data), "ended without those bytes");
  }

  #endsWith(data: Uint8Array): boolean {
    let end = data.length;
    for (let i = this.stdout.length; end > 0 && i-- > 0;) {
      const piece = this.stdout[i]!.subarray(-end);
      if (!same(piece, data.subarray(end - piece.length, end))) return false;
      end -= piece.length;
    }
    return end === 0;
  }

  /** Waits until it has printed something. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    await this.log.until(() => pattern.test(this.output) || this.log.entries.length > 0);
    const match = pattern.exec(this.output);
    assert(match !== null, `ended without ${pattern}: ${this.output}`);
    return match;
  }

  /** Waits until it has ended. */
  async exit(): Promise<number> {
    await this.#ended;
    return (await this.#process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.end();
    await this.#ended;
    clearTimeout(this.#deadline);
  }

  #kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

/** A foreign server, and where it is. */
export type ForeignServer = Child & { port: number };

async function whenServing(child: Child, announcement: RegExp): Promise<ForeignServer> {
  const match = await child.until(announcement);
  return Object.assign(child, { port: Number(match[1]) });
}

/** `openssl s_client`, which trusts our authority. */
export function opensslClient(port: number, ...args: string[]): Child {
  return new Child("openssl", ["s_client", "-connect", `${HOST}:${port}`, "-CAfile", `${certs}ca.pem`, ...args]);
}

/** `openssl s_server`, with the certificate of `SERVER`. */
export function opensslServer(args: string[], options: { cwd?: string } = {}): Promise<ForeignServer> {
  const files = ["-cert", `${certs}server.pem`, "-key", `${certs}server.key`];
  const child = new Child("openssl", ["s_server", "-accept", `${HOST}:0`, ...files, ...args], options);
  return whenServing(child, /ACCEPT 127\.0\.0\.1:(\d+)/);
}

/** A client in Python, in one of the modes of tls_peer.py. */
export function pythonClient(mode: string, port: number, ...options: string[]): Child {
  return python(`connect-${mode}`, port, options);
}

/** The same as a server. */
export function pythonServer(mode: string, ...options: string[]): Promise<ForeignServer> {
  return whenServing(python(`serve-${mode}`, 0, options), /^port (\d+)$/m);
}

function python(mode: string, port: number, options: string[]): Child {
  const script = new URL("tls_peer.py", import.meta.url).pathname;
  return new Child("python3", [script, certs, mode, `${BIG.length}`, `${port}`, ...options]);
}

/** Speaks lines of plain text until it is told to upgrade, as SMTP does. */
export class Smtp extends Recorder {
  readonly secured = new Echo();
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes("220 tandem ready\r\n"));
  }
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    const line = text(data);
    if (line.startsWith("EHLO")) this.transport.write(bytes("250-tandem\r\n250 STARTTLS\r\n"));
    if (!line.startsWith("STARTTLS")) return;
    this.transport.write(bytes("220 go ahead\r\n"));
    loop.startTls(this.transport, this.secured, { serverSide: true, ...SERVER }).then((transport) => {
      this.secured.connectionMade(transport);
    }, (error) => this.log.add(`failed ${error}`));
  }
}
