import type {
  ReadTransport,
  StreamCallbacks,
  StreamExtraInfo,
  SubprocessTransport,
  Transport,
  WriteBufferLimits,
  WriteTransport,
} from "../transports/mod.ts";

/** The transport of a child's pair: it writes to standard input, and reads from standard output. */
export class ChildTransport implements Transport {
  #child: SubprocessTransport;
  #input: WriteTransport;
  #output: ReadTransport;

  /** Takes the pipes. A missing one is replaced by one of the other direction, which rejects what it cannot do. */
  constructor(child: SubprocessTransport) {
    this.#child = child;
    const pipes = [0, 1, 2].map((fd) => child.getPipeTransport(fd) as Transport | null);
    const other = pipes.find((pipe) => pipe !== null);
    if (other === undefined) throw new TypeError("toStreams(): the child must have a pipe, got none");
    this.#input = pipes[0] ?? other!;
    this.#output = pipes[1] ?? other!;
  }

  /** Closes all pipes. The child runs until it ends by itself. */
  close(): void {
    for (const fd of [0, 1, 2]) this.#child.getPipeTransport(fd)?.close();
  }

  abort(options?: { reset?: boolean | undefined }): void {
    this.#input.abort(options);
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  isClosing(): boolean {
    return this.#input.isClosing();
  }

  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue?: unknown): unknown {
    return this.#child.getExtraInfo(name, defaultValue);
  }

  ref(): void {
    this.#child.ref();
  }

  unref(): void {
    this.#child.unref();
  }

  setProtocol(): never {
    throw new Deno.errors.NotSupported("setProtocol() is not supported on the transport of a child's pair");
  }

  getProtocol(): StreamCallbacks {
    return this.#input.getProtocol();
  }

  isReading(): boolean {
    return this.#output.isReading();
  }

  pauseReading(): void {
    this.#output.pauseReading();
  }

  resumeReading(): void {
    this.#output.resumeReading();
  }

  write(data: Uint8Array): void {
    this.#input.write(data);
  }

  writeOwned(data: Uint8Array): void {
    this.#input.writeOwned(data);
  }

  writelines(pieces: Iterable<Uint8Array>): void {
    this.#input.writelines(pieces);
  }

  writeEof(): void {
    this.#input.writeEof();
  }

  canWriteEof(): boolean {
    return this.#input.canWriteEof();
  }

  getWriteBufferSize(): number {
    return this.#input.getWriteBufferSize();
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#input.getWriteBufferLimits();
  }

  setWriteBufferLimits(limits?: WriteBufferLimits): void {
    this.#input.setWriteBufferLimits(limits);
  }
}
