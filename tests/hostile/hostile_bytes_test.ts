/** Arrays that are not what their `length` says: no byte next to their memory is sent, or written by the kernel. */
import { Buffer } from "node:buffer";
import { assertEquals, assertThrows } from "../std.ts";
import { BufferedRecorder, captureExceptions, connect, loop, portOf, Recorder } from "../kit.ts";
import { DatagramRecorder } from "../datagrams/kit.ts";

const SIZE = 4;
const LIE = 8;

/** Arrays of 4 bytes, at the beginning of `memory`, that pretend to have 8. */
const LIARS: Record<string, (memory: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>> = {
  "a subclass with a length of its own": ({ buffer }) => {
    class Liar extends Uint8Array<ArrayBuffer> {
      override get length(): typeof LIE {
        return LIE;
      }
    }
    return new Liar(buffer, 0, SIZE);
  },
  "an array with a length of its own": ({ buffer }) =>
    Object.defineProperty(new Uint8Array(buffer, 0, SIZE), "length", { value: LIE }),
  "a proxy of an array": ({ buffer }) =>
    new Proxy(new Uint8Array(buffer, 0, SIZE), {
      get: (target, key) => key === "length" ? LIE : Reflect.get(target, key, target),
    }),
  "an object with the prototype of arrays": () => Object.create(Uint8Array.prototype, { length: { value: LIE } }),
  "another array with the prototype of arrays": ({ buffer }) =>
    Object.setPrototypeOf(new Float32Array(buffer, 0, 1), Uint8Array.prototype),
};

for (const [name, make] of Object.entries(LIARS)) {
  Deno.test(`getBuffer() that returns ${name} is a fatal error, and nothing is received`, async () => {
    using exceptions = captureExceptions();
    const memory = new Uint8Array(2 * LIE);
    const receiver = new BufferedRecorder();
    receiver.getBuffer = () => make(memory);
    await using server = await loop.createServer(() => receiver, { hostname: "127.0.0.1", port: 0 });
    const [, sender] = await loop.createConnection(() => new Recorder(), { port: portOf(server) });
    sender.transport.write(new Uint8Array(LIE).fill(1));
    sender.transport.writeEof();
    await receiver.untilLost();
    assertEquals(exceptions.log.entries, ["Fatal error: protocol.getBuffer() call failed."]);
    assertEquals(memory, new Uint8Array(2 * LIE));
    sender.transport.abort();
    await sender.untilLost();
  });

  Deno.test(`write() and its siblings throw a TypeError for ${name}, and send nothing`, async () => {
    const data = make(new Uint8Array(2 * LIE));
    await using pair = await connect(() => new Recorder(), () => new Recorder());
    const transport = pair.clientTransport;
    assertThrows(() => transport.write(data), TypeError, "write(): data must be a Uint8Array");
    assertThrows(() => transport.writeOwned(data), TypeError, "writeOwned(): data must be a Uint8Array");
    assertThrows(() => transport.writelines([data]), TypeError, "writelines(): pieces[0] must be a Uint8Array");
    assertEquals(transport.getWriteBufferSize(), 0);
    const localAddr = { hostname: "127.0.0.1", port: 0 };
    const [datagrams] = await loop.createDatagramEndpoint(() => new DatagramRecorder(), { localAddr });
    const addr = datagrams.getExtraInfo("sockname") as Deno.NetAddr;
    assertThrows(() => datagrams.sendto(data, addr), TypeError, "sendto(): data must be a Uint8Array");
    datagrams.close();
  });
}

Deno.test("write() takes arrays of subclasses that have the length of their memory", async () => {
  class Bytes extends Uint8Array<ArrayBuffer> {}
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { clientTransport: transport, serverSide } = pair;
  for (
    const data of [Bytes.of(65), Buffer.from("B"), new Uint8Array(new ArrayBuffer(1, { maxByteLength: 2 })).fill(67)]
  ) {
    transport.write(data);
  }
  transport.writeEof();
  await serverSide.untilLost();
  assertEquals(serverSide.text, "ABC");
});
