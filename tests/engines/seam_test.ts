/** What a transport asks of a handle, and what it bears: shown with handles whose every move is the test's. */
import { FakeHandle, makeTransport, microtasks } from "../streams/kit.ts";
import { context } from "../streams/kit.ts";
import { bytes, concat, EventLog, pattern, Recorder, text, turn } from "../kit.ts";
import { assertEquals, assertStrictEquals } from "../std.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import { DatagramTransport } from "../../transports/datagram_transport.ts";
import type { DatagramHandle, StreamHandle } from "../../transports/mod.ts";
import { StreamConnection } from "../../transports/stream_connection.ts";
import { StreamTransport } from "../../transports/stream_transport.ts";
import type { StreamCallbacks } from "../../transports/transport.ts";
import { ReadyHandle } from "./ready_handle.ts";

const KIB = 1024;

/** Makes a transport that a test ends by itself. */
function open(protocol: StreamCallbacks, handle: StreamHandle): StreamTransport & AsyncDisposable {
  const transport = makeTransport(protocol, handle);
  return Object.assign(transport, {
    async [Symbol.asyncDispose]() {
      transport.abort();
      await turn();
    },
  });
}

Deno.test("allocate() again without filled() gives the same memory, and asks no protocol twice", async () => {
  const handle = new ReadyHandle();
  let asked = 0;
  const log = new EventLog();
  const protocol = {
    getBuffer: () => (asked++, new Uint8Array(8)),
    bufferUpdated: (count: number) => log.add(`bufferUpdated ${count}`),
  };
  await using _transport = open(protocol, handle);
  const memory = handle.sink.allocate(64);
  assertStrictEquals(handle.sink.allocate(64), memory);
  assertEquals(asked, 1);
  handle.sink.filled(3);
  assertEquals([handle.sink.allocate(64) === memory, asked], [false, 2]);
  assertEquals(log.entries, ["bufferUpdated 3"]);
});

Deno.test("allocate() again asks anew where the buffer has been detached, or the protocol replaced", async () => {
  const handle = new ReadyHandle();
  const buffers: Uint8Array[] = [];
  const protocol = () => ({
    getBuffer: () => (buffers.push(new Uint8Array(8)), buffers.at(-1)!),
    bufferUpdated: () => {},
  });
  await using transport = open(protocol(), handle);
  handle.sink.allocate(64);
  structuredClone(buffers[0]!.buffer, { transfer: [buffers[0]!.buffer as ArrayBuffer] });
  assertStrictEquals(handle.sink.allocate(64), buffers[1]!);
  transport.setProtocol(protocol());
  assertStrictEquals(handle.sink.allocate(64), buffers[2]!);
  assertEquals(buffers.length, 3);
});

Deno.test("filled(0) reaches no protocol, and the memory is read into next", async () => {
  for (const buffered of [false, true]) {
    const handle = new ReadyHandle();
    const log = new EventLog();
    const memory = new Uint8Array(8);
    await using _transport = open({
      ...buffered && { getBuffer: () => memory, bufferUpdated: (count: number) => log.add(`bufferUpdated ${count}`) },
      ...!buffered && { dataReceived: (data: Uint8Array) => log.add(`dataReceived ${data.length}`) },
    }, handle);
    const first = handle.sink.allocate(64);
    handle.sink.filled(0);
    assertStrictEquals(handle.sink.allocate(64), first);
    handle.sink.filled(2);
    assertEquals(log.entries, [buffered ? "bufferUpdated 2" : "dataReceived 2"]);
  }
});

Deno.test("write() of much on an empty queue leaves at once, straight from the caller's memory", async () => {
  const handle = new ReadyHandle();
  await using transport = open(new Recorder(), handle);
  const data = pattern(16 * KIB);
  transport.write(data);
  assertEquals([handle.tried, transport.getWriteBufferSize()], [[16 * KIB], 0]);
  assertEquals(concat(handle.written), data);
});

Deno.test("write() of little is joined with its neighbours, and tried by no handle", async () => {
  const handle = new ReadyHandle();
  await using transport = open(new Recorder(), handle);
  for (const piece of ["a", "b", "c"]) transport.write(bytes(piece));
  await microtasks();
  assertEquals([handle.tried, handle.written.map(text)], [[], ["abc"]]);
});

