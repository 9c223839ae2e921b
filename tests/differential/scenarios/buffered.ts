/** Protocols that own the memory they are read into. */
import { bytes, pattern, text } from "../../kit.ts";
import type { Scenarios } from "../stage.ts";

export const scenarios: Scenarios = {
  "an echo, then the end": async (t) => {
    const client = t.buffered("client", {
      bufferUpdated: (p, nbytes) => p.transport.write(p.buffer.subarray(0, nbytes)),
    });
    const peer = await t.dial(client);
    await peer.send("hello");
    await peer.receive(5);
    await peer.end();
    await client.untilLost();
    await peer.receiveAll();
  },

  "a megabyte through 64 KiB": async (t) => {
    const client = t.buffered("client");
    const peer = await t.dial(client);
    await peer.send(pattern(1_000_000));
    await peer.end();
    await client.untilLost();
  },

  "a message larger than the buffer comes piece by piece": async (t) => {
    const client = t.buffered("client", { getBuffer: () => new Uint8Array(4) });
    const peer = await t.dial(client);
    await peer.send("0123456789");
    await peer.end();
    await client.untilLost();
  },

  "a buffer may be a window of a larger one": async (t) => {
    const memory = bytes("..........");
    const client = t.buffered("client", { getBuffer: () => memory.subarray(3, 6) });
    const peer = await t.dial(client);
    await peer.send("abc");
    await client.received(3);
    client.log(`memory ${text(memory)}`);
    client.transport.close();
    await client.untilLost();
  },

  "two buffers in turn": async (t) => {
    const buffers = [new Uint8Array(3), new Uint8Array(3)];
    const client = t.buffered("client", { getBuffer: () => buffers.reverse()[0]! });
    const peer = await t.dial(client);
    await peer.send("onetwothr");
    await client.received(9);
    await peer.end();
    await client.untilLost();
  },

  "get_buffer is asked for each read": async (t) => {
    const client = t.buffered("client", {
      getBuffer(p, sizeHint) {
        p.log(`get_buffer ${sizeHint}`);
        return p.buffer;
      },
    });
    const peer = await t.dial(client);
    await t.settle();
    client.log("the peer sends");
    await peer.send("one");
    await client.received(3);
    await t.settle();
    client.log("the peer ends");
    await peer.end();
    await client.untilLost();
  },

  "an empty buffer is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.buffered("client", { getBuffer: () => new Uint8Array(0) });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "a buffer that is none is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.buffered("client", { getBuffer: () => null as unknown as Uint8Array });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "eof_received that returns true leaves the connection open for writing": async (t) => {
    const client = t.buffered("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    await peer.send("hello");
    await peer.end();
    await client.until("eof_received");
    client.transport.write(bytes("still here"));
    client.transport.close();
    await peer.receiveAll();
    await client.untilLost();
  },

  "pause_reading() inside connection_made holds everything until resume_reading()": async (t) => {
    const client = t.buffered("client", { connectionMade: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    await peer.send("hello");
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.received(5);
  },

  "pause_reading() inside buffer_updated holds what comes after": async (t) => {
    const client = t.buffered("client", {
      getBuffer: () => new Uint8Array(3),
      bufferUpdated: (p) => p.transport.pauseReading(),
    });
    const peer = await t.dial(client);
    await peer.send("onetwo");
    await peer.end();
    await client.received(3);
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.received(6);
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.untilLost();
  },

  "close() inside buffer_updated ends the data callbacks": async (t) => {
    const client = t.buffered("client", {
      getBuffer: () => new Uint8Array(3),
      bufferUpdated: (p) => p.transport.close(),
    });
    const peer = await t.dial(client);
    await peer.send("onetwo");
    await client.untilLost();
    await t.settle();
  },

  "close() inside get_buffer": async (t) => {
    const client = t.buffered("client", {
      getBuffer(p) {
        p.transport.close();
        return p.buffer;
      },
    });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "a reset by the peer is connection_lost with the error": async (t) => {
    const client = t.buffered("client");
    const reset = await t.dialResettable(client);
    await reset();
    await client.untilLost();
  },

  "set_protocol() inside data_received, to a buffered protocol with bytes on their way": async (t) => {
    const second = t.buffered("second");
    const first = t.recorder("first", { dataReceived: (p) => p.handOver(second) });
    const peer = await t.dial(first);
    await peer.send("one");
    await first.received(3);
    await peer.send("two");
    await second.received(3);
    await peer.end();
    await second.untilLost();
  },

  "set_protocol() inside buffer_updated, to a plain protocol with bytes on their way": async (t) => {
    const second = t.recorder("second");
    const first = t.buffered("first", {
      getBuffer: () => new Uint8Array(3),
      bufferUpdated: (p) => p.handOver(second),
    });
    const peer = await t.dial(first);
    await peer.send("onetwo");
    await peer.end();
    await second.untilLost();
  },

  "set_protocol() from outside, from one buffered protocol to another and to a plain one": async (t) => {
    const first = t.buffered("first");
    const second = t.buffered("second", { getBuffer: () => new Uint8Array(2) });
    const third = t.recorder("third");
    const peer = await t.dial(first);
    await peer.send("one");
    await first.received(3);
    await t.settle();
    first.handOver(second);
    await peer.send("two");
    await second.received(3);
    await t.settle();
    second.handOver(third);
    await peer.send("three");
    await third.received(5);
    await peer.end();
    await third.untilLost();
  },
};
