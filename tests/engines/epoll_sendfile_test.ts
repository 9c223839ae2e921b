/** sendfile() on the epoll engine: by sendfile(2), and what happens where that fails. */
import { constants } from "node:os";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { type EventLoop, InvalidStateError, SendfileError, type SendfileOptions } from "../../mod.ts";
import { socketOf } from "../../engines/epoll/mod.ts";
import { assertBytes, bytes, concat, connect, type Pair, pattern, Recorder, tempPath, turn } from "../kit.ts";
import { untilStill } from "../streams/kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { epollLoop, epollTest, failCalls, replaceCall } from "./epoll_kit.ts";

const { EINTR, EIO, EAGAIN, EINVAL, EMFILE, EPIPE, ENOSYS } = constants.errno;
const LARGE = 24 * 1024 * 1024;

interface Setup extends Pair<Recorder, Recorder> {
  loop: EventLoop;
  path: string;
  file: Deno.FsFile;
  data: Uint8Array;
  send(options?: SendfileOptions, file?: Deno.FsFile): Promise<number>;
}

/** A test with a pair on a loop over epoll and a file of so many bytes; it leaves no descriptor of the file open. */
function test(name: string, size: number, run: (setup: Setup) => Promise<void>, tls = false): void {
  epollTest(name, async () => {
    let path: string;
    {
      using temp = tempPath("file");
      path = temp.path;
      const data = pattern(size, 3);
      Deno.writeFileSync(path, data);
      const loop = epollLoop();
      const options = tls ? { server: { tls: SERVER }, client: { tls: TRUSTING }, loop } : { loop };
      await using pair = await connect(() => new Recorder(), () => new Recorder(), options);
      using file = Deno.openSync(path);
      const send = (options?: SendfileOptions, other = file) => loop.sendfile(pair.clientTransport, other, options);
      await run(Object.assign(pair, { loop, path, file, data, send }));
    }
    assertEquals(descriptorsOf(path), []);
  });
}

/** The open descriptors of a file, also of a deleted one. */
function descriptorsOf(path: string): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).filter((fd) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false; // The one that reads the directory, which is gone by now.
    }
  });
}

function position(file: Deno.FsFile): number {
  return file.seekSync(0, Deno.SeekMode.Current);
}

function fdOf({ clientTransport }: Setup): number {
  return socketOf(clientTransport).fd;
}

/** Records the calls of sendfile(2) and counts those of send(2). */
function recordCalls(): Disposable & { counts: number[]; sends: number; untilStuck(): Promise<void> } {
  let sent = 0;
  const replaced = new DisposableStack();
  const recorded = {
    /** The number of bytes that each call was asked for. */
    counts: [] as number[],
    sends: 0,
    untilStuck: () => untilStill(() => sent),
    [Symbol.dispose]: () => replaced.dispose(),
  };
  replaced.use(replaceCall("sendfile", (real, out, file, offset, count) => {
    recorded.counts.push(Number(count));
    const result = real(out, file, offset, count);
    sent += Math.max(0, result);
    return result;
  }));
  replaced.use(replaceCall("send", (real, ...args) => {
    recorded.sends++;
    return real(...args);
  }));
  return recorded;
}

test("sendfile() on epoll calls sendfile(2) for at most 1 MiB, and sends nothing else", LARGE, async (on) => {
  using recorded = recordCalls();
  assertEquals(await on.send({ fallback: false }), LARGE);
  await on.serverSide.untilReceived(LARGE);
  assertBytes(on.serverSide.data, on.data);
  assertEquals(recorded.sends, 0);
  assert(recorded.counts.length >= LARGE / (1024 * 1024));
  assertEquals(Math.max(...recorded.counts), 1024 * 1024);
  assertEquals(on.clientSide.log.entries, ["connectionMade"]);
  assertEquals(position(on.file), LARGE);
});

test("sendfile() on epoll sends a small file with one call, and one that meets its end", 1000, async (on) => {
  using recorded = recordCalls();
  assertEquals(await on.send({ fallback: false }), 1000);
  assertEquals(recorded.counts, [1024 * 1024, 1024 * 1024 - 1000]);
  recorded.counts.length = 0;
  assertEquals(await on.send({ offset: 10, count: 5, fallback: false }), 5);
  assertEquals(recorded.counts, [5]);
  await on.serverSide.untilReceived(1005);
  assertBytes(on.serverSide.data, concat([on.data, on.data.subarray(10, 15)]));
});

