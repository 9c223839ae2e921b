/** Protocols of frames, over real sockets. */
import { assert, assertEquals, assertInstanceOf, assertThrows } from "../std.ts";
import { bytes, captureExceptions, concat, connect, ManualClock, pattern, Recorder, text, turn } from "../kit.ts";
import { makeLoop } from "../engine.ts";
import { InvalidStateError, TimeoutError, type Transport } from "../../mod.ts";
import {
  FixedLengthProtocol,
  FrameTooLongError,
  InvalidFrameError,
  LengthPrefixedFramer,
  LengthPrefixedProtocol,
  LineProtocol,
  NetstringProtocol,
} from "../../framing/mod.ts";
import { Frames, Lines } from "./kit.ts";

Deno.test("LineProtocol receives lines, and sendFrame() sends one", async () => {
  await using pair = await connect(() => new Lines(), () => new Lines());
  const { serverSide, clientSide } = pair;
  serverSide.onFrame = (line) => serverSide.sendFrame(line.toUpperCase());
  for (const piece of ["on", "e\r", "\ntwo\nthr", "ee\r\n"]) pair.clientTransport.write(bytes(piece));
  await clientSide.log.has("line THREE");
  assertEquals(clientSide.log.entries, ["connectionMade", "line ONE", "line TWO", "line THREE"]);
});

Deno.test("LineProtocol with text: false receives bytes, which are a view of memory that is read into", async () => {
  class Bytes extends LineProtocol<Uint8Array> {
    readonly lines: string[] = [];
    readonly buffers = new Set<ArrayBufferLike>();
    readonly done = Promise.withResolvers<void>();
    constructor() {
      super({ text: false, delimiters: "\0" });
    }
    override frameReceived(line: Uint8Array) {
      this.lines.push(line.join(" "));
      this.buffers.add(line.buffer);
      if (line.length === 0) this.done.resolve();
    }
  }
  await using pair = await connect(() => new Bytes(), () => new Recorder());
  pair.clientTransport.write(Uint8Array.of(1, 2, 0, 255, 10, 0, 0));
  await pair.serverSide.done.promise;
  assertEquals(pair.serverSide.lines, ["1 2", "255 10", ""]);
  assertEquals(pair.serverSide.buffers.size, 1);
});

Deno.test("setRawMode() with a count delivers so many bytes, and then lines", async () => {
  await using pair = await connect(() => new Lines(), () => new Recorder());
  const { serverSide } = pair;
  serverSide.onFrame = (line) => line.startsWith("set") && serverSide.setRawMode(Number(line.split(" ")[1]));
  for (const piece of ["set 5\r\na\nb", "\r\n\r\nset 0\r\n", "set 2\nxyz\nend\n"]) {
    pair.clientTransport.write(bytes(piece));
    await turn();
  }
  await serverSide.log.has("line end");
  const entries = serverSide.log.entries.slice(1);
  const raw = entries.filter((entry) => entry.startsWith("raw")).map((entry) => entry.split(" ")[1]).join("");
  assertEquals(raw, "a\nb\r\nxy");
  assertEquals(entries.filter((entry) => !entry.startsWith("raw")), [
    "line set 5",
    "line ",
    "line set 0",
    "line set 2",
    "line z",
    "line end",
  ]);
  assertEquals(serverSide.isRaw, false);
});

Deno.test("setLineMode() takes the rest of the bytes back", async () => {
  await using pair = await connect(() => new Lines(), () => new Recorder());
  const { serverSide } = pair;
  serverSide.onFrame = (line) => line === "DATA" && serverSide.setRawMode();
  serverSide.onRaw = (data) => {
    const end = data.indexOf(46);
    if (end >= 0) serverSide.setLineMode(data.subarray(end + 1));
  };
  pair.clientTransport.write(bytes("DATA\r\nhello.NOOP\r\nDATA\r\n.QUIT\r\n"));
  await serverSide.log.has("line QUIT");
  assertEquals(serverSide.log.entries.filter((entry) => entry.startsWith("line")), [
    "line DATA",
    "line NOOP",
    "line DATA",
    "line QUIT",
  ]);
});

Deno.test("setLineMode() takes bytes that are no view of data, too", async () => {
  await using pair = await connect(() => new Lines(), () => new Recorder());
  const { serverSide } = pair;
  serverSide.onFrame = (line) => line === "raw" && serverSide.setRawMode(3);
  serverSide.onRaw = () => serverSide.setLineMode(bytes("longer than it was\none"));
  pair.clientTransport.write(bytes("raw\nabc more\n"));
  await serverSide.log.has("line one more");
  assert(serverSide.log.entries.includes("line longer than it was"));
});

