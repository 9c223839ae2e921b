import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "../std.ts";
import { InvalidStateError, SendfileError, type WriteTransport } from "../../mod.ts";
import { bytes, concat, connect, loop, type Pair, pattern, Recorder, tempPath, text, turn } from "../kit.ts";
import { isOverEpoll } from "../engine.ts";
import { fifo } from "../pipes/kit.ts";
import { exec } from "../processes/kit.ts";
import { unixPair } from "../servers/kit.ts";
import { untilStuck } from "./kit.ts";

/** A file with a pattern of bytes in it, open for reading and writing. */
function fileOf(data: Uint8Array): Disposable & { file: Deno.FsFile } {
  const temp = tempPath("file");
  Deno.writeFileSync(temp.path, data);
  const file = Deno.openSync(temp.path, { read: true, write: true });
  return {
    file,
    [Symbol.dispose]() {
      file.close();
      temp[Symbol.dispose]();
    },
  };
}

/** A file too large for the kernel's buffers, made of nothing. */
const LARGE = 24 * 1024 * 1024;
function largeFile(): Disposable & { file: Deno.FsFile } {
  const made = fileOf(new Uint8Array(0));
  made.file.truncateSync(LARGE);
  return made;
}

/** A pair whose server side does not read. */
async function pairWithLazyReader(): Promise<Pair<Recorder, Recorder>> {
  const pair = await connect(() => new Recorder(), () => new Recorder());
  pair.serverSide.transport.pauseReading();
  return pair;
}

function position(file: Deno.FsFile): number {
  return file.seekSync(0, Deno.SeekMode.Current);
}

Deno.test("sendfile() sends a whole file, tells its size and leaves the position behind it", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  for (const size of [1, 1000, 128 * 1024, 300_001]) {
    using source = fileOf(pattern(size, size));
    source.file.seekSync(1, Deno.SeekMode.Start);
    const before = pair.serverSide.received;
    assertEquals(await loop.sendfile(pair.clientTransport, source.file), size);
    assertEquals(pair.clientTransport.getWriteBufferSize(), 0);
    assertEquals(position(source.file), size);
    await pair.serverSide.untilReceived(before + size);
    assertEquals(pair.serverSide.data.subarray(before), pattern(size, size));
  }
});

Deno.test("sendfile() sends the part that offset and count name, as far as the file goes", async () => {
  const data = pattern(200_000);
  using source = fileOf(data);
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const parts: [{ offset?: number; count?: number }, number, number][] = [
    [{ offset: 150_000 }, 150_000, 200_000],
    [{ count: 10 }, 0, 10],
    [{ offset: 5, count: 131_072 }, 5, 131_077],
    [{ offset: 5, count: 131_073 }, 5, 131_078],
    [{ offset: 199_999, count: 1 }, 199_999, 200_000],
    [{ offset: 199_999, count: 500 }, 199_999, 200_000],
    [{ count: 1_000_000 }, 0, 200_000],
    [{ offset: 200_000 }, 200_000, 200_000],
    [{ offset: 300_000 }, 300_000, 300_000],
  ];
  const expected: Uint8Array[] = [];
  for (const [options, from, to] of parts) {
    assertEquals(await loop.sendfile(pair.clientTransport, source.file, options), to - from);
    assertEquals(position(source.file), to);
    expected.push(data.subarray(from, to));
  }
  const whole = concat(expected);
  await pair.serverSide.untilReceived(whole.length);
  assertEquals(pair.serverSide.data, whole);
});

Deno.test("sendfile() of an empty file sends nothing", async () => {
  using source = fileOf(new Uint8Array(0));
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  assertEquals(await loop.sendfile(pair.clientTransport, source.file), 0);
  assertEquals(position(source.file), 0);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.received, 0);
});

Deno.test("sendfile() keeps its place between what is written before and after", async () => {
  using source = fileOf(bytes("<file>"));
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  pair.clientTransport.write(bytes("<head>"));
  const sent = loop.sendfile(pair.clientTransport, source.file);
  assertEquals(await sent, 6);
  pair.clientTransport.write(bytes("<tail>"));
  await pair.serverSide.untilReceived(18);
  assertEquals(pair.serverSide.text, "<head><file><tail>");
});