test(
  "sendfile() on epoll finds the descriptor of a file above others, and among files at the same place",
  500,
  async (on) => {
    using temp = tempPath("other");
    Deno.writeFileSync(temp.path, pattern(500, 9));
    const below = Deno.openSync(temp.path);
    using file = Deno.openSync(temp.path);
    using _same = Deno.openSync(temp.path);
    below.close(); // leaves a free descriptor below the file
    for (let i = 0; i < 3; i++) assertEquals(await on.send({ fallback: false, offset: i }, file), 500 - i);
    await on.serverSide.untilReceived(1497);
    assertBytes(on.serverSide.data, concat([0, 1, 2].map((i) => pattern(500, 9).subarray(i))));
  },
);

test("sendfile() on epoll goes on after EINTR and EAGAIN", 300_000, async (on) => {
  using _failing = failCalls("sendfile", EINTR, EAGAIN, EINTR, EINTR, EAGAIN);
  assertEquals(await on.send({ fallback: false }), 300_000);
  await on.serverSide.untilReceived(300_000);
  assertBytes(on.serverSide.data, on.data);
});

for (const [errno, name] of [[EINVAL, "EINVAL"], [ENOSYS, "ENOSYS"]] as const) {
  test(
    `sendfile() on epoll reads and writes after ${name}, without fallback it is NotSupported`,
    300_000,
    async (on) => {
      on.file.seekSync(7, Deno.SeekMode.Start);
      {
        using _failing = failCalls("sendfile", errno);
        const error = await assertRejects(
          () => on.send({ fallback: false }),
          Deno.errors.NotSupported,
          "sendfile(): sendfile(2) ",
        );
        assertEquals((error.cause as { code?: string }).code, name);
        assertEquals(position(on.file), 7);
      }
      using _failing = failCalls("sendfile", errno);
      assertEquals(await on.send(), 300_000);
      await on.serverSide.untilReceived(300_000);
      assertBytes(on.serverSide.data, on.data);
    },
  );
}

test("sendfile() on epoll reads and writes where the system cannot send a file of /proc", 1, async (on) => {
  using status = Deno.openSync("/proc/self/limits");
  await assertRejects(() => on.send({ fallback: false }, status), Deno.errors.NotSupported, "sendfile(2)");
  assertEquals(position(status), 0);
  const sent = await on.send({}, status);
  await on.serverSide.untilReceived(sent);
  assertEquals(on.serverSide.text, Deno.readTextFileSync("/proc/self/limits"));
});

test("sendfile() on epoll reads and writes if there is no descriptor left", 1000, async (on) => {
  using _failing = replaceCall("eventfd", () => -EMFILE);
  const error = await assertRejects(() => on.send({ fallback: false }), Deno.errors.NotSupported);
  assertEquals((error.cause as { code?: string }).code, "EMFILE");
  assertEquals(await on.send(), 1000);
});

test("sendfile() on epoll rejects with an error of the file, and the transport lives on", 1000, async (on) => {
  {
    using _failing = failCalls("sendfile", EIO);
    const error = await assertRejects(() => on.send({ fallback: false }), SendfileError);
    assertEquals([error.bytesSent, (error.cause as { code?: string }).code], [0, "EIO"]);
    assertEquals(position(on.file), 0);
  }
  assertEquals(await on.send({ fallback: false }), 1000);
  await on.serverSide.untilReceived(1000);
});

test("sendfile() on epoll rejects with an error of the connection, which connectionLost() gets", 1000, async (on) => {
  using _failing = failCalls("sendfile", EAGAIN, EPIPE);
  const error = await assertRejects(() => on.send({ fallback: false }), SendfileError);
  await on.clientSide.untilLost();
  assertInstanceOf(error.cause, Deno.errors.BrokenPipe);
  assertStrictEquals(error.cause, on.clientSide.error);
  await on.serverSide.untilLost();
});

test("sendfile() on epoll of a closed file is a BadResource, also without fallback", 1000, async (on) => {
  const file = Deno.openSync("/proc/self/exe");
  file.close();
  const error = await assertRejects(() => on.send({ fallback: false }, file), SendfileError);
  assertInstanceOf(error.cause, Deno.errors.BadResource);
  assertEquals(error.bytesSent, 0);
});