Deno.test("a line over the limit closes the connection with a FrameTooLongError, without the exception handler", async () => {
  using exceptions = captureExceptions();
  await using pair = await connect(() => new Lines({ limit: 5 }), () => new Recorder());
  pair.clientTransport.write(bytes("12345\n123456\nnever\n"));
  await pair.serverSide.log.has("connectionLost");
  const { log, error } = pair.serverSide;
  assertEquals(log.entries, ["connectionMade", "line 12345", "frameTooLong", "connectionLost FrameTooLongError"]);
  assertInstanceOf(error, FrameTooLongError);
  assertEquals(error.message, "a frame is longer than the limit of 5 bytes");
  assertEquals([error.limit, error.length], [5, null]);
  assertEquals(exceptions.contexts, []);
});

Deno.test("frameTooLong() can answer and close", async () => {
  class Polite extends Lines {
    override frameTooLong() {
      this.sendFrame("500 line too long");
      this.transport.close();
    }
  }
  await using pair = await connect(() => new Polite({ limit: 5 }), () => new Recorder());
  pair.clientTransport.write(bytes("123456\n"));
  await pair.clientSide.untilLost();
  assertEquals(pair.clientSide.text, "500 line too long\r\n");
  assertEquals(pair.serverSide.error, null);
});

Deno.test("tooLong: skip goes on with the next frame", async () => {
  await using pair = await connect(
    () => new Frames({ prefix: 2, limit: 100, tooLong: "skip" }),
    () => new Frames({ prefix: 2, limit: 100 }),
  );
  const { serverSide, clientSide } = pair;
  for (const length of [100, 60_000, 0, 101, 1]) clientSide.sendFrame(pattern(length));
  await serverSide.log.has("frame 1");
  await serverSide.log.until(() => serverSide.frames.length === 3);
  assertEquals(serverSide.log.entries, ["frame 100", "frameTooLong", "frame 0", "frameTooLong", "frame 1"]);
  assertEquals(serverSide.frames, [pattern(100), pattern(0), pattern(1)]);
});

Deno.test("sendFrame() of LengthPrefixedProtocol sends each frame behind its own head and length", () => {
  const sent: number[][] = [];
  const writelines = (pieces: Uint8Array[]) => void sent.push([...concat(pieces)]);
  const transport = { writelines } as unknown as Transport;
  const protocol = new LengthPrefixedProtocol({ offset: 1, prefix: "varint" });
  protocol.connectionMade(transport);
  protocol.sendFrame(pattern(200));
  protocol.sendFrame(bytes("a"), Uint8Array.of(7));
  protocol.sendFrame(bytes("b"));
  const framer = new LengthPrefixedFramer({ offset: 1, prefix: "varint" });
  const [kept] = framer.encode(bytes("abc"));
  framer.encode(bytes("d"));
  protocol.sendFrame(pattern(130));
  assertEquals(sent.map((frame) => frame.slice(0, 3)), [[0, 200, 1], [7, 1, 97], [0, 1, 98], [0, 130, 1]]);
  assertEquals([...kept!], [0, 3]);
});

Deno.test("LengthPrefixedProtocol receives frames of any size, and knows the length of one that is too long", async () => {
  await using pair = await connect(() => new Frames(), () => new Frames());
  const { serverSide, clientSide } = pair;
  const lengths = [0, 1, 4092, 4093, 65_532, 65_536, 1_048_576, 3, 300_000, 0];
  for (const length of lengths) clientSide.sendFrame(pattern(length, length));
  await serverSide.log.until(() => serverSide.frames.length === lengths.length);
  for (const [i, length] of lengths.entries()) assertEquals(serverSide.frames[i], pattern(length, length));
  clientSide.transport.write(Uint8Array.of(0, 16, 0, 1));
  await serverSide.log.has("connectionLost");
  assertInstanceOf(serverSide.error, FrameTooLongError);
  assertEquals(serverSide.error.message, "a frame of 1048577 bytes is longer than the limit of 1048576 bytes");
});

Deno.test("FixedLengthProtocol and NetstringProtocol echo", async () => {
  class Fixed extends FixedLengthProtocol {
    constructor() {
      super({ length: 3 });
    }
    override frameReceived(frame: Uint8Array) {
      this.sendFrame(frame.toReversed());
    }
  }
  class Netstrings extends NetstringProtocol {
    override frameReceived(frame: Uint8Array) {
      this.sendFrame(concat([frame, frame]));
    }
  }
  {
    await using pair = await connect(() => new Fixed(), () => new Recorder());
    pair.clientTransport.write(bytes("abcdefg"));
    await pair.clientSide.untilReceived(6);
    assertEquals(pair.clientSide.text, "cbafed");
  }
  await using pair = await connect(() => new Netstrings(), () => new Recorder());
  pair.clientTransport.write(bytes("3:abc,0:,"));
  await pair.clientSide.untilReceived(12);
  assertEquals(pair.clientSide.text, "6:abcabc,0:,");
});