for (const method of ["write", "writeOwned"] as const) {
  Deno.test(`${method}() of little is tried at once where the callbacks before wrote once, and keeps its order where more follow`, async () => {
    const handle = new ReadyHandle();
    let pieces = ["alone"];
    const protocol = {
      dataReceived: () => pieces.forEach((piece) => transport[method](bytes(piece))),
    };
    await using transport = open(protocol, handle);
    const receive = () => {
      handle.sink.allocate(64);
      handle.sink.filled(1);
    };
    for (let i = 0; i < 32; i++) receive();
    assertEquals([handle.tried.length, handle.written.length], [0, 32]);
    receive();
    assertEquals([handle.tried, handle.written.length], [[5], 33]);
    handle.written.length = 0;
    pieces = ["a", "b", "c"];
    for (let i = 0; i < 3; i++) receive();
    // The first of the first callback was sent before there was a second one.
    assertEquals(handle.written.map(text), ["a", "bc", "abc", "abc"]);
    pieces = ["alone"];
    for (let i = 0; i < 100; i++) receive();
    assertEquals(handle.tried, [5, 1]);
    for (let i = 0; i < 100; i++) receive();
    assertEquals(handle.tried.length, 42);
    handle.room = 2;
    receive();
    assertEquals([text(handle.written.at(-1)!), transport.getWriteBufferSize()], ["al", 3]);
    await handle.unblock();
    assertEquals([text(handle.written.at(-1)!), transport.getWriteBufferSize()], ["one", 0]);
  });
}

Deno.test("write() behind bytes that wait is not tried, so that their order holds", async () => {
  const handle = new ReadyHandle();
  await using transport = open(new Recorder(), handle);
  transport.write(bytes("first "));
  transport.write(pattern(16 * KIB));
  assertEquals(handle.tried, []);
  await microtasks();
  assertEquals(concat(handle.written), concat([bytes("first "), pattern(16 * KIB)]));
});

Deno.test("write() keeps a copy of what a handle does not take, and sends it when there is room", async () => {
  const handle = new ReadyHandle();
  handle.room = 5000;
  await using transport = open(new Recorder(), handle);
  const data = pattern(100 * KIB);
  transport.write(data);
  assertEquals(transport.getWriteBufferSize(), 100 * KIB - 5000);
  data.fill(0);
  await microtasks();
  await handle.unblock();
  assertEquals(concat(handle.written), pattern(100 * KIB));
  assertEquals([handle.tried, transport.getWriteBufferSize()], [[100 * KIB], 0]);
});

