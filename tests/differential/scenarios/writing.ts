/** Writes: their order, their errors, what becomes of them at the end. */
import { bytes, loop, pattern } from "../../kit.ts";
import type { Scenarios } from "../stage.ts";

export const scenarios: Scenarios = {
  "writes arrive in order, those inside connection_made first": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.write(bytes("zero ")) });
    const peer = await t.dial(client);
    client.transport.write(bytes("one "));
    client.transport.writelines([bytes("two "), bytes(""), bytes("three ")]);
    await t.turns();
    client.transport.write(bytes("four "));
    client.transport.writelines(["five ", "six"].values().map(bytes));
    client.transport.close();
    await peer.receiveAll();
    await client.untilLost();
  },

  "ten thousand small writes in one turn": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    const data = pattern(30_000);
    for (let i = 0; i < 10_000; i++) client.transport.write(data.subarray(3 * i, 3 * i + 3));
    client.transport.close();
    await peer.receiveAll();
    await client.untilLost();
  },

  "what was written is the caller's again": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    const data = bytes("first ");
    client.transport.write(data);
    data.set(bytes("second"));
    client.transport.write(data);
    data.set(bytes("xxxxxx"));
    client.transport.close();
    await peer.receiveAll();
  },

  "a view writes its window only": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(bytes("0123456789").subarray(2, 5));
    client.transport.close();
    await peer.receiveAll();
  },

  "what is no bytes is a TypeError, and the connection lives on": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    const write = (data: unknown) => client.transport.write(data as Uint8Array);
    const writelines = (pieces: unknown) => client.transport.writelines(pieces as Uint8Array[]);
    t.attempt("client", "write text", () => write("text"));
    t.attempt("client", "write null", () => write(null));
    t.attempt("client", "write number", () => write(7));
    t.attempt("client", "write array of bytes", () => write([bytes("x")]));
    t.attempt("client", "writelines with text", () => writelines([bytes("x"), "text"]));
    client.transport.write(bytes("alive"));
    client.transport.close();
    await peer.receiveAll();
  },

  "an empty write is nothing": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    t.attempt("client", "write", () => client.transport.write(bytes("")));
    t.attempt("client", "writelines", () => client.transport.writelines([]));
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    client.transport.close();
    t.attempt("client", "write", () => client.transport.write(bytes("")));
    await peer.receiveAll();
  },

  "a write after close() or abort() is dropped without a word": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(bytes("before"));
    await peer.receive(6);
    client.transport.close();
    t.attempt("client", "write", () => client.transport.write(bytes("after")));
    await client.untilLost();
    t.attempt("client", "write", () => client.transport.write(bytes("after")));
    await peer.receiveAll();
  },

  "a write of what is no bytes is a TypeError after close() too": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    const write = () => client.transport.write("text" as unknown as Uint8Array);
    client.transport.close();
    t.attempt("client", "write", write);
    await client.untilLost();
    t.attempt("client", "write", write);
  },

  "a write after write_eof() is an error, and what was written before arrives": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    t.attempt("client", "can_write_eof", () => client.transport.canWriteEof());
    client.transport.write(bytes("before"));
    t.attempt("client", "write_eof", () => client.transport.writeEof());
    t.attempt("client", "write", () => client.transport.write(bytes("after")));
    t.attempt("client", "write nothing", () => client.transport.write(bytes("")));
    t.attempt("client", "write text", () => client.transport.write("text" as unknown as Uint8Array));
    t.attempt("client", "writelines", () => client.transport.writelines([bytes("after")]));
    t.attempt("client", "writelines of nothing", () => client.transport.writelines([]));
    t.attempt("client", "write_eof again", () => client.transport.writeEof());
    t.attempt("client", "can_write_eof", () => client.transport.canWriteEof());
    await peer.receiveAll();
    client.transport.close();
    t.attempt("client", "write after close()", () => client.transport.write(bytes("after")));
    await client.untilLost();
    t.attempt("client", "write after connection_lost", () => client.transport.write(bytes("after")));
  },

  "write_eof() after close() is nothing": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.close();
    t.attempt("client", "write_eof", () => client.transport.writeEof());
    t.attempt("client", "write", () => client.transport.write(bytes("after")));
    await client.untilLost();
    t.attempt("client", "write_eof", () => client.transport.writeEof());
    await peer.receiveAll();
  },

  "write_eof() flushes what is buffered, and reading goes on": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(pattern(8_000_000));
    client.transport.writeEof();
    await peer.send("meanwhile");
    await client.received(9);
    await peer.receiveAll();
    await peer.send(", and after");
    await client.received(20);
    await peer.end();
    await client.untilLost();
  },

  "write_eof() and close() in one turn": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(pattern(8_000_000));
    client.transport.writeEof();
    client.transport.close();
    await peer.receiveAll();
    await client.untilLost();
  },

  "a second write to a peer that has closed is a broken pipe": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    peer.close();
    await client.until("eof_received");
    t.attempt("client", "write", () => client.transport.write(bytes("answered by a reset")));
    await t.settle();
    t.attempt("client", "write", () => client.transport.write(bytes("refused")));
    await client.untilLost();
    t.attempt("client", "write", () => client.transport.write(bytes("dropped")));
  },

  "sendfile sends the part asked for and tells how much it was": async (t) => {
    const path = t.tempPath("file");
    await Deno.writeFile(path, pattern(100_000));
    const client = t.recorder("client");
    const peer = await t.dial(client);
    using file = await Deno.open(path);
    const position = () => file.seekSync(0, Deno.SeekMode.Current);
    client.log(`whole: ${await loop.sendfile(client.transport, file)}`);
    client.log(`position: ${position()}`);
    client.log(`part: ${await loop.sendfile(client.transport, file, { offset: 10, count: 20 })}`);
    client.log(`position: ${position()}`);
    client.log(`the end of it: ${await loop.sendfile(client.transport, file, { offset: 99_990, count: 50 })}`);
    client.log(`beyond it: ${await loop.sendfile(client.transport, file, { offset: 200_000 })}`);
    client.transport.write(bytes("and more"));
    client.transport.close();
    await t.attemptAsync("client", "sendfile after close()", loop.sendfile(client.transport, file));
    await peer.receiveAll();
    await client.untilLost();
  },
};
