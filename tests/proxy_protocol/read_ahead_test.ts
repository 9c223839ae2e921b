/** PROXY headers over handles that deliver bytes in memory of their own, and so read behind the header. */
import { encodeProxyHeader, EventLoop, type Transport } from "../../mod.ts";
import type {
  AcceptSink,
  ListenHandle,
  ListenTarget,
  ReadMemory,
  StreamHandle,
  StreamSink,
} from "../../transports/mod.ts";
import { MemoryEngine } from "../../testing/mod.ts";
import { assertEquals } from "../std.ts";
import { captureExceptions, concat, pattern, Recorder } from "../kit.ts";
import { type MakeSetup, tcp } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { serveProxied } from "./kit.ts";

/** Delivers what another handle reads as chunks. */
class ChunkHandle implements StreamHandle {
  static onReadStop: (() => void) | undefined;
  readonly readable = true;
  readonly writable = true;
  readonly memory: ReadMemory;
  #handle: StreamHandle;
  #buffer = new Uint8Array(64 * 1024);

  constructor(handle: StreamHandle) {
    this.#handle = handle;
    this.memory = handle.memory;
  }

  readStart(sink: StreamSink): void {
    this.#handle.readStart({
      allocate: () => this.#buffer,
      filled: (count) => sink.chunk(this.#buffer.slice(0, count)),
      chunk: (data) => sink.chunk(data),
      end: () => sink.end(),
      failed: (error) => sink.failed(error),
    });
  }

  readStop = () => {
    this.#handle.readStop();
    ChunkHandle.onReadStop?.();
  };
  tryWrite = (data: Uint8Array) => this.#handle.tryWrite!(data);
  write = (data: Uint8Array) => this.#handle.write(data);
  closeWrite = () => this.#handle.closeWrite();
  reset = () => this.#handle.reset!();
  close = (dropped: boolean) => this.#handle.close(dropped);
}

/** A network in memory whose servers have such handles. */
class ChunkEngine extends MemoryEngine {
  override async listen(target: ListenTarget): Promise<ListenHandle> {
    const listener = await super.listen(target) as ListenHandle;
    const { acceptStart } = listener;
    listener.acceptStart = (sink: AcceptSink) => {
      acceptStart.call(listener, {
        accepted: (end) => sink.accepted({ handle: new ChunkHandle(end.handle), extra: end.extra }),
        failed: (error) => sink.failed(error),
        closed: () => sink.closed(),
      });
    };
    return listener;
  }
}

const HEADER = encodeProxyHeader({
  source: { hostname: "203.0.113.7", port: 56324 },
  destination: { hostname: "192.0.2.1", port: 443 },
});

Deno.test("createServer() with proxyProtocol passes on what a handle has read behind the header, in order and once", async () => {
  const loop = new EventLoop({ engine: new ChunkEngine() });
  await using served = await serveProxied({}, loop);
  for (const [i, cut] of [0, 1, 20, 27, 28, 29, 100].entries()) {
    const data = concat([HEADER, pattern(100_000)]);
    class Client extends Recorder {
      override connectionMade(transport: Transport): void {
        super.connectionMade(transport);
        transport.write(data.subarray(0, cut));
        loop.callLater(1, () => {
          transport.write(data.subarray(cut));
          transport.writeEof();
        });
      }
    }
    await loop.createConnection(() => new Client(), { port: served.port });
    const protocol = await served.next(i + 1);
    await protocol.untilLost();
    assertEquals(protocol.data, pattern(100_000));
    assertEquals(protocol.transport.getExtraInfo("peername"), {
      transport: "tcp",
      hostname: "203.0.113.7",
      port: 56324,
    });
  }
});

Deno.test("Server.abortClients() ends a connection whose header has just been read", async () => {
  const loop = new EventLoop({ engine: new ChunkEngine() });
  using captured = captureExceptions(loop);
  await using served = await serveProxied({}, loop);
  // In a microtask, when the header is there, and the protocol is not.
  ChunkHandle.onReadStop = () => queueMicrotask(() => served.server.abortClients());
  try {
    const client = new Recorder();
    await loop.createConnection(() => client, { port: served.port, proxyProtocol: {} });
    await client.untilLost();
  } finally {
    ChunkHandle.onReadStop = undefined;
  }
  assertEquals([served.protocols, captured.contexts], [[], []]);
});

const proxied = {
  server: { proxyProtocol: { trusted: ["127.0.0.1"] } },
  client: { proxyProtocol: {} },
};
const plain: MakeSetup = (clock) => tcp(new EventLoop({ engine: new ChunkEngine(), clock }), proxied);
streamScenarios("a PROXY header on handles that deliver chunks", plain, { much: 512 * 1024 });
serverScenarios("a PROXY header on handles that deliver chunks", plain, { much: 512 * 1024 });

const secure: MakeSetup = (clock) =>
  tcp(new EventLoop({ engine: new ChunkEngine(), clock }), {
    server: { ...proxied.server, tls: SERVER },
    client: { ...proxied.client, tls: TRUSTING },
  });
serverScenarios("TLS behind a PROXY header on handles that deliver chunks", secure, {
  halfCloses: false,
  much: 2 * 1024 * 1024,
});