Deno.test("bytes that are no frame close the connection with an InvalidFrameError", async () => {
  let error: Error | null = null;
  class Netstrings extends NetstringProtocol {
    override connectionLost(cause: Error | null) {
      error = cause;
    }
  }
  await using pair = await connect(() => new Netstrings(), () => new Recorder());
  pair.clientTransport.write(bytes("hello"));
  await pair.clientSide.untilLost();
  await turn();
  assertInstanceOf(error as unknown, InvalidFrameError);
  assertEquals((error as unknown as Error).message, "a netstring must have a digit, got the byte 104");
});

Deno.test("a frame that does not end within frameTimeout closes the connection, by the clock of the loop", async () => {
  const clock = new ManualClock();
  const loop = makeLoop({ clock });
  await using pair = await connect(() => new Lines({ frameTimeout: 1000, loop }), () => new Recorder(), { loop });
  const { serverSide } = pair;
  await clock.advance(5000, loop); // No frame has begun.
  pair.clientTransport.write(bytes("one\ntw"));
  await serverSide.log.has("line one");
  await clock.advance(999, loop);
  // Bytes do not give it more time: a peer could send one now and then.
  pair.clientTransport.write(bytes("o"));
  await turn(loop);
  assertEquals(serverSide.error, undefined);
  await clock.advance(1, loop);
  await serverSide.log.has("connectionLost");
  assertEquals(serverSide.log.entries, ["connectionMade", "line one", "connectionLost TimeoutError"]);
  assertInstanceOf(serverSide.error, TimeoutError);
  assertEquals(serverSide.error.message, "a frame did not end within 1000 ms (frameTimeout)");
  assertEquals(clock.due, null);
});

Deno.test("frameTimeout begins anew for each frame, and does not count while reading is paused", async () => {
  const clock = new ManualClock();
  const loop = makeLoop({ clock });
  await using pair = await connect(() => new Lines({ frameTimeout: 1000, loop }), () => new Recorder(), { loop });
  const { serverSide } = pair;
  for (const [piece, line] of [["a", ""], ["b\nc", "ab"], ["d\ne", "cd"]]) {
    pair.clientTransport.write(bytes(piece!));
    if (line !== "") await serverSide.log.has(`line ${line}`);
    else await clock.untilSet(loop);
    await clock.advance(900, loop);
  }
  serverSide.pauseReading();
  await clock.advance(5000, loop);
  assertEquals(clock.due, null);
  serverSide.resumeReading();
  await clock.untilSet(loop);
  pair.clientTransport.write(bytes("\n"));
  await serverSide.log.has("line e");
  assertEquals(clock.due, null);
  assertEquals(serverSide.error, undefined);
});

Deno.test("pauseReading() delivers no frame until resumeReading(), and loses none", async () => {
  await using pair = await connect(() => new Lines(), () => new Recorder());
  const { serverSide } = pair;
  serverSide.onFrame = () => serverSide.pauseReading();
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  pair.clientTransport.write(bytes(lines.map((line) => `${line.slice(5)}\n`).join("")));
  for (let i = 0; i < lines.length; i++) {
    await serverSide.log.until(() => serverSide.log.entries.length === i + 2);
    await turn();
    await turn();
    assertEquals(serverSide.log.entries.slice(1), lines.slice(0, i + 1));
    assertEquals(serverSide.transport.isReading(), false);
    serverSide.resumeReading();
  }
});

Deno.test("frames that are delivered after resumeReading() can be sent by writeOwned()", async () => {
  class Echo extends Frames {
    override connectionMade(transport: Transport) {
      super.connectionMade(transport);
      this.pauseReading();
    }
  }
  await using pair = await connect(() => new Echo({ strip: 0 }), () => new Recorder());
  const { serverSide, clientSide, clientTransport } = pair;
  // Pauses after each frame, and so echoes most frames outside of a data callback.
  serverSide.onFrame = (frame) => {
    serverSide.transport.writeOwned(frame);
    serverSide.pauseReading();
    serverSide.resumeReading();
  };
  const sent = Array.from({ length: 50 }, (_, i) => {
    const frame = pattern(1000 + i * 997, i);
    new DataView(frame.buffer).setUint32(0, frame.length - 4);
    return frame;
  });
  clientTransport.write(concat(sent));
  serverSide.resumeReading();
  await clientSide.untilReceived(concat(sent).length);
  assertEquals(clientSide.data, concat(sent));
});

