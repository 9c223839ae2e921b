/**
 * Tandem, over an engine, by each way of owning memory.
 *
 *   tandem.ts ENGINE MODE KIND
 *   tandem.ts ENGINE pipe KIND SECONDS PROGRAM [ARGUMENTS]
 *
 * ENGINE is `deno` or `epoll`. KIND is `write` or `owned` with a Protocol, `buffered` or `buffered-owned` with a
 * BufferedProtocol, `one-buffer` with a BufferedProtocol whose connections share their memory.
 */
import {
  BufferedProtocol,
  DatagramProtocol,
  type DatagramTransport,
  Protocol,
  type StreamCallbacks,
  SubprocessProtocol,
  type SubprocessTransport,
  type Transport,
  type WriteTransport,
} from "../../mod.ts";
import { loopOver } from "./tandem_loop.ts";

const [engine = "", mode = "", kind = "", ...rest] = Deno.args;

/** An idle connection costs what the server makes it cost, not what this program reads into. */
const BUFFER_SIZE = mode === "idle" ? 4 * 1024 : 256 * 1024;
const ANSWER = new Uint8Array(64);
const ANSWERS = 16;
const BLOCK = new Uint8Array(64 * 1024);
/** What a source writes at once: as much as the C server. */
const PIECE = new Uint8Array(256 * 1024);

class Base extends Protocol {
  protected transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
}

class BufferedBase extends BufferedProtocol {
  protected transport!: Transport;
  protected buffer = new Uint8Array(BUFFER_SIZE);
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
  override getBuffer(): Uint8Array {
    return this.buffer;
  }
}

class Echo extends Base {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

class OwnedEcho extends Base {
  override dataReceived(data: Uint8Array): void {
    this.transport.writeOwned(data);
  }
}

class BufferedEcho extends BufferedBase {
  override bufferUpdated(count: number): void {
    this.transport.write(this.buffer.subarray(0, count));
  }
}

class BufferedOwnedEcho extends BufferedBase {
  override bufferUpdated(count: number): void {
    this.transport.writeOwned(this.buffer.subarray(0, count));
  }
}

/** Memory of all connections, as in the C server. On epoll, bytes are read only when `bufferUpdated` follows at once. */
const ONE_BUFFER = new Uint8Array(BUFFER_SIZE);

class OneBufferEcho extends Base {
  getBuffer(): Uint8Array {
    return ONE_BUFFER;
  }
  bufferUpdated(count: number): void {
    this.transport.write(ONE_BUFFER.subarray(0, count));
  }
}

class Pipelined extends Base {
  override dataReceived(): void {
    for (let i = 0; i < ANSWERS; i++) this.transport.write(ANSWER);
  }
}

class BufferedPipelined extends BufferedBase {
  override bufferUpdated(): void {
    for (let i = 0; i < ANSWERS; i++) this.transport.write(ANSWER);
  }
}

/** Writes until it is told to pause. */
class Source extends Base {
  #paused = false;
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.resumeWriting();
  }
  override pauseWriting(): void {
    this.#paused = true;
  }
  override resumeWriting(): void {
    this.#paused = false;
    while (!this.#paused && !this.transport.isClosing()) this.send();
  }
  protected send(): void {
    this.transport.write(PIECE);
  }
}

class OwnedSource extends Source {
  protected override send(): void {
    this.transport.writeOwned(PIECE); // Its bytes never change, so it can be given away again and again.
  }
}

class Sink extends Base {}

class BufferedSink extends BufferedBase {}

class DatagramEcho extends DatagramProtocol {
  #transport!: DatagramTransport;
  override connectionMade(transport: DatagramTransport): void {
    this.#transport = transport;
  }
  override datagramReceived(data: Uint8Array, addr: Deno.Addr): void {
    this.#transport.sendto(data, addr);
  }
}

/** Sends blocks through a child until the time is up, and counts what comes back. */
class Pipe extends SubprocessProtocol {
  received = 0;
  readonly lost = Promise.withResolvers<void>();
  #stdin!: WriteTransport;
  #paused = false;
  #endAt: number;
  constructor(endAt: number) {
    super();
    this.#endAt = endAt;
  }
  override connectionMade(transport: SubprocessTransport): void {
    this.#stdin = transport.getPipeTransport(0)!;
    this.resumeWriting();
  }
  override pauseWriting(): void {
    this.#paused = true;
  }
  override resumeWriting(): void {
    this.#paused = false;
    while (!this.#paused && !this.#stdin.isClosing()) {
      if (performance.now() < this.#endAt) this.#stdin.write(BLOCK);
      else this.#stdin.close();
    }
  }
  override pipeDataReceived(_fd: number, data: Uint8Array): void {
    this.received += data.length;
  }
  override connectionLost(): void {
    this.lost.resolve();
  }
}

const protocols: Record<string, new () => StreamCallbacks> = {
  "echo write": Echo,
  "echo owned": OwnedEcho,
  "echo buffered": BufferedEcho,
  "echo one-buffer": OneBufferEcho,
  "echo buffered-owned": BufferedOwnedEcho,
  "idle write": Echo,
  "idle owned": OwnedEcho,
  "idle buffered": BufferedEcho,
  "pipelined write": Pipelined,
  "pipelined buffered": BufferedPipelined,
  "source write": Source,
  "source owned": OwnedSource,
  "sink write": Sink,
  "sink buffered": BufferedSink,
};

const loop = loopOver(engine);

async function serve(Factory: new () => StreamCallbacks): Promise<void> {
  const server = await loop.createServer(() => new Factory(), { hostname: "127.0.0.1", port: 0 });
  console.log(`listening ${(server.addresses[0] as Deno.NetAddr).port}`);
  await server.serveForever();
}

async function echoDatagrams(): Promise<void> {
  const localAddr = { hostname: "127.0.0.1", port: 0 };
  const [transport] = await loop.createDatagramEndpoint(() => new DatagramEcho(), { localAddr });
  console.log(`listening ${(transport.getExtraInfo("sockname") as Deno.NetAddr).port}`);
}

async function pipe([seconds, program, ...args]: string[]): Promise<void> {
  let startedAt = performance.now();
  const endAt = startedAt + Number(seconds) * 1000;
  const [, protocol] = await loop.subprocessExec(() => new Pipe(endAt), program!, { args, stderr: "inherit" });
  // The first fifth is warm-up.
  setTimeout(() => {
    startedAt = performance.now();
    protocol.received = 0;
  }, Number(seconds) * 200);
  await protocol.lost.promise;
  console.log(`result ${protocol.received / (performance.now() - startedAt) * 1000}`);
}

if (mode === "udp") await echoDatagrams();
else if (mode === "pipe") await pipe(rest);
else await serve(protocols[`${mode} ${kind}`]!);