Deno.test("sendfile() goes at its reader's pace in bounded memory, and ends when all is sent", async () => {
  using source = largeFile();
  let largest = 0;
  class Sampler extends Recorder {
    override dataReceived(data: Uint8Array): void {
      largest = Math.max(largest, pair.clientTransport.getWriteBufferSize());
      this.received += data.length;
      this.log.changed();
    }
  }
  await using pair = await connect(() => new Sampler(), () => new Recorder());
  pair.serverSide.transport.pauseReading();
  let done = false;
  const sending = loop.sendfile(pair.clientTransport, source.file).finally(() => done = true);
  await untilStuck(pair.clientTransport);
  assertEquals([done, pair.serverSide.received], [false, 0]);
  pair.serverSide.transport.resumeReading();
  assertEquals(await sending, LARGE);
  await pair.serverSide.untilReceived(LARGE);
  assertLessOrEqual(largest, 256 * 1024);
  const { entries } = pair.clientSide.log;
  const count = (name: string) => entries.filter((entry) => entry === name).length;
  assertEquals(count("pauseWriting"), count("resumeWriting"));
  assertEquals(position(source.file), LARGE);
});

Deno.test("sendfile() of a file that shrinks midway ends where the file does", async () => {
  using source = largeFile();
  await using pair = await pairWithLazyReader();
  const sending = loop.sendfile(pair.clientTransport, source.file);
  await untilStuck(pair.clientTransport);
  source.file.truncateSync(1024 * 1024);
  pair.serverSide.transport.resumeReading();
  const sent = await sending;
  assert(sent >= 1024 * 1024 && sent < LARGE);
  assertEquals(position(source.file), sent);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.received, sent);
});

Deno.test("sendfile() over a transport that is aborted midway rejects with the number of bytes that the peer gets", async () => {
  using source = largeFile();
  await using pair = await pairWithLazyReader();
  const sending = loop.sendfile(pair.clientTransport, source.file);
  const rejection = assertRejects(() => sending, SendfileError);
  await untilStuck(pair.clientTransport);
  pair.clientTransport.abort();
  const { bytesSent, message } = await rejection;
  assert(message.includes(`${bytesSent} bytes`));
  assert(bytesSent > 0 && bytesSent < LARGE);
  pair.serverSide.transport.resumeReading();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.received, bytesSent);
  assertEquals(position(source.file), bytesSent);
  assertEquals(pair.clientSide.error, null);
});

Deno.test("sendfile() over a transport that is closed midway counts what close() flushes", async () => {
  using source = largeFile();
  await using pair = await pairWithLazyReader();
  pair.clientTransport.write(bytes("head"));
  const sending = loop.sendfile(pair.clientTransport, source.file);
  const rejection = assertRejects(() => sending, SendfileError);
  await untilStuck(pair.clientTransport);
  pair.clientTransport.close();
  pair.serverSide.transport.resumeReading();
  const { bytesSent } = await rejection;
  await pair.serverSide.untilLost();
  assert(bytesSent > 0 && bytesSent < LARGE);
  assertEquals(pair.serverSide.received, 4 + bytesSent);
});

Deno.test("sendfile() to a peer that resets the connection rejects, with the system's error as the cause", async () => {
  using source = largeFile();
  await using pair = await pairWithLazyReader();
  const sending = loop.sendfile(pair.clientTransport, source.file);
  const rejection = assertRejects(() => sending, SendfileError);
  await untilStuck(pair.clientTransport);
  // Bytes that nobody has read make the system answer with a reset.
  pair.serverSide.transport.abort();
  const error = await rejection;
  await pair.clientSide.untilLost();
  assertInstanceOf(error.cause, Error);
  assertStrictEquals(error.cause, pair.clientSide.error);
  assert(["ConnectionReset", "BrokenPipe"].includes((error.cause as Error).name));
});

Deno.test("sendfile() refuses a second one on a transport while one runs, not afterwards", async () => {
  using source = largeFile();
  using second = fileOf(bytes("second"));
  await using pair = await pairWithLazyReader();
  const sending = loop.sendfile(pair.clientTransport, source.file);
  await assertRejects(() => loop.sendfile(pair.clientTransport, second.file), InvalidStateError, "already");
  await untilStuck(pair.clientTransport);
  await assertRejects(() => loop.sendfile(pair.clientTransport, second.file), InvalidStateError, "already");
  pair.serverSide.transport.resumeReading();
  assertEquals(await sending, LARGE);
  assertEquals(await loop.sendfile(pair.clientTransport, second.file), 6);
  await pair.serverSide.untilReceived(LARGE + 6);
  assertEquals(text(pair.serverSide.data.subarray(LARGE)), "second");
});

