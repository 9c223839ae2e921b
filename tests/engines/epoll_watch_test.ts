/** addReader() and addWriter() on the epoll engine: asyncio's, for descriptors that no transport owns. */
import { AsyncLocalStorage } from "node:async_hooks";
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "../std.ts";
import { type EventLoop, getRunningLoop, InvalidStateError } from "../../mod.ts";
import { socketOf, socketPair } from "../../engines/epoll/mod.ts";
import { type Libc, openLibc } from "../../engines/epoll/libc.ts";
import { bytes, captureExceptions, connect, Recorder, tempPath, text, turn } from "../kit.ts";
import { epollLoop, epollTest, replaceCall } from "./epoll_kit.ts";

const SOCKETS = 0o2004000; // SOCK_CLOEXEC | SOCK_NONBLOCK

/** Two connected sockets that the test owns. */
class Sockets implements Disposable {
  readonly libc: Libc = openLibc();
  readonly near: number;
  readonly far: number;
  #open = new Set<number>();

  constructor() {
    const pair = new Int32Array(2);
    assertEquals(this.libc.socketpair(1, 1 | SOCKETS, 0, pair), 0);
    [this.near, this.far] = [pair[0]!, pair[1]!];
    this.#open = new Set(pair);
  }

  send(fd: number, data: string): void {
    assertEquals(this.libc.send(fd, bytes(data), BigInt(data.length), 0), data.length);
  }

  receive(fd: number): string {
    const buffer = new Uint8Array(100);
    const count = this.libc.recv(fd, buffer, 100n, 0);
    return count < 0 ? "nothing" : text(buffer.subarray(0, count));
  }