Deno.test("write() counts for flow control only what the handle has not taken", async () => {
  const handle = new ReadyHandle();
  handle.room = 200 * KIB;
  const recorder = new Recorder();
  await using transport = open(recorder, handle);
  transport.write(pattern(200 * KIB));
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.write(pattern(100 * KIB));
  assertEquals(recorder.log.entries, ["connectionMade", "pauseWriting"]);
  await microtasks();
  await handle.unblock();
  assertEquals(recorder.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
});

Deno.test("write() that a handle refuses ends in connectionLost() in a later turn, and throws nothing", async () => {
  const handle = new ReadyHandle();
  handle.room = new Deno.errors.BrokenPipe("the peer has gone");
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(pattern(16 * KIB));
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost BrokenPipe"]);
});

Deno.test("writelines() tries its large pieces, in order with the others", async () => {
  const handle = new ReadyHandle();
  await using transport = open(new Recorder(), handle);
  const pieces = [pattern(20 * KIB, 1), bytes("and"), pattern(20 * KIB, 2)];
  transport.writelines(pieces);
  await microtasks();
  assertEquals(concat(handle.written), concat(pieces));
  assertEquals(handle.tried, [20 * KIB]);
});

Deno.test("writeOwned() of a lent window on a handle that writes at once is sent after the callback, once it is no longer lent", async () => {
  const handle = new ReadyHandle();
  const sentInside: number[] = [];
  await using transport = open({
    dataReceived: (data) => {
      transport.writeOwned(data);
      sentInside.push(handle.written.length);
    },
  }, handle);
  for (const part of ["one", "two", "three"]) {
    const memory = handle.sink.allocate(64)!;
    memory.set(bytes(part.repeat(100)));
    handle.sink.filled(part.length * 100);
  }
  assertEquals(sentInside, [0, 1, 2]);
  assertEquals(text(concat(handle.written)), ["one", "two", "three"].map((part) => part.repeat(100)).join(""));
});

Deno.test("closeWrite() may end at once", async () => {
  const handle = new ReadyHandle();
  await using transport = open(new Recorder(), handle);
  transport.write(bytes("x"));
  transport.writeEof();
  await microtasks();
  assertEquals([handle.closeWrites, concat(handle.written).length], [1, 1]);
});

Deno.test("closeWrite() that throws or rejects ends in connectionLost() with its error", async () => {
  for (
    const closeWrite of [() => {
      throw new EvalError("thrown");
    }, () => Promise.reject(new EvalError("rejected"))]
  ) {
    const recorder = new Recorder();
    const transport = makeTransport(recorder, Object.assign(new FakeHandle(), { closeWrite }));
    transport.writeEof();
    await microtasks();
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost EvalError"]);
  }
});

Deno.test("close() settles a write that waits, and nothing follows connectionLost()", async () => {
  const handle = new ReadyHandle();
  handle.room = 0;
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(pattern(1000));
  await microtasks();
  transport.abort();
  await turn();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("bytes held while paused survive that the memory they were read into is another connection's next", async () => {
  const scratch = new WindowMemory();
  const [one, two] = [
    Object.assign(new ReadyHandle(), { memory: scratch }),
    Object.assign(new ReadyHandle(), { memory: scratch }),
  ];
  const received: string[] = [];
  await using first = open({ dataReceived: (data) => void received.push(`first ${text(data)}`) }, one);
  await using _second = open({ dataReceived: (data) => void received.push(`second ${text(data)}`) }, two);
  for (const length of [10, 400]) {
    // A posted read, which pauseReading() does not stop.
    const memory = one.sink.allocate(64)!;
    first.pauseReading();
    memory.set(bytes("1".repeat(length)));
    one.sink.filled(length);
    two.sink.allocate(64)!.set(bytes("2".repeat(length)));
    two.sink.filled(length);
    first.resumeReading();
    await turn();
  }
  assertEquals(received.map((line) => `${line.slice(0, 8)} ${line.length}`), [
    "second 2 17",
    "first 11 16",
    "second 2 407",
    "first 11 406",
  ]);
});

/** A datagram handle that sends at once while it has room. */
class ReadyDatagrams implements DatagramHandle {
  readonly addr: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port: 1 };
  readonly remoteAddr: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port: 2 };
  readonly socket = {};
  room = Infinity;
  readonly sent: string[] = [];
  fails: Error | null = null;
  #blocked: PromiseWithResolvers<void> | null = null;

  receiveStart(): void {}

  trySend(data: Uint8Array): boolean {
    if (this.fails !== null) throw this.fails;
    if (this.room-- <= 0) return false;
    this.sent.push(text(data));
    return true;
  }

  send(data: Uint8Array): void | Promise<void> {
    if (this.room-- > 0) return void this.sent.push(text(data));
    this.#blocked = Promise.withResolvers();
    return this.#blocked.promise.then(() => void this.sent.push(text(data)));
  }

  async unblock(): Promise<void> {
    this.room = Infinity;
    this.#blocked!.resolve();
    await microtasks();
  }

  close(): void {}
}

Deno.test("sendto() on a handle that sends at once keeps nothing; what would block waits, in order", async () => {
  const handle = new ReadyDatagrams();
  const transport = new DatagramTransport(context, handle, {}, { extra: {}, remoteAddrAsGiven: handle.remoteAddr });
  const data = bytes("a");
  transport.sendto(data);
  data.fill(0);
  assertEquals([handle.sent, transport.getWriteBufferSize()], [["a"], 0]);
  handle.room = 0;
  transport.sendto(bytes("b"));
  transport.sendto(bytes("c"));
  assertEquals(transport.getWriteBufferSize(), 2 * (1 + 8));
  await handle.unblock();
  assertEquals([handle.sent, transport.getWriteBufferSize()], [["a", "b", "c"], 0]);
  transport.close();
  await turn();
});

Deno.test("close() in the callback in which sendto() has failed still calls errorReceived() first", async () => {
  for (const end of ["close", "abort"] as const) {
    const handle = new ReadyDatagrams();
    const log: string[] = [];
    const transport = new DatagramTransport(context, handle, {
      errorReceived: (error) => void log.push(error.message),
      connectionLost: () => void log.push("connectionLost"),
    }, { extra: {}, remoteAddrAsGiven: handle.remoteAddr });
    handle.fails = new Error("refused");
    transport.sendto(bytes("a"));
    transport[end]();
    assertEquals(log, []);
    await turn();
    assertEquals(log, ["refused", "connectionLost"]);
  }
});

Deno.test("sendto() that fails at once is errorReceived() in a later turn", async () => {
  const handle = new ReadyDatagrams();
  handle.fails = new Deno.errors.ConnectionRefused("no one there");
  const log = new EventLog();
  const protocol = { errorReceived: (error: Error) => log.add(error.name) };
  const transport = new DatagramTransport(context, handle, protocol, {
    extra: {},
    remoteAddrAsGiven: handle.remoteAddr,
  });
  transport.sendto(bytes("a"));
  assertEquals(log.entries, []);
  await turn();
  assertEquals([log.entries, transport.getWriteBufferSize()], [["ConnectionRefused"], 0]);
  transport.close();
  await turn();
});

Deno.test("a stream transport has the methods of its interface and no others", () => {
  const connection = new StreamConnection(context, new ReadyHandle(), {}, {});
  const transport = new StreamTransport(connection, { extra: {} });
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(transport)).sort();
  assertEquals(Object.getOwnPropertyNames(transport), []);
  assertEquals(methods, [
    ...["abort", "canWriteEof", "close", "constructor", "getExtraInfo", "getProtocol", "getWriteBufferLimits"],
    ...["getWriteBufferSize", "isClosing", "isReading", "pauseReading", "ref", "resumeReading", "setProtocol"],
    ...["setWriteBufferLimits", "unref", "write", "writeEof", "writeOwned", "writelines"],
  ]);
});
