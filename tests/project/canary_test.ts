/**
 * Protocols that break the rule of writeOwned(): they give away the same memory more than once, as views of it. Every
 * connection sends bytes of its own kind, so that one that has gone astray shows.
 */
import type { Transport } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { BufferedRecorder, concat, connect, loop, makeRandom, portOf, Recorder } from "../kit.ts";

/** What a rude protocol may do with the bytes it has just been given. */
interface Hands {
  data: Uint8Array;
  /** A transport that its peer reads from. */
  back: Transport;
  /** Two whose peers do not read yet. */
  slow: Transport;
  slower: Transport;
}

/** Ways to give the same memory away more than once. */
const WAYS: Record<string, (hands: Hands) => void> = {
  "a part, then the whole": ({ data, back, slow }) => {
    slow.writeOwned(data.subarray(1));
    back.writeOwned(data);
  },
  "the whole, then a part": ({ data, back, slow }) => {
    back.writeOwned(data);
    slow.writeOwned(data.subarray(1));
  },
  "two equal views": ({ data, back, slow }) => {
    back.writeOwned(data.subarray());
    slow.writeOwned(data.subarray());
  },
  "the whole, then an equal view": ({ data, back, slow }) => {
    back.writeOwned(data);
    slow.writeOwned(data.subarray());
  },
  "a view made by hand, then the whole": ({ data, back, slow }) => {
    slow.writeOwned(new Uint8Array(data.buffer, data.byteOffset, data.length));
    back.writeOwned(data);
  },
  "the whole, between two parts": ({ data, back, slow, slower }) => {
    slower.writeOwned(data.subarray(data.length >> 1));
    back.writeOwned(data);
    slow.writeOwned(data.subarray(0, -1));
  },
  "the whole three times": ({ data, back, slow, slower }) => {
    for (const transport of [slow, back, slower]) transport.writeOwned(data);
  },
  "copies among them": ({ data, back, slow, slower }) => {
    slow.write(data.subarray(0, 100));
    slow.writeOwned(data.subarray(3));
    slower.writelines([data.subarray(0, 10), data]);
    back.writeOwned(data);
    slower.writeOwned(data.subarray(0, 5));
    back.write(data.subarray(0, 100));
  },
  "small parts, which are joined": ({ data, back, slow }) => {
    slow.writeOwned(data.subarray(0, 1000));
    slow.writeOwned(data.subarray(1000, 2000));
    back.writeOwned(data);
    slow.writeOwned(data.subarray(0, 3000));
  },
};

/** A transport that notes what it is told to send, as it is at that moment. */
function noting(transport: Transport, sent: Uint8Array[]): Transport {
  return {
    write: (data) => (sent.push(data.slice()), transport.write(data)),
    writeOwned: (data) => (sent.push(data.slice()), transport.writeOwned(data)),
    writelines: (list) => (sent.push(concat([...list])), transport.writelines(list)),
  } as Transport;
}

/** Compares megabytes, of which `assertEquals` would print every byte that differs. */
function assertSent(received: Uint8Array, sent: Uint8Array[], by: string): void {
  const expected = concat(sent);
  const at = received.findIndex((byte, i) => byte !== expected[i]);
  assertEquals([at, received[at], expected[at]], [-1, undefined, undefined], by);
  assertEquals(received.length, expected.length, by);
}

const CONNECTIONS = 12;
const ROUNDS = 6;

for (const kind of ["dataReceived", "getBuffer"] as const) {
  for (const [way, act] of Object.entries(WAYS)) {
    Deno.test(`writeOwned() of ${way}, from ${kind}(), sends no byte of another connection`, async () => {
      const random = makeRandom(way.length);
      /** What the slow ones were told to send, and what each other connection was. */
      const told: [Uint8Array[], Uint8Array[]] = [[], []];
      const echoed: Uint8Array[][] = [];
      const rude = (back: Transport, data: Uint8Array) => {
        const sent: Uint8Array[] = echoed[data[0]!] ??= [];
        const [slow, slower] = slowPairs.map(({ serverSide }, i) => noting(serverSide.transport, told[i]!));
        act({ data, back: noting(back, sent), slow: slow!, slower: slower! });
      };
      class Rude extends Recorder {
        override dataReceived(data: Uint8Array): void {
          rude(this.transport, data);
        }
      }
      class RudeBuffered extends BufferedRecorder {
        override bufferUpdated(nbytes: number): void {
          rude(this.transport, this.buffer.subarray(0, nbytes));
        }
      }
      await using first = await connect(() => new Recorder(), () => new Recorder());
      await using second = await connect(() => new Recorder(), () => new Recorder());
      const slowPairs = [first, second];
      for (const pair of slowPairs) pair.clientTransport.pauseReading();
      const Server = kind === "getBuffer" ? RudeBuffered : Rude;
      await using pair = await connect(() => new Server(), () => new Recorder());
      const clients = [pair.clientSide];
      while (clients.length < CONNECTIONS) {
        const [, client] = await loop.createConnection(() => new Recorder(), { port: portOf(pair.server) });
        clients.push(client);
      }
      const size = (pieces: Uint8Array[] = []) => pieces.reduce((sum, { length }) => sum + length, 0);
      // The slow ones let go of what waits for them in the end only, but memory from getBuffer() has to be sent first.
      const resume = () => slowPairs.forEach(({ clientTransport }) => clientTransport.resumeReading());
      if (kind === "getBuffer") resume();
      for (let round = 0; round < ROUNDS; round++) {
        await Promise.all(clients.map(async (client, i) => {
          const length = 5000 + random(60_000);
          const before = client.received;
          client.transport.write(new Uint8Array(length).fill(i));
          await client.log.until(() => client.received >= before + length);
        }));
      }
      resume();
      for (const [i, client] of clients.entries()) {
        await client.untilReceived(size(echoed[i]));
        assertSent(client.data, echoed[i]!, `connection ${i}`);
      }
      for (const [i, { clientSide }] of slowPairs.entries()) {
        await clientSide.untilReceived(size(told[i]));
        assertSent(clientSide.data, told[i]!, `slow one ${i}`);
      }
      for (const client of clients) client.transport.abort();
    });
  }
}
