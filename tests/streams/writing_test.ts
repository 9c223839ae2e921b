import { InvalidStateError } from "../../mod.ts";
import { assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes, concat, connect, pattern, Recorder, text, turn } from "../kit.ts";
import { FakeHandle, makeRandom, makeTransport, microtasks, readAll, serveRaw, serveResettable } from "./kit.ts";

const MIB = 1024 * 1024;

Deno.test("write() gives the array back: changing it afterwards changes nothing of what arrives", async () => {
  for (const size of [1, 100, 4096, 5000, 256 * 1024, 256 * 1024 + 1, 3 * MIB]) {
    await using pair = await connect(() => new Recorder(), () => new Recorder());
    const data = pattern(size);
    pair.clientTransport.write(data);
    data.fill(255);
    pair.clientTransport.writelines([data.fill(254).subarray(0, 7)]);
    data.fill(253);
    pair.clientTransport.close();
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.data, concat([pattern(size), new Uint8Array(Math.min(7, size)).fill(254)]));
  }
});

Deno.test("write() takes a view of any buffer, and sends that part only", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const whole = bytes("0123456789");
  pair.clientTransport.write(whole.subarray(2, 4));
  pair.clientTransport.writeOwned(whole.subarray(6, 8));
  const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3);
  shared.set(bytes("abc"));
  pair.clientTransport.write(shared);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "2367abc");
});

Deno.test("write() never blocks: it takes megabytes at once though nobody reads", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport } = peer.protocol;
  for (let i = 0; i < 16; i++) transport.write(pattern(MIB, i));
  assertEquals(transport.getWriteBufferSize(), 16 * MIB);
  transport.close();
  assertEquals(await readAll(peer.conn), concat(Array.from({ length: 16 }, (_, i) => pattern(MIB, i))));
});

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

Deno.test("write() while closing is dropped", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport } = peer.protocol;
  transport.write(bytes("kept"));
  transport.close();
  transport.write(bytes("dropped"));
  transport.writeOwned(bytes("dropped"));
  transport.writelines([bytes("dropped")]);
  assertEquals(transport.getWriteBufferSize(), 4);
  assertEquals(text(await readAll(peer.conn)), "kept");
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

Deno.test("writelines() sends any iterable of pieces as if they were one", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const transport = pair.clientTransport;
  transport.writelines([bytes("a"), bytes(""), bytes("b")]);
  transport.writelines(new Set([bytes("c"), bytes("d")]));
  transport.writelines((function* () {
    for (let i = 0; i < 3; i++) yield bytes(`${i}`);
  })());
  transport.writelines([]);
  transport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "abcd012");
});

Deno.test("writelines() sends nothing at all if one piece is no Uint8Array, or the iterable throws", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const transport = pair.clientTransport;
  assertThrows(
    () => transport.writelines([bytes("a"), "b" as unknown as Uint8Array]),
    TypeError,
    'pieces[1] must be a Uint8Array, got string "b"',
  );
  assertThrows(
    () =>
      transport.writelines((function* () {
        yield bytes("a");
        throw new RangeError("no more");
      })()),
    RangeError,
    "no more",
  );
  transport.write(bytes("only this"));
  transport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "only this");
});

Deno.test("write(), writeOwned() and writelines() of something else than a Uint8Array are a TypeError that names it", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const transport = pair.clientTransport;
  const wrong: [unknown, string][] = [
    ["text", 'string "text"'],
    [new ArrayBuffer(3), "ArrayBuffer"],
    [null, "null"],
    [undefined, "undefined"],
    [[1, 2, 3], "Array"],
    [42, "number 42"],
    [NaN, "number NaN"],
    [10n, "bigint 10"],
    [true, "boolean true"],
    [Symbol("s"), "symbol Symbol(s)"],
    [new Uint16Array(2), "Uint16Array"],
    [new DataView(new ArrayBuffer(1)), "DataView"],
    [{}, "Object"],
    [Object.create(null), "object"],
    [Promise.resolve(), "Promise"],
    [() => {}, "function"],
  ];
  for (const [value, name] of wrong) {
    const data = value as Uint8Array;
    for (const call of [() => transport.write(data), () => transport.writeOwned(data)]) {
      const error = assertThrows(call, TypeError, "must be a Uint8Array, got ");
      assertEquals(error.message.includes(`got ${name}`), true, error.message);
    }
    assertThrows(() => transport.writelines([data]), TypeError, `got ${name}`);
  }
  assertThrows(() => transport.write("" as unknown as Uint8Array), TypeError, "write(): data");
  assertThrows(() => transport.writeOwned("" as unknown as Uint8Array), TypeError, "writeOwned(): data");
  const long = assertThrows(() => transport.write("x".repeat(MIB) as unknown as Uint8Array), TypeError);
  assertEquals(long.message.length < 200, true);
  transport.write(bytes("unharmed"));
  transport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.text, "unharmed");
});

Deno.test("write(), writeOwned() and writelines() after writeEof() are an InvalidStateError that names the method", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const transport = pair.clientTransport;
  transport.writeEof();
  for (const data of [bytes("late"), bytes("")]) {
    const error = assertThrows(() => transport.write(data), InvalidStateError, "write()");
    assertEquals(error.name, "InvalidStateError");
    assertInstanceOf(error, DOMException);
    assertThrows(() => transport.writeOwned(data), InvalidStateError, "writeOwned()");
    assertThrows(() => transport.writelines([data]), InvalidStateError, "writelines()");
  }
  assertThrows(() => transport.write("late" as unknown as Uint8Array), TypeError);
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
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
