/** Data callbacks: pausing, resuming, changing the protocol. */
import { bytes, pattern } from "../../kit.ts";
import type { Scenarios } from "../stage.ts";

export const scenarios: Scenarios = {
  "a message arrives whole and in order, then the end": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    await peer.send(pattern(1_000_000));
    await peer.end();
    await client.untilLost();
  },

  "an echo of a megabyte": async (t) => {
    const client = t.recorder("client", { dataReceived: (p, data) => p.transport.write(data) });
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 2_000_000 });
    const sending = peer.send(pattern(1_000_000));
    await peer.receive(1_000_000);
    await sending;
    await peer.end();
    await client.untilLost();
  },

  "pause_reading() inside connection_made holds everything until resume_reading()": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    t.attempt("client", "is_reading", () => client.transport.isReading());
    await peer.send("hello");
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    t.attempt("client", "is_reading", () => client.transport.isReading());
    client.log("resumed");
    await client.received(5);
  },

  "pause_reading() inside data_received holds what comes after": async (t) => {
    const client = t.recorder("client", { dataReceived: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    await peer.send("one");
    await client.received(3);
    await peer.send("two");
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.received(6);
    await peer.send("three");
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.received(11);
  },

  "pause_reading() and resume_reading() are idempotent": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    t.attempt("client", "is_reading", () => client.transport.isReading());
    t.attempt("client", "resume_reading", () => client.transport.resumeReading());
    t.attempt("client", "pause_reading", () => client.transport.pauseReading());
    t.attempt("client", "pause_reading", () => client.transport.pauseReading());
    t.attempt("client", "is_reading", () => client.transport.isReading());
    t.attempt("client", "resume_reading", () => client.transport.resumeReading());
    t.attempt("client", "resume_reading", () => client.transport.resumeReading());
    t.attempt("client", "is_reading", () => client.transport.isReading());
    await peer.send("hello");
    await client.received(5);
  },

  "pause_reading() right after resume_reading() lets nothing through": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    await peer.send("hello");
    await t.settle();
    client.transport.resumeReading();
    client.transport.pauseReading();
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.received(5);
  },

  "pausing and resuming on a closed transport is nothing": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.close();
    t.attempt("client", "is_reading", () => client.transport.isReading());
    t.attempt("client", "pause_reading", () => client.transport.pauseReading());
    t.attempt("client", "resume_reading", () => client.transport.resumeReading());
    await client.untilLost();
    t.attempt("client", "pause_reading", () => client.transport.pauseReading());
    t.attempt("client", "resume_reading", () => client.transport.resumeReading());
    t.attempt("client", "is_reading", () => client.transport.isReading());
    await peer.receiveAll();
  },

  "data and the end that arrive while paused are told in order after resume_reading()": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    await peer.send("last words");
    await peer.end();
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.untilLost();
  },

  "a reset that arrives while paused is told after resume_reading()": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.pauseReading() });
    const reset = await t.dialResettable(client);
    await reset();
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.untilLost();
  },

  "close() while paused drops what is held": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.pauseReading() });
    const peer = await t.dial(client);
    await peer.send("hello");
    await t.settle();
    client.transport.close();
    await client.untilLost();
    await t.settle();
  },

  "resuming after a true eof_received tells the end no second time": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    await peer.end();
    await client.until("eof_received");
    client.transport.pauseReading();
    client.transport.resumeReading();
    await t.settle();
    client.transport.write(bytes("still here"));
    await peer.receive(10);
  },

  "set_protocol() inside data_received: the rest goes to the new protocol": async (t) => {
    const second = t.recorder("second");
    const first = t.recorder("first", {
      dataReceived(p) {
        p.handOver(second);
        p.log(`get_protocol is the second: ${p.transport.getProtocol() === second}`);
      },
    });
    const peer = await t.dial(first);
    await peer.send("one");
    await first.received(3);
    await peer.send("two");
    await second.received(3);
    await peer.end();
    await second.untilLost();
  },

  "set_protocol() inside connection_made: the second protocol sees no connection_made": async (t) => {
    const second = t.recorder("second");
    const first = t.recorder("first", { connectionMade: (p) => p.handOver(second) });
    const peer = await t.dial(first);
    await peer.send("hello");
    await second.received(5);
    second.transport.close();
    await second.untilLost();
  },

  "set_protocol() between close() and connection_lost: the new protocol is told": async (t) => {
    const second = t.recorder("second");
    const first = t.recorder("first");
    await t.dial(first);
    first.transport.close();
    first.handOver(second);
    await second.untilLost();
  },
};
