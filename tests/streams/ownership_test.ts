import type { Transport } from "../../mod.ts";
import { assert, assertEquals, assertNotEquals } from "../std.ts";
import { bytes, closed, concat, connect, loop, pattern, portOf, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeRandom, makeTransport, microtasks } from "./kit.ts";

const MIB = 1024 * 1024;

/** Sizes from 1 byte to 256 KiB that add up to `total`, the same ones for the same seed. */
function* sizes(total: number, seed: number): Generator<number> {
  const random = makeRandom(seed);
  for (let left = total; left > 0;) {
    const size = Math.min(left, 1 + random(2 ** (1 + random(18))));
    yield size;
    left -= size;
  }
}

/** Sends a pattern in pieces of many sizes, now and then waiting until the other side has them all. */
async function sendUnevenly(transport: Transport, total: number, arrived: (count: number) => Promise<void>) {
  const data = pattern(total);
  let sent = 0;
  let count = 0;
  for (const size of sizes(total, total)) {
    transport.write(data.subarray(sent, sent + size));
    sent += size;
    if (++count % 7 === 0) await arrived(sent);
  }
  await arrived(total);
}

class WriteEcho extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
    super.dataReceived(data);
  }
}

/** Keeps what it is given and sends an array of its own. */
class OtherEcho extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.writeOwned(new Uint8Array(data));
    super.dataReceived(data);
  }
}

/** Gives away what it was given, and counts only. */
class OwnedEcho extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.writeOwned(data);
  }
}

for (const Echo of [Recorder, WriteEcho, OtherEcho]) {
  Deno.test(`dataReceived() bytes are never overwritten while megabytes flow (${Echo.name})`, async () => {
    const total = 12 * MIB;
    await using pair = await connect(() => new Echo(), () => new Recorder());
    const { serverSide, clientSide } = pair;
    await sendUnevenly(clientSide.transport, total, (count) => serverSide.untilReceived(count));
    if (Echo !== Recorder) await clientSide.untilReceived(total);
    assertEquals(serverSide.data, pattern(total));
    assert(serverSide.pieces.length > 20);
    if (Echo !== Recorder) assertEquals(clientSide.data, pattern(total));
  });
}

Deno.test("writeOwned() of what dataReceived() was given sends it intact", async () => {
  const total = 12 * MIB;
  await using pair = await connect(() => new OwnedEcho(), () => new Recorder());
  const { clientSide } = pair;
  await sendUnevenly(clientSide.transport, total, (count) => clientSide.untilReceived(count));
  assertEquals(clientSide.data, pattern(total));
});

