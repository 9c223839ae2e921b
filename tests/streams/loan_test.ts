/** What a protocol gives back with writeOwned() inside the callback that it was given it in. */
import { BufferedProtocol, type Transport } from "../../mod.ts";
import { assert, assertEquals } from "../std.ts";
import { connect, EventLog, loop, pattern, portOf, Recorder, turn } from "../kit.ts";

/** Owns one buffer, and passes on what is read into it without a copy. */
class PassesOn extends BufferedProtocol {
  readonly log = new EventLog();
  readonly buffer = new Uint8Array(32 * 1024);
  transport!: Transport;
  /** Where to; back, if not set. */
  target: Transport | null = null;
  asked = 0;
  total = 0;

  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }

  override getBuffer(): Uint8Array {
    this.asked++;
    return this.buffer;
  }

  override bufferUpdated(nbytes: number): void {
    this.total += nbytes;
    (this.target ?? this.transport).writeOwned(this.buffer.subarray(0, nbytes));
    this.log.changed();
  }

  override connectionLost(error: Error | null): void {
    this.log.add(`connectionLost ${error}`);
  }
}

Deno.test("writeOwned() of the memory just read into sends every byte, though getBuffer() gives it out again", async () => {
  await using pair = await connect(() => new PassesOn(), () => new Recorder());
  const { clientSide } = pair;
  const size = 3_000_000;
  for (let offset = 0; offset < size; offset += 100_000) clientSide.transport.write(pattern(100_000, offset));
  // A slow reader: the echo has to wait in the middle, more than once.
  for (let part = 1; part <= 10; part++) {
    await clientSide.untilReceived(size * part / 20);
    clientSide.transport.pauseReading();
    await turn();
    await turn();
    clientSide.transport.resumeReading();
  }
  await clientSide.untilReceived(size);
  const data = clientSide.data;
  for (let offset = 0; offset < size; offset += 100_000) {
    assertEquals(data.subarray(offset, offset + 100_000), pattern(100_000, offset));
  }
});

Deno.test("getBuffer() is not asked again before the memory that was given to writeOwned() has been sent", async () => {
  await using pair = await connect(() => new PassesOn(), () => new Recorder());
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  const data = pattern(16_000_000);
  clientSide.transport.write(data);
  // The peer does not read: at some point the echo stands still with its memory lent.
  let before = -1;
  while (serverSide.total !== before || serverSide.transport.getWriteBufferSize() === 0) {
    before = serverSide.total;
    for (let i = 0; i < 50; i++) await turn();
  }
  const { asked } = serverSide;
  assert(serverSide.total < data.length);
  for (let i = 0; i < 50; i++) await turn();
  assertEquals(serverSide.asked, asked);
  clientSide.transport.resumeReading();
  await clientSide.untilReceived(data.length);
  assertEquals(clientSide.data, data);
});

Deno.test("resumeReading() while the memory is lent waits for it", async () => {
  await using pair = await connect(() => new PassesOn(), () => new Recorder());
  const { serverSide, clientSide } = pair;
  const data = pattern(2_000_000);
  clientSide.transport.write(data);
  for (let i = 1; i <= 20; i++) {
    await serverSide.log.until(() => serverSide.total >= i * 50_000);
    serverSide.transport.pauseReading();
    serverSide.transport.resumeReading();
    serverSide.transport.pauseReading();
    await turn();
    serverSide.transport.resumeReading();
  }
  await clientSide.untilReceived(data.length);
  assertEquals(clientSide.data, data);
});

Deno.test("writeOwned() to another transport lends memory to it, and abort() there gives it back", async () => {
  await using sink = await connect(() => new Recorder(), () => new Recorder());
  await using source = await connect(() => new PassesOn(), () => new Recorder());
  const { serverSide: proxy, clientSide } = source;
  proxy.target = sink.clientTransport;
  const data = pattern(1_000_000);
  clientSide.transport.write(data);
  await sink.serverSide.untilReceived(data.length);
  assertEquals(sink.serverSide.data, data);
  // Now the target does not drain, and goes with the memory still lent to it.
  sink.serverSide.transport.pauseReading();
  clientSide.transport.write(pattern(16_000_000));
  while (sink.clientTransport.getWriteBufferSize() === 0) await turn();
  for (let i = 0; i < 50; i++) await turn();
  const { total } = proxy;
  sink.clientTransport.abort();
  await proxy.log.until(() => proxy.total > total);
  await proxy.log.until(() => proxy.total === 17_000_000);
});

Deno.test("writeOwned() of memory from getBuffer() is safe when bytes come for it after a setProtocol()", async () => {
  const first = new Recorder();
  const next = new PassesOn();
  const server = await loop.createServer(() => first, { hostname: "127.0.0.1", port: 0 });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: portOf(server) });
  transport.write(pattern(10));
  await first.untilReceived(10);
  // A read for the old protocol is in flight: its bytes are copied, piece by piece, into the new one's memory.
  next.transport = first.transport;
  first.transport.setProtocol(next);
  const data = pattern(500_000, 3);
  transport.write(data);
  await client.untilReceived(data.length);
  assertEquals(client.data, data);
  transport.close();
  server.close();
  await server.waitClosed();
});
