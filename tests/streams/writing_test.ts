import { assertEquals, assertStrictEquals } from "../std.ts";
import { bytes, concat, makeRandom, pattern, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks, serveRaw, serveResettable } from "./kit.ts";

const MIB = 1024 * 1024;

Deno.test("write() never throws for a lost connection, before, at and after connectionLost()", async () => {
  await using peer = await serveResettable(() => new Recorder());
  const { transport, log } = peer.protocol;
  let inside = false;
  peer.protocol.connectionLost = (error) => {
    assertEquals(inside, false);
    log.add(`connectionLost ${error === null}`);
    transport.write(bytes("in connectionLost"));
  };
  await peer.reset();
  while (!log.entries.some((entry) => entry.startsWith("connectionLost"))) {
    inside = true;
    transport.write(bytes("a"));
    transport.writeOwned(bytes("b"));
    transport.writelines([bytes("c")]);
    inside = false;
    await turn();
  }
  transport.write(bytes("after"));
  transport.writeOwned(bytes("after"));
  transport.writelines([bytes("after")]);
  transport.writeEof();
  await turn();
  assertEquals(log.entries, ["connectionMade", "connectionLost false"]);
  assertEquals(transport.getWriteBufferSize(), 0);
});

Deno.test("write() to a peer that has stopped reading and gone ends in connectionLost(BrokenPipe or ConnectionReset)", async () => {
  await using peer = await serveRaw(() => new Recorder({ keepOpen: true }));
  const { transport, log } = peer.protocol;
  peer.conn.close();
  await log.has("eofReceived");
  while (!log.entries.at(-1)!.startsWith("connectionLost")) {
    transport.write(bytes("anybody there?"));
    await turn();
  }
  assertEquals(log.entries.slice(0, -1), ["connectionMade", "eofReceived"]);
  const { code } = peer.protocol.error as Error & { code: string };
  assertEquals(["EPIPE", "ECONNRESET"].includes(code), true, code);
});

Deno.test("writeOwned() hands the array itself to the system, without a copy", async () => {
  for (const size of [1, 100, 5000, MIB]) {
    const handle = new FakeHandle();
    const transport = makeTransport(new Recorder(), handle);
    const data = pattern(size);
    transport.writeOwned(data);
    await microtasks();
    assertStrictEquals(handle.posted, data, `${size} bytes`);
    transport.abort();
    await turn();
  }
});

Deno.test("an empty write is nothing", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes(""));
  transport.writeOwned(bytes(""));
  transport.writelines([]);
  transport.writelines([bytes(""), bytes("")]);
  assertEquals(transport.getWriteBufferSize(), 0);
  await turn();
  assertEquals(handle.writes, []);
  transport.close();
  await turn();
});

for (const atOnce of [undefined, 777] as const) {
  const how = atOnce === undefined ? "completes later" : "takes some at once";
  Deno.test(`write(), writeOwned() and writelines() keep their order on a handle that ${how}`, async () => {
    const handle = new FakeHandle();
    handle.takesAtOnce = atOnce;
    const recorder = new Recorder();
    const transport = makeTransport(recorder, handle);
    const sent: Uint8Array[] = [];
    const taken: Uint8Array[] = [];
    const random = makeRandom(7);
    const take = async () => {
      const count = 1 + random(handle.posted!.length);
      taken.push(handle.posted!.slice(0, count));
      await handle.take(count);
    };
    for (let round = 0; round < 400; round++) {
      const data = pattern(1 + random(random(4) === 0 ? 20_000 : 300), round);
      sent.push(data.slice());
      const method = random(3);
      if (method === 0) transport.write(data);
      else if (method === 1) transport.writeOwned(data);
      else transport.writelines([data.subarray(0, 5), data.subarray(5)]);
      if (random(3) === 0) await microtasks();
      if (handle.writing && random(2) === 0) await take();
    }
    transport.close();
    await microtasks();
    while (handle.writing) await take();
    await turn();
    assertEquals(recorder.log.entries.at(-1), "connectionLost null");
    const arrived = atOnce === undefined ? taken : handle.writes.map((data) => data.subarray(0, atOnce));
    assertEquals(concat(arrived), concat(sent));
  });
}