Deno.test("dataReceived() bytes that are kept stay intact beside others that are given away", async () => {
  class EveryOther extends Recorder {
    #count = 0;
    override dataReceived(data: Uint8Array): void {
      if (this.#count++ % 2 === 0) {
        const copy = new Uint8Array(data);
        this.transport.writeOwned(data);
        super.dataReceived(copy);
      } else {
        this.transport.write(data);
        super.dataReceived(data);
      }
    }
  }
  const total = 8 * MIB;
  await using pair = await connect(() => new EveryOther(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertEquals(pair.clientSide.data, pattern(total));
  assertEquals(pair.serverSide.data, pattern(total));
});

Deno.test("writeOwned() in a later turn than dataReceived() sends the bytes intact", async () => {
  class Later extends Recorder {
    override dataReceived(data: Uint8Array): void {
      loop.callSoon(() => this.transport.writeOwned(data));
    }
  }
  const total = 4 * MIB;
  await using pair = await connect(() => new Later(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertEquals(pair.clientSide.data, pattern(total));
});

Deno.test("writeOwned() of parts of what dataReceived() was given sends them intact", async () => {
  class Halves extends Recorder {
    override dataReceived(data: Uint8Array): void {
      const middle = data.length >> 1;
      this.transport.writeOwned(data.subarray(0, middle));
      this.transport.writeOwned(data.subarray(middle));
    }
  }
  const total = 4 * MIB;
  await using pair = await connect(() => new Halves(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertEquals(pair.clientSide.data, pattern(total));
});

Deno.test("writeOwned() joins two transports to a proxy that moves every byte intact, both ways", async () => {
  /** One side of a proxy: what arrives here leaves there, and pauses here when there is too much of it. */
  class Side extends Recorder {
    other!: Side;
    override dataReceived(data: Uint8Array): void {
      this.other.transport.writeOwned(data);
    }
    override pauseWriting(): void {
      this.other.transport.pauseReading();
    }
    override resumeWriting(): void {
      this.other.transport.resumeReading();
    }
  }
  const total = 6 * MIB;
  const [left, right] = [new Side(), new Side()];
  [left.other, right.other] = [right, left];
  await using front = await connect(() => left, () => new Recorder());
  await using back = await connect(() => new WriteEcho(), () => right);
  await sendUnevenly(front.clientTransport, total, (count) => front.clientSide.untilReceived(count));
  assertEquals(back.serverSide.data, pattern(total));
  assertEquals(front.clientSide.data, pattern(total));
});

Deno.test("writeOwned() of one received array on several transports sends each of them intact bytes", async () => {
  const listeners: Transport[] = [];
  class Broadcast extends Recorder {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      listeners.push(transport);
    }
    override dataReceived(data: Uint8Array): void {
      for (const transport of listeners) transport.writeOwned(data);
    }
  }
  const total = 4 * MIB;
  await using pair = await connect(() => new Broadcast(), () => new Recorder());
  const others: Recorder[] = [];
  for (let i = 0; i < 3; i++) {
    const [, other] = await loop.createConnection(() => new Recorder(), {
      hostname: "127.0.0.1",
      port: portOf(pair.server),
    });
    others.push(other);
  }
  while (listeners.length < 4) await turn();
  const all = [pair.clientSide, ...others];
  await sendUnevenly(pair.clientTransport, total, async (count) => {
    for (const recorder of all) await recorder.untilReceived(count);
  });
  for (const recorder of all) assertEquals(recorder.data, pattern(total));
  for (const other of others) await closed(other.transport, other);
});

Deno.test("writeOwned() twice of the same received array sends it twice", async () => {
  class Twice extends Recorder {
    override dataReceived(data: Uint8Array): void {
      const copy = new Uint8Array(data);
      this.transport.writeOwned(data);
      this.transport.writeOwned(data);
      super.dataReceived(copy);
    }
  }
  const total = 4 * MIB;
  await using pair = await connect(() => new Twice(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(2 * count));
  assertEquals(pair.clientSide.data, concat(pair.serverSide.pieces.flatMap((piece) => [piece, piece])));
});

Deno.test("writeOwned() memory that the kernel still reads when the transport is aborted is used by nobody else", async () => {
  class Gives extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.writeOwned(data);
    }
  }
  const handle = new FakeHandle();
  const transport = makeTransport(new Gives(), handle);
  const sent = pattern(handle.target!.length);
  handle.deliver(sent);
  await microtasks();
  const posted = handle.posted!;
  transport.abort();
  await turn();
  const handles = Array.from({ length: 10 }, () => new FakeHandle());
  const transports = handles.map((handle) => makeTransport(new Recorder(), handle));
  for (const transport of transports) transport.write(new Uint8Array(1000).fill(255));
  await microtasks();
  for (const { target, posted: other } of handles) {
    assert(target!.buffer !== posted.buffer);
    assert(other!.buffer !== posted.buffer);
  }
  assertEquals(posted, sent);
  for (const transport of transports) transport.abort();
  await turn();
});

Deno.test("write() memory that the kernel still reads is used by nobody else", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes("in the kernel's hands"));
  await microtasks();
  const posted = handle.posted!;
  for (let i = 0; i < 100; i++) transport.write(pattern(3000, i));
  const other = new FakeHandle();
  const another = makeTransport(new Recorder(), other);
  assertNotEquals(other.target!.buffer, posted.buffer);
  assertEquals(posted, bytes("in the kernel's hands"));
  transport.abort();
  another.abort();
  await turn();
});

Deno.test("dataReceived() bytes can only be transferred away where that harms nobody else's", async () => {
  class Transfers extends Recorder {
    transferred = 0;
    refused = 0;
    override dataReceived(data: Uint8Array): void {
      this.received += data.length;
      try {
        this.pieces.push(structuredClone(data, { transfer: [data.buffer as ArrayBuffer] }));
        this.transferred++;
      } catch {
        // Small pieces share a slab, as those of Node's Buffer do: that one stays, and a copy may go.
        this.refused++;
        this.pieces.push(structuredClone(data.slice()));
      }
      this.log.changed();
    }
  }
  await using keeps = await connect(() => new Recorder(), () => new Recorder());
  await using gives = await connect(() => new Transfers(), () => new Recorder());
  const sizes = [50, 3000, 100_000, 100, 100_000];
  for (const [i, size] of sizes.entries()) {
    const before = keeps.serverSide.received;
    keeps.clientTransport.write(pattern(100, i));
    await keeps.serverSide.untilReceived(before + 100);
    const given = gives.serverSide.received;
    gives.clientTransport.write(pattern(size, i));
    await gives.serverSide.untilReceived(given + size);
  }
  assertEquals(keeps.serverSide.data, concat(sizes.map((_, i) => pattern(100, i))));
  assertEquals(gives.serverSide.data, concat(sizes.map((size, i) => pattern(size, i))));
  assert(gives.serverSide.transferred > 0);
  assert(gives.serverSide.refused > 0);
});