test("sendfile() on epoll sends no other file that has taken the descriptor of a closed one", LARGE, async (on) => {
  using recorded = recordCalls();
  using temp = tempPath("other");
  Deno.writeFileSync(temp.path, new Uint8Array(LARGE));
  on.serverSide.transport.pauseReading();
  const file = Deno.openSync(on.path);
  const rejection = assertRejects(() => on.send({ fallback: false }, file), SendfileError);
  await recorded.untilStuck();
  file.close();
  using _next = Deno.openSync(temp.path);
  on.serverSide.transport.resumeReading();
  const { bytesSent, cause } = await rejection;
  assertInstanceOf(cause, Deno.errors.BadResource);
  on.clientTransport.close();
  await on.serverSide.untilLost();
  assertBytes(on.serverSide.data, on.data.subarray(0, bytesSent));
});

test("write() during sendfile() on epoll is sent between two parts of the file", LARGE, async (on) => {
  using recorded = recordCalls();
  on.serverSide.transport.pauseReading();
  const sending = on.send();
  await recorded.untilStuck();
  const { sends } = recorded;
  const [large, small] = [new Uint8Array(100_000).fill(255), bytes("<small>")];
  on.clientTransport.write(large);
  on.clientTransport.write(small);
  assertEquals([on.clientTransport.getWriteBufferSize(), recorded.sends - sends], [large.length + small.length, 0]);
  on.serverSide.transport.resumeReading();
  assertEquals(await sending, LARGE);
  const all = LARGE + small.length + large.length;
  await on.serverSide.untilReceived(all);
  const { data } = on.serverSide;
  const place = data.indexOf(255);
  assert(place > 0 && place < LARGE);
  assertBytes(data, concat([on.data.subarray(0, place), large, small, on.data.subarray(place)]));
});

test("sendfile() on epoll lets the loop turn between two MiB, however fast the reader is", 1, async (on) => {
  using _endless = replaceCall("sendfile", (_real, _out, _file, _offset, count) => Number(count));
  let ended = false;
  const sending = on.send({ count: 64 * 1024 * 1024 }).finally(() => ended = true);
  for (let i = 0; i < 20; i++) await turn(on.loop);
  assertEquals(ended, false);
  assertEquals(await sending, 64 * 1024 * 1024);
});

for (const end of ["writeEof", "close"] as const) {
  test(
    `${end}() during sendfile() on epoll ends it at once, and sends what was written meanwhile`,
    LARGE,
    async (on) => {
      using recorded = recordCalls();
      on.serverSide.transport.pauseReading();
      const rejection = assertRejects(() => on.send(), SendfileError);
      await recorded.untilStuck();
      on.clientTransport.write(bytes("<written>"));
      on.clientTransport[end]();
      const calls = recorded.counts.length;
      on.serverSide.transport.resumeReading();
      const { bytesSent, cause } = await rejection;
      assertEquals(recorded.counts.length, calls);
      if (end === "writeEof") assertInstanceOf(cause, InvalidStateError);
      else assertEquals(cause, undefined);
      await on.serverSide.untilLost();
      assertBytes(on.serverSide.data, concat([on.data.subarray(0, bytesSent), bytes("<written>")]));
      await on.clientSide.untilLost();
      assertEquals(on.clientSide.error, null);
    },
  );
}

test("close() during sendfile() on epoll does not wait for a peer that does not read", LARGE, async (on) => {
  using recorded = recordCalls();
  on.serverSide.transport.pauseReading();
  const rejection = assertRejects(() => on.send(), SendfileError);
  await recorded.untilStuck();
  on.clientTransport.close();
  await rejection;
  await on.clientSide.untilLost();
  assertEquals([on.clientSide.error, fdOf(on)], [null, -1]);
});

test("sendfile() over TLS on epoll reads and writes, and is NotSupported without fallback", 300_000, async (on) => {
  using recorded = recordCalls();
  await assertRejects(() => on.send({ fallback: false }), Deno.errors.NotSupported, "fallback: false");
  assertEquals(await on.send(), 300_000);
  await on.serverSide.untilReceived(300_000);
  assertBytes(on.serverSide.data, on.data);
  assertEquals(recorded.counts, []);
}, true);