Deno.test("an exception in frameReceived() closes the connection, as in any data callback", async () => {
  for (const paused of [false, true]) {
    using exceptions = captureExceptions();
    await using pair = await connect(() => new Lines(), () => new Recorder());
    const { serverSide } = pair;
    serverSide.onFrame = (line) => {
      if (line === "two") throw new Error("oops");
      if (!paused) return;
      serverSide.pauseReading();
      serverSide.resumeReading();
      serverSide.pauseReading();
    };
    pair.clientTransport.write(bytes("one\ntwo\nthree\n"));
    await serverSide.log.has("line one");
    if (paused) serverSide.resumeReading();
    await serverSide.log.has("connectionLost");
    assertEquals(serverSide.log.entries, ["connectionMade", "line one", "line two", "connectionLost Error"]);
    assertEquals(serverSide.error?.message, "oops");
    assertEquals(exceptions.contexts.map(({ error }) => error?.message), ["oops"]);
  }
});

Deno.test("no frame is delivered after close() or abort()", async () => {
  for (const end of ["close", "abort"] as const) {
    await using pair = await connect(() => new Lines(), () => new Recorder());
    const { serverSide } = pair;
    serverSide.onFrame = () => serverSide.transport[end]();
    pair.clientTransport.write(bytes("one\ntwo\n"));
    await serverSide.log.has("connectionLost");
    assertEquals(serverSide.log.entries, ["connectionMade", "line one", "connectionLost null"]);
  }
});

Deno.test("a rejection of an async frameReceived() goes to the exception handler", async () => {
  class Async extends LineProtocol {
    // deno-lint-ignore require-await
    override async frameReceived(line: string) {
      throw new Error(line);
    }
  }
  using exceptions = captureExceptions();
  await using pair = await connect(() => new Async(), () => new Recorder());
  pair.clientTransport.write(bytes("one\ntwo\n"));
  await exceptions.log.until(() => exceptions.contexts.length === 2);
  assertEquals(exceptions.contexts.map(({ message, error }) => `${message}: ${error?.message}`), [
    "protocol.frameReceived() is async and rejected: one",
    "protocol.frameReceived() is async and rejected: two",
  ]);
});

Deno.test("takeRest() hands the rest of the bytes to another protocol", async () => {
  const next = new Recorder();
  class Upgrade extends Lines {
    override frameReceived(line: string) {
      super.frameReceived(line);
      if (line !== "upgrade") return;
      const rest = this.takeRest();
      this.transport.setProtocol(next);
      next.dataReceived(rest);
    }
  }
  await using pair = await connect(() => new Upgrade(), () => new Recorder());
  pair.clientTransport.write(bytes("one\nupgrade\nnot\na line"));
  await next.untilReceived(10);
  pair.clientTransport.write(bytes(" more"));
  await next.untilReceived(15);
  assertEquals(next.text, "not\na line more");
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "line one", "line upgrade"]);
});

Deno.test("a protocol whose connectionMade() does not call super says so", async () => {
  class Forgetful extends LineProtocol {
    error: Error | null | undefined;
    override connectionMade() {}
    override connectionLost(error: Error | null) {
      this.error = error;
    }
  }
  using exceptions = captureExceptions();
  await using pair = await connect(() => new Forgetful(), () => new Recorder());
  pair.clientTransport.write(bytes("x\n"));
  await pair.clientSide.untilLost();
  await turn();
  assertInstanceOf(pair.serverSide.error, InvalidStateError);
  assertEquals(exceptions.contexts.length, 1);
  assertThrows(
    () => pair.serverSide.sendFrame("x"),
    InvalidStateError,
    "sendFrame(): there is no transport; connectionMade() must call its super",
  );
  assertThrows(() => new LineProtocol().sendFrame("x"), InvalidStateError);
});

Deno.test("an echo of frames by writeOwned() sends the right bytes", async () => {
  await using pair = await connect(() => new Frames({ strip: 0 }), () => new Recorder());
  const { serverSide, clientSide, clientTransport } = pair;
  serverSide.onFrame = (frame) => serverSide.transport.writeOwned(frame);
  const sent = Array.from({ length: 300 }, (_, i) => {
    const frame = pattern(4 + (i * 7919) % 90_000, i);
    new DataView(frame.buffer).setUint32(0, frame.length - 4);
    return frame;
  });
  for (const frame of sent) clientTransport.write(frame);
  const whole = concat(sent);
  await clientSide.untilReceived(whole.length);
  assert(text(clientSide.data) === text(whole));
});