  close(fd: number): void {
    if (this.#open.delete(fd)) this.libc.close(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) this.close(fd);
  }
}

/** A test with two sockets, on a loop of its own. */
function test(name: string, run: (loop: EventLoop, sockets: Sockets) => Promise<void> | void): void {
  epollTest(name, async () => {
    const loop = epollLoop();
    using sockets = new Sockets();
    await run(loop, sockets);
    await turn(loop);
  });
}

test(
  "addReader() calls back with its arguments when the descriptor can be read, until removeReader()",
  async (loop, s) => {
    const got: unknown[] = [];
    const read = Promise.withResolvers<void>();
    loop.addReader(
      s.near,
      (...args) => {
        got.push(...args, s.receive(s.near));
        read.resolve();
      },
      1,
      "two",
    );
    for (let i = 0; i < 5; i++) await turn(loop);
    assertEquals(got, []);
    s.send(s.far, "hello");
    await read.promise;
    for (let i = 0; i < 5; i++) await turn(loop);
    assertEquals(got, [1, "two", "hello"]);
    assertEquals(loop.removeReader(s.near), true);
    s.send(s.far, "more");
    for (let i = 0; i < 5; i++) await turn(loop);
    assertEquals([got.length, s.receive(s.near)], [3, "more"]);
    assertEquals([loop.removeReader(s.near), loop.removeWriter(s.near), loop.removeReader(s.far)], [
      false,
      false,
      false,
    ]);
  },
);

test("addReader() takes an object with a descriptor, and replaces the earlier reader", async (loop, s) => {
  const got: string[] = [];
  loop.addReader(s.near, () => got.push("first"));
  const read = Promise.withResolvers<void>();
  loop.addReader({ fd: s.near }, () => {
    got.push("second");
    assertEquals(loop.removeReader({ fd: s.near }), true);
    read.resolve();
  });
  s.send(s.far, "x");
  await read.promise;
  for (let i = 0; i < 5; i++) await turn(loop);
  assertEquals(got, ["second"]);
});

test("addReader() calls back once in each turn while the descriptor can be read", async (loop, s) => {
  let calls = 0;
  const log: string[] = [];
  const done = Promise.withResolvers<void>();
  s.send(s.far, "x");
  loop.addReader(s.near, () => {
    log.push("read");
    loop.callSoon(() => log.push("turn"));
    if (++calls < 3) return;
    loop.removeReader(s.near);
    loop.callSoon(done.resolve);
  });
  await done.promise;
  assertEquals(log, ["read", "turn", "read", "turn", "read", "turn"]);
});

test(
  "addReader() and addWriter() on one descriptor: the reader is called first, each can be removed",
  async (loop, s) => {
    const log: string[] = [];
    const done = Promise.withResolvers<void>();
    s.send(s.far, "x");
    let writes = 0;
    loop.addWriter(s.near, () => {
      log.push("write");
      if (++writes === 2) done.resolve();
    });
    loop.addReader(s.near, () => {
      log.push("read");
      loop.removeReader(s.near);
    });
    await done.promise;
    assertEquals(log, ["read", "write", "write"]);
    assertEquals([loop.removeReader(s.near), loop.removeWriter(s.near)], [false, true]);
  },
);

test("removeWriter() inside the reader's callback: the writer is not called any more", async (loop, s) => {
  const log: string[] = [];
  const done = Promise.withResolvers<void>();
  s.send(s.far, "x");
  loop.addWriter(s.near, () => log.push("write"));
  loop.addReader(s.near, () => {
    log.push(`read ${loop.removeWriter(s.near)} ${loop.removeReader(s.near)}`);
    done.resolve();
  });
  await done.promise;
  for (let i = 0; i < 3; i++) await turn(loop);
  assertEquals(log, ["read true true"]);
});

test("addReader() and addWriter() call back when the peer has closed", async (loop, s) => {
  const log: string[] = [];
  const done = Promise.withResolvers<void>();
  s.close(s.far);
  loop.addReader(s.near, () => log.push(`read ${s.receive(s.near).length}`) && loop.removeReader(s.near));
  loop.addWriter(s.near, () => {
    log.push("write");
    loop.removeWriter(s.near);
    done.resolve();
  });
  await done.promise;
  assertEquals(log, ["read 0", "write"]);
});

test("addReader() whose callback throws or rejects reaches the exception handler, and goes on", async (loop, s) => {
  using captured = captureExceptions(loop);
  s.send(s.far, "x");
  let calls = 0;
  loop.addReader(s.near, function fails() {
    calls++;
    if (calls === 1) throw new Error("thrown");
    loop.removeReader(s.near);
    return Promise.reject(new Error("rejected"));
  });
  await captured.log.until(() => captured.contexts.length === 2);
  assertEquals(captured.contexts.map(({ message, error }) => `${message}: ${error!.message}`), [
    "Exception in callback fails: thrown",
    "Exception in callback fails: rejected",
  ]);
  assert(captured.contexts.every(({ handle }) => handle !== undefined));
});

test("addReader() and addWriter() run in the AsyncLocalStorage contexts of their calls", async (loop, s) => {
  const storage = new AsyncLocalStorage<string>();
  const log: unknown[] = [];
  const done = Promise.withResolvers<void>();
  s.send(s.far, "x");
  storage.run("reader", () =>
    loop.addReader(s.near, () => {
      log.push(storage.getStore());
      loop.removeReader(s.near);
    }));
  storage.run("writer", () =>
    loop.addWriter(s.near, () => {
      log.push(storage.getStore());
      loop.removeWriter(s.near);
      done.resolve();
    }));
  await done.promise;
  assertEquals(log, ["reader", "writer"]);
});

test("addReader() rejects what is not a descriptor, and what cannot be watched", (loop, s) => {
  const add = (fd: unknown, callback: unknown = () => {}) => () => loop.addReader(fd as number, callback as () => void);
  for (const fd of [undefined, null, "x", 1n, {}, { fd: "1" }, () => {}]) {
    assertThrows(add(fd), TypeError, "addReader(): fd must be a file descriptor or an object with one as its fd, got");
    assertThrows(() => loop.removeReader(fd as number), TypeError, "removeReader(): fd must be");
  }
  for (const fd of [-1, 1.5, NaN, 2 ** 31, { fd: -2 }]) assertThrows(add(fd), RangeError, "addReader(): fd must be");
  assertThrows(add({ fd: -1 }), Deno.errors.BadResource, "addReader(): fd is closed");
  assertThrows(add(s.near, 5), TypeError, "addReader(): callback must be a function, got number 5");
  const closed = assertThrows(add(99_999), Deno.errors.BadResource, "addReader(): file descriptor 99999 is not open");
  assertEquals((closed as { code?: string }).code, "EBADF");
  assertThrows(() => loop.addWriter(99_999, () => {}), Deno.errors.BadResource, "addWriter(): file descriptor 99999");
  assertEquals([loop.removeReader(99_999), loop.removeWriter(s.near)], [false, false]);
});

test("addReader() of a regular file is an EPERM that says so", (loop, s) => {
  using temp = tempPath("file");
  Deno.writeTextFileSync(temp.path, "text");
  using _file = Deno.openSync(temp.path);
  const links = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name);
  const fd = Number(links.find((name) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`) === temp.path;
    } catch {
      return false;
    }
  }));
  const error = assertThrows(() => loop.addReader(fd, () => {}), Deno.errors.PermissionDenied, "is a regular file");
  assertEquals((error as { code?: string }).code, "EPERM");
  assertInstanceOf(error.cause, Deno.errors.PermissionDenied);
  assertEquals(loop.removeReader(fd), false);
  assertEquals(s.libc.lseek(fd, 0n, 1), 0);
});

test("addReader() of a transport's descriptor is an InvalidStateError, also while it is paused", async (loop, s) => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  const socket = socketOf(pair.clientTransport);
  const { fd } = socket;
  const refused = (method: string, call: () => unknown) =>
    assertThrows(call, InvalidStateError, `${method}: file descriptor ${fd} is used by a transport`);
  for (let i = 0; i < 2; i++) {
    refused("addReader()", () => loop.addReader(fd, () => {}));
    refused("addWriter()", () => loop.addWriter(socket, () => {}));
    refused("removeReader()", () => loop.removeReader(socket));
    refused("removeWriter()", () => loop.removeWriter(fd));
    pair.clientTransport.pauseReading();
    await turn(loop);
  }
  pair.clientTransport.resumeReading();
  pair.serverSide.transport.write(bytes("still here"));
  await pair.clientSide.untilReceived(10);
  pair.clientTransport.abort();
  await pair.clientSide.untilLost();
  await turn(loop);
  assertThrows(() => loop.addReader(socket, () => {}), Deno.errors.BadResource, "addReader(): fd is closed");
  assertEquals(loop.removeReader(s.near), false);
});

test("a descriptor that is closed before removeReader() is not called, and its number is free", async (loop, s) => {
  loop.addReader(s.near, () => assert(false));
  s.close(s.near);
  s.close(s.far);
  for (let i = 0; i < 5; i++) await turn(loop);
  // The same numbers, for sockets of the test,
  using again = new Sockets();
  assertEquals(again.near, s.near);
  const read = Promise.withResolvers<void>();
  loop.addReader(again.near, read.resolve);
  again.send(again.far, "x");
  await read.promise;
  assertEquals(loop.removeReader(again.near), true);
  // closed again,
  loop.addReader(again.near, () => assert(false));
  loop.addWriter(again.near, () => assert(false));
  again.close(again.near);
  again.close(again.far);
  // and for a transport.
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  pair.clientTransport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  pair.clientTransport.abort();
  pair.server.close();
  pair.server.abortClients();
  await pair.server.waitClosed();
  await turn(loop);
  using last = new Sockets();
  assertEquals(last.near, s.near);
  assertEquals(loop.removeReader(last.near), false);
  loop.addWriter(last.near, read.resolve);
  last.send(last.far, "x");
  for (let i = 0; i < 3; i++) await turn(loop);
  assertEquals([loop.removeWriter(last.near), loop.removeReader(last.near)], [true, false]);
});

test("addReader() of a socket that then becomes a transport: its reader is gone, with its descriptor", async (loop) => {
  const [near, far] = socketPair();
  using _far = far;
  const { fd } = near;
  loop.addReader(near, () => assert(false));
  loop.addWriter(near, () => assert(false));
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: near });
  assertThrows(() => loop.removeReader(near), Deno.errors.BadResource, "removeReader(): fd is closed");
  assertThrows(() => loop.removeReader(fd), InvalidStateError, "is used by a transport");
  far.send(bytes("hello"));
  await protocol.untilReceived(5);
  transport.close();
  await protocol.untilLost();
});

test("removeReader() of a closed descriptor that has a writer ends both", (loop, s) => {
  loop.addReader(s.near, () => assert(false));
  loop.addWriter(s.near, () => assert(false));
  s.close(s.near);
  assertEquals([loop.removeReader(s.near), loop.removeReader(s.near), loop.removeWriter(s.near)], [true, false, false]);
});

test("removeReader() of a descriptor that is closed while a duplicate is open ends its events", async (loop, s) => {
  const { libc } = s;
  using other = new Sockets();
  const duplicate = libc.eventfd(0, SOCKETS);
  assertEquals(libc.dup3(s.near, duplicate, SOCKETS & ~0o4000), duplicate);
  let calls = 0;
  const called = Promise.withResolvers<void>();
  loop.addReader(s.near, () => {
    calls++;
    called.resolve();
  });
  const read = Promise.withResolvers<void>();
  loop.addReader(other.near, read.resolve);
  s.send(s.far, "x");
  s.close(s.near);
  await called.promise;
  assertEquals(loop.removeReader(s.near), true);
  const before = calls;
  const counts: number[] = [];
  {
    using _recording = replaceCall("epoll_wait", (real, ...args) => {
      const count = real(...args);
      counts.push(count);
      return count;
    });
    for (let i = 0; i < 5; i++) await turn(loop);
  }
  // The system has reported it once more. How many polls find nothing depends on when the engine parks.
  assertEquals([calls - before, counts.filter((count) => count !== 0)], [0, [1]]);
  // All others are still watched.
  other.send(other.far, "x");
  await read.promise;
  assertEquals(loop.removeReader(other.near), true);
  libc.close(duplicate);
});

Deno.test("addReader() and the others are NotSupported on Deno's engine, and name the epoll engine", () => {
  const loop = getRunningLoop();
  for (const name of ["addReader", "addWriter", "removeReader", "removeWriter"] as const) {
    const error = assertThrows(() => loop[name](0, () => {}), Deno.errors.NotSupported, "@tandem/io/epoll");
    assertStrictEquals(error.message.startsWith(`${name}() is not supported by the engine "deno"`), true);
  }
});
