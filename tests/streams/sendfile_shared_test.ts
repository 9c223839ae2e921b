/** One file that several transports send at once: it has one position, and each sends its own bytes all the same. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { SendfileError, type SendfileOptions } from "../../mod.ts";
import { bytes, connect, loop, makeRandom, type Pair, Recorder, tempPath } from "../kit.ts";
import { serveResettable, untilStuck } from "./kit.ts";

const SIZE = 3_000_000;

/** A file whose every four bytes tell their place. */
function canaries(size = SIZE): Disposable & { file: Deno.FsFile; data: Uint8Array; path: string } {
  const temp = tempPath("file");
  const data = new Uint8Array(new Uint32Array(size / 4).map((_, i) => Math.imul(i, 0x9e3779b1)).buffer);
  Deno.writeFileSync(temp.path, data);
  const file = Deno.openSync(temp.path);
  let closed = false;
  const close = file.close.bind(file);
  file.close = () => {
    if (!closed) close();
    closed = true;
  };
  return {
    file,
    data,
    path: temp.path,
    [Symbol.dispose]() {
      file.close();
      temp[Symbol.dispose]();
    },
  };
}

async function pairs(count: number): Promise<AsyncDisposable & { pairs: Pair<Recorder, Recorder>[] }> {
  const made: Pair<Recorder, Recorder>[] = [];
  for (let i = 0; i < count; i++) made.push(await connect(() => new Recorder(), () => new Recorder()));
  return {
    pairs: made,
    async [Symbol.asyncDispose]() {
      for (const pair of made) await pair[Symbol.asyncDispose]();
    },
  };
}

/** Insists on these bytes, without printing megabytes where they differ. */
function assertBytes(received: Uint8Array, expected: Uint8Array): void {
  assertEquals([received.length, received.findIndex((byte, i) => byte !== expected[i])], [expected.length, -1]);
}

function position(file: Deno.FsFile): number {
  return file.seekSync(0, Deno.SeekMode.Current);
}

Deno.test("sendfile() of one file on several transports at once sends each of them its own bytes, whole", async () => {
  using source = canaries();
  await using made = await pairs(6);
  const random = makeRandom(9);
  const parts: SendfileOptions[] = made.pairs.map((_, i) =>
    i < 2 ? {} : { offset: random(SIZE), count: random(SIZE) + 1 }
  );
  // Some readers are slow, so that all are at different places.
  made.pairs[1]!.serverSide.transport.pauseReading();
  const sending = made.pairs.map(({ clientTransport }, i) => loop.sendfile(clientTransport, source.file, parts[i]));
  for (const [i, { serverSide }] of made.pairs.entries()) {
    const { offset = 0, count = SIZE } = parts[i]!;
    const expected = source.data.subarray(offset, offset + count);
    if (i === 1) serverSide.transport.resumeReading();
    assertEquals(await sending[i], expected.length);
    await serverSide.untilReceived(expected.length);
    assertBytes(serverSide.data, expected);
  }
});

Deno.test("sendfile() of one file on several transports at once leaves its position behind what the last one sent", async () => {
  using source = canaries();
  await using made = await pairs(2);
  const [first, last] = made.pairs as [Pair<Recorder, Recorder>, Pair<Recorder, Recorder>];
  last.serverSide.transport.pauseReading();
  const later = loop.sendfile(last.clientTransport, source.file, { offset: 400, count: SIZE - 500 });
  assertEquals(await loop.sendfile(first.clientTransport, source.file, { count: 1000 }), 1000);
  last.serverSide.transport.resumeReading();
  await later;
  assertEquals(position(source.file), SIZE - 100);
});

Deno.test("sendfile() of one file twice in a row on one transport sends it twice", async () => {
  using source = canaries();
  await using made = await pairs(1);
  const { clientTransport, serverSide } = made.pairs[0]!;
  for (let i = 1; i <= 2; i++) {
    assertEquals(await loop.sendfile(clientTransport, source.file), SIZE);
    assertEquals(position(source.file), SIZE);
    await serverSide.untilReceived(i * SIZE);
  }
  assertBytes(serverSide.data.subarray(0, SIZE), source.data);
  assertBytes(serverSide.data.subarray(SIZE), source.data);
});

Deno.test("sendfile() of a file that is closed midway rejects on every transport, which has what it was told", async () => {
  using source = canaries(24_000_000);
  await using made = await pairs(3);
  for (const { serverSide } of made.pairs) serverSide.transport.pauseReading();
  const sending = made.pairs.map(({ clientTransport }) =>
    assertRejects(() => loop.sendfile(clientTransport, source.file), SendfileError)
  );
  for (const { clientTransport } of made.pairs) await untilStuck(clientTransport);
  source.file.close();
  for (const [i, { serverSide, clientTransport }] of made.pairs.entries()) {
    serverSide.transport.resumeReading();
    const { bytesSent, cause } = await sending[i]!;
    // Whether it was just being read, or not.
    assert(["BadResource", "Interrupted"].includes((cause as Error).name));
    assert(bytesSent > 0 && bytesSent < source.data.length);
    clientTransport.write(bytes("alive"));
    clientTransport.close();
    await serverSide.untilLost();
    assertBytes(serverSide.data.subarray(0, -5), source.data.subarray(0, bytesSent));
  }
});

Deno.test("sendfile() to a peer that resets leaves another one of the same file alone", async () => {
  using source = canaries(24_000_000);
  await using peer = await serveResettable(() => new Recorder());
  await using made = await pairs(1);
  const { clientTransport, serverSide } = made.pairs[0]!;
  serverSide.transport.pauseReading();
  const going = loop.sendfile(clientTransport, source.file);
  const rejection = assertRejects(() => loop.sendfile(peer.protocol.transport, source.file), SendfileError);
  await untilStuck(peer.protocol.transport);
  await untilStuck(clientTransport);
  await peer.reset();
  const error = await rejection;
  await peer.protocol.untilLost();
  assertInstanceOf(error.cause, Error);
  assertStrictEquals(error.cause, peer.protocol.error);
  serverSide.transport.resumeReading();
  assertEquals(await going, source.data.length);
  await serverSide.untilReceived(source.data.length);
  assertBytes(serverSide.data, source.data);
});
