/** A program's mistakes cost it what they must, and nobody else anything. */
import { type ExceptionContext, Protocol, SendfileError, type Transport } from "../../mod.ts";
import { assertEquals, assertRejects } from "../std.ts";
import { onDenoOnly } from "../engine.ts";
import { bytes, captureExceptions, connect, loop, pattern, portOf, Recorder, tempPath, turn } from "../kit.ts";

/** Gives bytes away, and then detaches them all the same. */
class Detaches extends Protocol {
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.#transport.writeOwned(data);
    queueMicrotask(() => {
      try {
        structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
      } catch {
        // A slab that is shared refuses.
      }
    });
  }
}

Deno.test("memory that is detached after writeOwned() does no harm to other connections", async () => {
  await using misused = await connect(() => new Detaches(), () => new Recorder());
  await using innocent = await connect(() => new Recorder(), () => new Recorder());
  for (let i = 0; i < 20; i++) {
    if (!misused.clientTransport.isClosing()) misused.clientTransport.write(pattern(1000 + i));
    innocent.clientTransport.write(pattern(3000, i));
    await innocent.serverSide.untilReceived((i + 1) * 3000);
    await turn();
  }
  assertEquals(innocent.serverSide.received, 60_000);
});

Deno.test("a thrown value that cannot be looked at is told, and the other callbacks of the turn run", async () => {
  using exceptions = captureExceptions();
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  loop.callSoon(() => {
    throw proxy;
  });
  loop.callSoon(() => {
    throw {
      get constructor() {
        throw new Error("of the getter");
      },
    };
  });
  await new Promise<void>((resolve) => void loop.callSoon(resolve));
  assertEquals(exceptions.contexts.length, 2);
});

Deno.test("callExceptionHandler() does not throw, whatever it is given", () => {
  const { error } = console;
  const printed: unknown[][] = [];
  console.error = (...args) => void printed.push(args);
  try {
    loop.callExceptionHandler(null as unknown as ExceptionContext);
    loop.callExceptionHandler({ message: "odd", transport: {} } as unknown as ExceptionContext);
  } finally {
    console.error = error;
  }
  assertEquals(printed.length, 2);
});

Deno.test("a protocol whose getter throws costs its server nothing", async () => {
  using exceptions = captureExceptions();
  let count = 0;
  const factory = () => {
    if (++count > 1) return new Recorder();
    return {
      get connectionMade(): never {
        throw new Error("of the getter");
      },
    };
  };
  const server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0 });
  const [first] = await loop.createConnection(() => new Recorder(), { port: portOf(server) });
  const [second] = await loop.createConnection(() => new Recorder(), { port: portOf(server) });
  await exceptions.log.has("Exception in protocol.connectionMade()");
  first.close();
  second.close();
  server.close();
  server.closeClients();
  await server.waitClosed();
});

Deno.test("async eofReceived() closes as one that returns nothing does", async () => {
  const protocol = { eofReceived: (() => Promise.resolve(true)) as unknown as () => boolean };
  await using pair = await connect(() => protocol, () => new Recorder({ keepOpen: true }));
  pair.clientTransport.writeEof();
  await pair.clientSide.log.has("eofReceived");
});

Deno.test("a ring of two halves in one ArrayBuffer may go to writeOwned() one half behind", async () => {
  await using sink = await connect(() => new Recorder(), () => new Recorder());
  const ring = new Uint8Array(8192);
  const halves = [ring.subarray(0, 4096), ring.subarray(4096)];
  let asked = 0;
  const counts: number[] = [];
  await using source = await connect(() => ({
    getBuffer: () => halves[asked++ % 2]!,
    bufferUpdated(count: number) {
      counts.push(count);
      const last = counts.length - 2;
      if (last >= 0) sink.clientTransport.writeOwned(halves[last % 2]!.subarray(0, counts[last]));
    },
  }), () => new Recorder());
  sink.serverSide.transport.pauseReading();
  const data = pattern(8_000_000);
  source.clientTransport.write(data);
  while (sink.clientTransport.getWriteBufferSize() === 0) await turn();
  for (let i = 0; i < 20; i++) await turn();
  sink.serverSide.transport.resumeReading();
  await source.clientSide.log.until(() => true);
  const all = () => counts.reduce((sum, count) => sum + count, 0);
  while (all() < data.length) await turn();
  const sent = data.length - counts.at(-1)!;
  await sink.serverSide.untilReceived(sent);
  assertEquals(sink.serverSide.data, data.subarray(0, sent));
});

const pausesWriting = onDenoOnly("sendfile(2) does not fill the write buffer");
Deno.test(
  "sendfile() tells how much was sent also when it is aborted inside pauseWriting()",
  pausesWriting,
  async () => {
    using temp = tempPath("file");
    await Deno.writeFile(temp.path, pattern(1_000_000));
    class Aborts extends Recorder {
      override pauseWriting(): void {
        this.transport.abort();
      }
    }
    await using pair = await connect(() => new Recorder(), () => new Aborts());
    using file = await Deno.open(temp.path);
    const error = await assertRejects(() => loop.sendfile(pair.clientTransport, file), SendfileError);
    await pair.serverSide.untilLost();
    assertEquals(error.bytesSent, pair.serverSide.received);
  },
);