Deno.test("sendfile() leaves reading alone: bytes go both ways meanwhile", async () => {
  using source = largeFile();
  await using pair = await pairWithLazyReader();
  const sending = loop.sendfile(pair.clientTransport, source.file);
  await untilStuck(pair.clientTransport);
  pair.serverSide.transport.write(bytes("meanwhile"));
  await pair.clientSide.untilReceived(9);
  pair.serverSide.transport.resumeReading();
  await sending;
  assertEquals(pair.clientSide.text, "meanwhile");
});

Deno.test("sendfile() refuses a transport that is closing, or whose end has been written", async () => {
  using source = fileOf(bytes("file"));
  await using pair = await connect(() => new Recorder(), () => new Recorder({ keepOpen: true }));
  pair.clientTransport.writeEof();
  await assertRejects(() => loop.sendfile(pair.clientTransport, source.file), InvalidStateError, "writeEof");
  await using other = await connect(() => new Recorder(), () => new Recorder());
  other.clientTransport.close();
  await assertRejects(() => loop.sendfile(other.clientTransport, source.file), InvalidStateError, "closing");
  assertEquals(position(source.file), 0);
});

Deno.test("sendfile() whose file cannot be read rejects, and the transport lives on", async () => {
  using temp = tempPath("file");
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const writeOnly = Deno.openSync(temp.path, { write: true, create: true });
  const error = await assertRejects(() => loop.sendfile(pair.clientTransport, writeOnly), SendfileError);
  assertEquals(error.bytesSent, 0);
  assertInstanceOf(error.cause, Error);
  writeOnly.close();
  const closed = await assertRejects(() => loop.sendfile(pair.clientTransport, writeOnly), SendfileError);
  assertInstanceOf(closed.cause, Deno.errors.BadResource);
  using source = fileOf(bytes("fine"));
  assertEquals(await loop.sendfile(pair.clientTransport, source.file), 4);
  await pair.serverSide.untilReceived(4);
  assertEquals(pair.serverSide.text, "fine");
});

Deno.test("sendfile() rejects arguments of the wrong kind", async () => {
  using source = fileOf(bytes("file"));
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const send = (options: unknown, file: unknown = source.file, transport: unknown = pair.clientTransport) =>
    loop.sendfile(transport as WriteTransport, file as Deno.FsFile, options as { offset: number });
  await assertRejects(() => send({ offset: -1 }), RangeError, "offset");
  await assertRejects(() => send({ offset: 0.5 }), RangeError, "offset");
  await assertRejects(() => send({ offset: "1" }), Error, 'string "1"');
  await assertRejects(() => send({ count: 0 }), RangeError, "count");
  await assertRejects(() => send({ count: -1 }), RangeError, "count");
  await assertRejects(() => send({ count: NaN }), RangeError, "count");
  if (!isOverEpoll()) await assertRejects(() => send({ fallback: false }), Deno.errors.NotSupported, "fallback");
  for (const file of [null, {}, "path"]) await assertRejects(() => send({}, file), TypeError, "file");
  for (const transport of [null, {}]) {
    await assertRejects(() => send({}, source.file, transport), TypeError, "transport");
  }
  const [readOnly] = await loop.connectReadPipe(() => ({}), new ReadableStream());
  await assertRejects(() => send({}, source.file, readOnly), TypeError, "transport");
  readOnly.close();
  const [datagrams] = await loop.createDatagramEndpoint(() => ({}), { localAddr: { hostname: "127.0.0.1", port: 0 } });
  await assertRejects(() => send({}, source.file, datagrams), TypeError, "transport");
  datagrams.close();
  await turn();
  assertEquals(pair.clientTransport.getWriteBufferSize(), 0);
});

Deno.test("sendfile() works over Unix sockets, pipes and a child's standard input alike", async () => {
  const data = pattern(500_000);
  using source = fileOf(data);
  using temp = tempPath();
  {
    await using pair = await unixPair(temp.path);
    assertEquals(await loop.sendfile(pair.clientSide.transport, source.file), data.length);
    await pair.serverSide.untilReceived(data.length);
    assertEquals(pair.serverSide.data, data);
  }
  const { reader, writer } = await fifo();
  const [, readSide] = await loop.connectReadPipe(() => new Recorder(), reader);
  const [pipe] = await loop.connectWritePipe(() => new Recorder(), writer);
  assertEquals(await loop.sendfile(pipe, source.file), data.length);
  pipe.close();
  await readSide.untilLost();
  assertEquals(readSide.data, data);
  const child = await exec("cat");
  assertEquals(await loop.sendfile(child.stdin, source.file), data.length);
  child.stdin.close();
  await child.untilLost();
  assertEquals(child.data(1), data);
});
