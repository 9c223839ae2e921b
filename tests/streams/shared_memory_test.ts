/** Bytes in a SharedArrayBuffer may be written, and read into. */
import { BufferedProtocol, Protocol } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { bytes, connect, EventLog, pattern, Recorder } from "../kit.ts";

function shared(length: number): Uint8Array {
  const data = new Uint8Array(new SharedArrayBuffer(length));
  data.set(pattern(length));
  return data;
}

for (const method of ["write", "writeOwned", "writelines"] as const) {
  for (const length of [10, 300_000]) {
    Deno.test(`${method}() sends ${length} bytes of a SharedArrayBuffer`, async () => {
      await using pair = await connect(() => new Recorder(), () => new Protocol());
      const { clientTransport } = pair;
      if (method === "writelines") clientTransport.writelines([shared(length)]);
      else clientTransport[method](shared(length));
      await pair.serverSide.untilReceived(length);
      assertEquals(pair.serverSide.data, pattern(length));
    });
  }
}

Deno.test("getBuffer() may return memory in a SharedArrayBuffer", async () => {
  class Shared extends BufferedProtocol {
    readonly log = new EventLog();
    readonly memory = shared(64);
    override getBuffer(): Uint8Array {
      return this.memory;
    }
    override bufferUpdated(nbytes: number): void {
      this.log.add(String.fromCharCode(...this.memory.subarray(0, nbytes)));
    }
  }
  await using pair = await connect(() => new Shared(), () => new Protocol());
  pair.clientTransport.write(bytes("hello"));
  await pair.serverSide.log.has("hello");
});