Deno.test("an IPv4 remoteAddr is heard through a socket for IPv6, too", async () => {
  const heard = Promise.withResolvers<string>();
  let transport!: { sendto(data: Uint8Array, addr: Deno.Addr): void };
  const [far] = await loop.createDatagramEndpoint(() => ({
    connectionMade: (made) => void (transport = made),
    datagramReceived: (data, addr) => transport.sendto(data, addr),
  }), { localAddr: { hostname: "127.0.0.1", port: 0 } });
  const { port } = far.getExtraInfo("sockname") as Deno.NetAddr;
  const [near] = await loop.createDatagramEndpoint(
    () => ({ datagramReceived: (data: Uint8Array) => heard.resolve(new TextDecoder().decode(data)) }),
    { localAddr: { hostname: "::", port: 0 }, remoteAddr: { hostname: "127.0.0.1", port } },
  );
  near.sendto(bytes("ping"));
  assertEquals(await heard.promise, "ping");
  near.close();
  far.close();
  await turn();
});

Deno.test("a scheduled callback whose name cannot be read is reported, and the other callbacks of the turn run", async () => {
  const nameless = (name: PropertyDescriptor) =>
    Object.defineProperty(
      () => {
        throw new Error("oops");
      },
      "name",
      { ...name, configurable: true },
    );
  const getter = {
    get(): never {
      throw new Error("of the getter");
    },
  };
  for (const debug of [false, true]) {
    using exceptions = captureExceptions();
    loop.setDebug(debug);
    for (const name of [getter, { value: Symbol("name") }, { value: 5 }]) loop.callSoon(nameless(name));
    await turn();
    loop.setDebug(false);
    assertEquals(exceptions.log.entries, Array(3).fill("Exception in callback (anonymous)"));
  }
});

Deno.test("a pipe whose methods return something else than a promise ends by itself, and nothing else does", async () => {
  for (const result of [undefined, null, "text", {}]) {
    const recorder = new Recorder();
    const pipe = { write: () => result as unknown as Promise<number>, close() {} };
    const [transport] = await loop.connectWritePipe(() => recorder, pipe);
    transport.write(bytes("x"));
    await recorder.untilLost();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost TypeError"]);
  }
  const recorder = new Recorder();
  await loop.connectReadPipe(() => recorder, { read: () => undefined as unknown as Promise<null>, close() {} });
  await recorder.untilLost();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost TypeError"]);
});

Deno.test("a pipe or listener whose close() is async and rejects ends nothing", async () => {
  const close = () => Promise.reject(new Error("later")) as unknown as void;
  const recorder = new Recorder();
  const [transport] = await loop.connectWritePipe(() => recorder, { write: () => Promise.resolve(1), close });
  transport.close();
  await recorder.untilLost();
  await turn();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { close: closeListener } = listener;
  listener.close = () => {
    closeListener.call(listener);
    return close();
  };
  const server = await loop.createServer(() => new Protocol(), { listener });
  server.close();
  await server.waitClosed();
  await turn();
});

Deno.test("callExceptionHandler() does not throw where the console does, or a message is no text", () => {
  const { error } = console;
  const printed: unknown[][] = [];
  try {
    console.error = (...args) => void printed.push(args);
    loop.callExceptionHandler({ message: Symbol("no text") } as unknown as ExceptionContext);
    console.error = () => {
      throw new Error("of the console");
    };
    loop.callExceptionHandler({ message: "lost" });
  } finally {
    console.error = error;
  }
  assertEquals(printed, [["%s", "an exception context that cannot be printed was reported"]]);
});

Deno.test("memory from getBuffer() that refuses to be filled is fatal for its transport only", async () => {
  using exceptions = captureExceptions();
  const refusing = () =>
    Object.defineProperty(new Uint8Array(8), "set", {
      get() {
        throw new EvalError("of the memory");
      },
    });
  const source = new ReadableStream({ start: (controller) => controller.enqueue(bytes("x")) });
  const lost = Promise.withResolvers<Error | null>();
  await loop.connectReadPipe(() => ({
    getBuffer: refusing,
    bufferUpdated() {},
    connectionLost: (error: Error | null) => lost.resolve(error),
  }), source);
  assertEquals((await lost.promise)?.name, "EvalError");
  assertEquals(exceptions.log.entries, ["Fatal error: protocol.getBuffer() call failed."]);
});

Deno.test("options whose getters throw the second time leave no socket behind", async () => {
  /** Options with one that can be read so many times. */
  const readable = <O extends object>(options: O, name: string, times: number, value?: unknown): O =>
    Object.defineProperty(options, name, {
      get() {
        if (times-- > 0) return value;
        throw new EvalError(`of ${name}`);
      },
    });
  for (const name of ["closeTimeout", "noDelay", "signal"]) {
    for (let times = 1; times < 6; times++) {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const options = readable({ port: listener.addr.port }, name, times);
      const attempt = loop.createConnection(() => new Recorder(), options);
      const [transport] = await attempt.catch(() => [null] as const);
      transport?.abort();
      await turn();
    }
  }
  const remoteAddr = { hostname: "127.0.0.1", port: 9 };
  for (let times = 1; times < 8; times++) {
    const options = { remoteAddr: readable({ ...remoteAddr }, "hostname", times, "127.0.0.1") };
    const attempt = loop.createDatagramEndpoint(() => ({}), options);
    const [transport] = await attempt.catch(() => [null] as const);
    transport?.close();
    await turn();
  }
});
