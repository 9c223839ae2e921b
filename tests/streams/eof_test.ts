import { assertEquals } from "../std.ts";
import { bytes, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport } from "./kit.ts";

Deno.test("eofReceived() runs at most once when it pauses and resumes reading itself", async () => {
  class Restless extends Recorder {
    override eofReceived(): boolean {
      this.transport.pauseReading();
      this.transport.resumeReading();
      return super.eofReceived();
    }
  }
  const handle = new FakeHandle();
  const recorder = new Restless({ keepOpen: true });
  const transport = makeTransport(recorder, handle);
  handle.end();
  await turn();
  assertEquals(handle.reading, false);
  transport.abort();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

Deno.test("eofReceived() is held while paused, and runs once, in a later turn than resumeReading()", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder({ keepOpen: true });
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.end();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.resumeReading();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived"]);
  transport.pauseReading();
  transport.resumeReading();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "eofReceived"]);
  transport.close();
  await turn();
});

Deno.test("eofReceived() does not run for a transport that was paused and then closed", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.end();
  transport.close();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("writeEof() comes after all that is buffered, and is idempotent", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes("abc"));
  transport.writeEof();
  transport.writeEof();
  await turn();
  assertEquals([handle.writes.length, handle.closeWrites], [1, 0]);
  await handle.take(1);
  assertEquals(handle.closeWrites, 0);
  await handle.take(2);
  assertEquals(handle.closeWrites, 1);
  transport.writeEof();
  await turn();
  assertEquals(handle.closeWrites, 1);
  transport.close();
  await turn();
});

Deno.test("writeEof() on a transport that is closing is nothing", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.close();
  transport.writeEof();
  await turn();
  transport.writeEof();
  assertEquals(handle.closeWrites, 0);
});
