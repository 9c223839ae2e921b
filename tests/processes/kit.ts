/** For the tests of processes: a protocol that records. */
import { SubprocessProtocol, type SubprocessTransport } from "../../mod.ts";
import type { SubprocessExecOptions } from "../../loop/subprocess.ts";
import { concat, EventLog, loop, text, turn } from "../kit.ts";

/** A subprocess protocol that records its callbacks; pieces of output in a row are one event. */
export class ProcessRecorder extends SubprocessProtocol {
  readonly log = new EventLog();
  readonly pieces: { fd: number; data: Uint8Array }[] = [];
  readonly pipeErrors = new Map<number, Error | null>();
  transport!: SubprocessTransport;
  #received = 0;

  override connectionMade(transport: SubprocessTransport): void {
    this.transport = transport;
    this.log.add("connectionMade");
  }

  override pipeDataReceived(fd: number, data: Uint8Array): void {
    this.pieces.push({ fd, data });
    this.#received += data.length;
    const entry = `pipeDataReceived ${fd}`;
    if (this.log.entries.at(-1) === entry) this.log.changed();
    else this.log.add(entry);
  }

  override pipeConnectionLost(fd: number, error: Error | null): void {
    this.pipeErrors.set(fd, error);
    this.log.add(`pipeConnectionLost ${fd} ${error === null ? "null" : error.name}`);
  }

  override processExited(): void {
    this.log.add(`processExited ${this.transport.getReturncode()}`);
  }

  override pauseWriting(): void {
    this.log.add("pauseWriting");
  }

  override resumeWriting(): void {
    this.log.add("resumeWriting");
  }

  override connectionLost(error: Error | null): void {
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }

  /** The child's standard input. */
  get stdin() {
    return this.transport.getPipeTransport(0)!;
  }

  /** All that came from one descriptor. */
  data(fd: number): Uint8Array {
    return concat(this.pieces.filter((piece) => piece.fd === fd).map(({ data }) => data));
  }

  /** The same as text. */
  text(fd: number): string {
    return text(this.data(fd));
  }

  /** How many events there were of one kind. */
  count(prefix: string): number {
    return this.log.entries.filter((entry) => entry.startsWith(prefix)).length;
  }

  /** Waits for so many bytes, of both descriptors together. */
  untilReceived(count: number): Promise<void> {
    return this.log.until(() => this.#received >= count);
  }

  /** Waits for `connectionLost`. */
  async untilLost(): Promise<void> {
    await this.log.has("connectionLost");
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.transport.close();
    await this.untilLost();
  }
}

/** Starts a program. */
export async function exec(
  program: string | URL,
  args: string[] = [],
  options: SubprocessExecOptions = {},
): Promise<ProcessRecorder> {
  const [, protocol] = await loop.subprocessExec(() => new ProcessRecorder(), program, { ...options, args });
  return protocol;
}

/** Starts a script of the shell. */
export function sh(script: string, options: SubprocessExecOptions = {}): Promise<ProcessRecorder> {
  return exec("/bin/sh", ["-c", script], options);
}

/** Runs a program to its end, with nothing on its standard input. */
export async function run(
  program: string | URL,
  args: string[] = [],
  options: SubprocessExecOptions = {},
): Promise<ProcessRecorder> {
  const protocol = await exec(program, args, { stdin: "null", ...options });
  await protocol.untilLost();
  return protocol;
}
