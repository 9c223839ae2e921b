/** `{ fd }` of pipes, FIFOs and terminals on the epoll engine. */
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { libcPaths } from "../../engines/epoll/libc.ts";
import { assert, assertEquals, assertInstanceOf, assertNotEquals } from "../std.ts";
import { bytes, concat, ManualClock, pattern, Recorder, tempPath, text, turn } from "../kit.ts";
import { Fds, flags, isOpen, libc, loop, put, refused, take } from "./descriptors_kit.ts";
import { epollLoop, epollTest, replaceCall } from "./epoll_kit.ts";

const { EINTR, EIO } = constants.errno;

epollTest("connectReadPipe() and connectWritePipe() take the ends of a FIFO by their descriptors", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  const [from, receiver] = await loop.connectReadPipe(() => new Recorder(), { fd: reader });
  const [to, sender] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
  assertEquals([flags(reader), flags(writer)], [
    { nonblocking: true, inherited: false },
    { nonblocking: true, inherited: false },
  ]);
  assertEquals([from.getExtraInfo("pipe"), to.getExtraInfo("pipe")], [{ fd: reader }, { fd: writer }]);
  const links = [linkOf(reader), linkOf(writer)];
  const data = pattern(1_000_000);
  from.pauseReading();
  to.write(data);
  await turn(loop);
  assert(to.getWriteBufferSize() > 0);
  from.resumeReading();
  await receiver.untilReceived(1_000_000);
  to.close();
  await Promise.all([sender.untilLost(), receiver.untilLost()]);
  await turn(loop);
  assertEquals([sender.error, receiver.error], [null, null]);
  assertEquals(concat(receiver.pieces).every((byte, i) => byte === data[i]), true);
  // Other tests may have opened descriptors of these numbers meanwhile.
  for (const [i, fd] of [reader, writer].entries()) assertNotEquals(linkOf(fd), links[i]);
});

/** What a descriptor is open to; `null` if it is closed. */
function linkOf(fd: number): string | null {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

epollTest("connectWritePipe() reports a reader that is gone: null if nothing was being written", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  const [to, sender] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
  to.write(bytes("x"));
  await turn(loop);
  libc.close(reader);
  await sender.untilLost();
  assertEquals(sender.error, null);
});

epollTest("connectWritePipe() reports a reader that is gone after a write that had to wait", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  const [to, sender] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
  to.write(new Uint8Array(100_000));
  await turn(loop);
  assert(to.getWriteBufferSize() > 0);
  for (let left = 100_000; left > 0; await turn(loop)) left -= (take(reader) as Uint8Array).length;
  assertEquals([to.getWriteBufferSize(), to.isClosing()], [0, false]);
  libc.close(reader);
  await sender.untilLost();
  assertEquals(sender.error, null);
});

epollTest("connectWritePipe() reports a reader that is gone: BrokenPipe if something was", async () => {
  for (const blocked of [true, false]) {
    using fds = new Fds();
    const [reader, writer] = await fds.fifo();
    const [to, sender] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
    if (blocked) {
      to.write(new Uint8Array(1_000_000));
      await turn(loop);
      libc.close(reader);
    } else {
      libc.close(reader);
      to.write(bytes("x"));
    }
    await sender.untilLost();
    assertInstanceOf(sender.error, Deno.errors.BrokenPipe);
  }
});

epollTest("writeEof() of a write pipe closes it", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  const [to, sender] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
  to.write(bytes("last"));
  to.writeEof();
  await sender.untilLost();
  await turn(loop);
  assertEquals([text(take(reader) as Uint8Array), take(reader)], ["last", "end"]);
});

epollTest("connectReadPipe() reads a terminal", async () => {
  using fds = new Fds();
  const master = fds.open("/dev/ptmx", 2 | 0o400);
  // Unlocks the terminal, and finds its number.
  const path = libcPaths().find((path) => existsSync(path))!;
  const ioctl = Deno.dlopen(path, { ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" } });
  const number = new Int32Array(1);
  ioctl.symbols.ioctl(master, 0x40045431n, new Int32Array([0]));
  ioctl.symbols.ioctl(master, 0x80045430n, number);
  ioctl.close();
  const terminal = fds.open(`/dev/pts/${number[0]}`, 2 | 0o400);
  const [from, receiver] = await loop.connectReadPipe(() => new Recorder(), { fd: terminal });
  put(master, bytes("line\n"));
  await receiver.untilReceived(5);
  assertEquals(receiver.text, "line\n");
  from.close();
  await receiver.untilLost();
});

for (const name of ["connectReadPipe", "connectWritePipe"]) {
  epollTest(`${name}() refuses files and directories, and leaves them alone`, async () => {
    using fds = new Fds();
    using temp = tempPath("file");
    Deno.writeTextFileSync(temp.path, "");
    const write = name === "connectWritePipe";
    const paths = [temp.path, "/dev/null", ...write ? [] : [temp.directory]];
    for (const path of paths) {
      const fd = fds.open(path, write ? 1 : 0);
      const message =
        `fd must be a pipe, a socket or a character device, got descriptor ${fd}, which is a file, which epoll`;
      await refused(name, fd, TypeError, message);
    }
  });

  epollTest(`${name}() refuses the other end of a pipe`, async () => {
    using fds = new Fds();
    const [reader, writer] = await fds.fifo();
    const [fd, message] = name === "connectReadPipe"
      ? [writer, `fd must be open for reading, got descriptor ${writer}, which is open for writing only`]
      : [reader, `fd must be open for writing, got descriptor ${reader}, which is open for reading only`];
    await refused(name, fd, TypeError, message);
  });
}

epollTest("a signal and a full pipe do not disturb a PipeHandle", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  let [reads, writes] = [0, 0];
  using _read = replaceCall("read", (real, fd, ...args) => {
    return fd === reader && reads++ % 2 === 0 ? -EINTR : real(fd, ...args);
  });
  using _write = replaceCall("write", (real, fd, ...args) => {
    return fd === writer && writes++ % 2 === 0 ? -EINTR : real(fd, ...args);
  });
  const [, receiver] = await loop.connectReadPipe(() => new Recorder(), { fd: reader });
  const [to] = await loop.connectWritePipe(() => new Recorder(), { fd: writer });
  to.write(pattern(300_000));
  to.close();
  await receiver.untilLost();
  assertEquals([receiver.received, receiver.error, reads > 2, writes > 2], [300_000, null, true, true]);
});

epollTest("an error of read() reaches connectionLost()", async () => {
  using fds = new Fds();
  const [reader, writer] = await fds.fifo();
  using _read = replaceCall("read", (real, fd, ...args) => fd === reader ? -EIO : real(fd, ...args));
  const [, receiver] = await loop.connectReadPipe(() => new Recorder(), { fd: reader });
  put(writer, bytes("x"));
  await receiver.untilLost();
  assertEquals((receiver.error as { code?: string }).code, "EIO");
});

epollTest("closeTimeout ends a pipe that its reader does not read", async () => {
  using fds = new Fds();
  const [, writer] = await fds.fifo();
  const clock = new ManualClock();
  const ticking = epollLoop(clock);
  const [to, sender] = await ticking.connectWritePipe(() => new Recorder(), { fd: writer }, { closeTimeout: 100 });
  to.write(new Uint8Array(1_000_000));
  await turn(ticking);
  to.close();
  await clock.advance(100, ticking);
  await sender.untilLost();
  assertEquals(sender.error?.name, "TimeoutError");
  await turn(ticking);
  assertEquals(isOpen(writer), false);
});
