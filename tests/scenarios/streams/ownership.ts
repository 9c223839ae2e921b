/** Who owns the bytes, and when: rules 5 and 9. */
import type { Transport } from "../../../mod.ts";
import { assert } from "../../std.ts";
import { assertBytes, concat, makeRandom, pattern, Recorder } from "../../kit.ts";
import { Scenarios } from "../scenario.ts";

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

export const ownership = new Scenarios();

for (const Echo of [Recorder, WriteEcho, OtherEcho]) {
  ownership.add(`dataReceived() bytes are never overwritten while megabytes flow (${Echo.name})`, async (medium) => {
    const total = 3 * MIB;
    await using pair = await medium.connect(() => new Echo(), () => new Recorder());
    const { serverSide, clientSide } = pair;
    await sendUnevenly(clientSide.transport, total, (count) => serverSide.untilReceived(count));
    if (Echo !== Recorder) await clientSide.untilReceived(total);
    assertBytes(serverSide.data, pattern(total));
    assert(serverSide.pieces.length > 20);
    if (Echo !== Recorder) assertBytes(clientSide.data, pattern(total));
  });
}

ownership.add("writeOwned() of what dataReceived() was given sends it intact", async (medium) => {
  class OwnedEcho extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.writeOwned(data);
    }
  }
  const total = 3 * MIB;
  await using pair = await medium.connect(() => new OwnedEcho(), () => new Recorder());
  const { clientSide } = pair;
  await sendUnevenly(clientSide.transport, total, (count) => clientSide.untilReceived(count));
  assertBytes(clientSide.data, pattern(total));
});

ownership.add("dataReceived() bytes that are kept stay intact beside others that are given away", async (medium) => {
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
  const total = 3 * MIB;
  await using pair = await medium.connect(() => new EveryOther(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertBytes(pair.clientSide.data, pattern(total));
  assertBytes(pair.serverSide.data, pattern(total));
});

ownership.add("writeOwned() in a later turn than dataReceived() sends the bytes intact", async (medium) => {
  class Later extends Recorder {
    override dataReceived(data: Uint8Array): void {
      medium.loop.callSoon(() => this.transport.writeOwned(data));
    }
  }
  const total = 2 * MIB;
  await using pair = await medium.connect(() => new Later(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertBytes(pair.clientSide.data, pattern(total));
});

ownership.add("writeOwned() of parts of what dataReceived() was given sends them intact", async (medium) => {
  class Halves extends Recorder {
    override dataReceived(data: Uint8Array): void {
      const middle = data.length >> 1;
      this.transport.writeOwned(data.subarray(0, middle));
      this.transport.writeOwned(data.subarray(middle));
    }
  }
  const total = 2 * MIB;
  await using pair = await medium.connect(() => new Halves(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(count));
  assertBytes(pair.clientSide.data, pattern(total));
});

ownership.add(
  "writeOwned() joins two transports to a proxy that moves every byte intact, both ways",
  async (medium) => {
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
    const total = 3 * MIB;
    const [left, right] = [new Side(), new Side()];
    [left.other, right.other] = [right, left];
    await using front = await medium.connect(() => left, () => new Recorder());
    await using back = await medium.connect(() => new WriteEcho(), () => right);
    await sendUnevenly(front.clientTransport, total, (count) => front.clientSide.untilReceived(count));
    assertBytes(back.serverSide.data, pattern(total));
    assertBytes(front.clientSide.data, pattern(total));
  },
);

ownership.add(
  "writeOwned() of one received array on several transports sends each of them intact bytes",
  async (medium) => {
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
    const total = 2 * MIB;
    await using pair = await medium.connect(() => new Broadcast(), () => new Recorder());
    const all = [pair.clientSide];
    for (let i = 0; i < 3; i++) all.push((await medium.dial(pair.server, () => new Recorder()))[1]);
    while (listeners.length < 4) await medium.turn();
    await sendUnevenly(pair.clientTransport, total, async (count) => {
      for (const recorder of all) await recorder.untilReceived(count);
    });
    for (const recorder of all) assertBytes(recorder.data, pattern(total));
    for (const { transport, log } of all.slice(1)) {
      transport.close();
      await log.has("connectionLost");
    }
  },
);

ownership.add("writeOwned() twice of the same received array sends it twice", async (medium) => {
  class Twice extends Recorder {
    override dataReceived(data: Uint8Array): void {
      const copy = new Uint8Array(data);
      this.transport.writeOwned(data);
      this.transport.writeOwned(data);
      super.dataReceived(copy);
    }
  }
  const total = 2 * MIB;
  await using pair = await medium.connect(() => new Twice(), () => new Recorder());
  await sendUnevenly(pair.clientTransport, total, (count) => pair.clientSide.untilReceived(2 * count));
  assertBytes(pair.clientSide.data, concat(pair.serverSide.pieces.flatMap((piece) => [piece, piece])));
});
