/** pause_writing and resume_writing, and the limits that they go by. */
import { bytes, pattern } from "../../kit.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios } from "../stage.ts";

/** More than the kernel takes from one write, whatever it does to its buffers. */
const MUCH = 16_000_000;

function limits(client: Recorder): string {
  const [low, high] = client.transport.getWriteBufferLimits();
  return `low ${low}, high ${high}`;
}

/** Writes until the protocol is paused, however much the kernel takes. */
function fill(client: Recorder): void {
  while (!client.paused) client.transport.write(pattern(1_000_000));
}

export const scenarios: Scenarios = {
  "the limits, and how one follows from the other": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    client.log(limits(client));
    client.transport.setWriteBufferLimits({ high: 1000 });
    client.log(`high=1000: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ low: 1000 });
    client.log(`low=1000: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ high: 1000, low: 10 });
    client.log(`both: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ high: 10, low: 10 });
    client.log(`equal: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ high: 0 });
    client.log(`high=0: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ low: 0 });
    client.log(`low=0: ${limits(client)}`);
    client.transport.setWriteBufferLimits({ high: 7 });
    client.log(`high=7: ${limits(client)}`);
    client.transport.setWriteBufferLimits();
    client.log(`neither: ${limits(client)}`);
  },

  "limits that make no sense are a RangeError and change nothing": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 1000, low: 10 });
    t.attempt("client", "low over high", () => client.transport.setWriteBufferLimits({ high: 10, low: 11 }));
    t.attempt("client", "negative low", () => client.transport.setWriteBufferLimits({ high: 10, low: -1 }));
    t.attempt("client", "negative high", () => client.transport.setWriteBufferLimits({ high: -1 }));
    t.attempt("client", "both negative", () => client.transport.setWriteBufferLimits({ high: -1, low: -2 }));
    client.log(limits(client));
  },

  "pause_writing runs once inside write(), resume_writing once when the peer has read": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.log("writing");
    client.transport.write(pattern(MUCH));
    client.log("written");
    client.transport.write(bytes("more"));
    client.transport.writelines([bytes("and "), bytes("more")]);
    client.log("more written");
    await t.settle();
    client.log("the peer reads");
    await peer.receive(MUCH + 12);
    await client.until("resume_writing");
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    client.transport.close();
    await client.untilLost();
  },

  "pause_writing runs when the buffer is strictly over high": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 2 * MUCH });
    client.transport.write(pattern(MUCH));
    await t.settle();
    const size = client.transport.getWriteBufferSize();
    client.transport.setWriteBufferLimits({ high: size + 1 });
    client.log("one byte below high");
    client.transport.write(bytes("1"));
    client.log("at high");
    client.transport.write(bytes("2"));
    client.log("over it");
  },

  "resume_writing runs when the buffer is at or below low": async (t) => {
    const client = t.recorder("client", {
      resumeWriting: (p) => p.log(`at or below low: ${p.transport.getWriteBufferSize() <= 100_000}`),
    });
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 200_000, low: 100_000 });
    client.transport.write(pattern(MUCH));
    await peer.receive(MUCH);
    await client.until("at or below low");
  },

  "a high of zero pauses for one byte, and resumes when nothing is left": async (t) => {
    const client = t.recorder("client", {
      resumeWriting: (p) => t.attempt("client", "get_write_buffer_size", () => p.transport.getWriteBufferSize()),
    });
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 2 * MUCH });
    client.transport.write(pattern(MUCH));
    client.log("high=0");
    client.transport.setWriteBufferLimits({ high: 0 });
    client.transport.write(bytes("!"));
    await peer.receive(MUCH + 1);
    await client.until("get_write_buffer_size");
  },

  "lower limits pause at once, higher ones do not resume": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 2 * MUCH });
    client.transport.write(pattern(MUCH));
    client.log("lower limits");
    client.transport.setWriteBufferLimits({ high: 1000 });
    client.log("higher limits");
    client.transport.setWriteBufferLimits({ high: 2 * MUCH });
    client.log("the peer reads");
    await peer.receive(MUCH);
    await client.until("resume_writing");
  },

  "writing inside resume_writing pauses again, in strict turns": async (t) => {
    let rounds = 0;
    const client = t.recorder("client", {
      resumeWriting(p) {
        if (rounds < 2) {
          rounds++;
          fill(p);
          p.log("filled inside resume_writing");
        }
      },
    });
    const peer = await t.dial(client);
    fill(client);
    const reading = peer.countAll();
    await client.until("resume_writing", 3);
    client.transport.close();
    await client.untilLost();
    await reading;
  },

  "close() inside resume_writing": async (t) => {
    const client = t.recorder("client", { resumeWriting: (p) => p.transport.close() });
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ low: 0, high: 1000 });
    client.transport.write(pattern(MUCH));
    await peer.receiveAll();
    await client.untilLost();
    await t.settle();
  },

  "writing inside pause_writing pauses no second time": async (t) => {
    const client = t.recorder("client", { pauseWriting: (p) => p.transport.write(pattern(100_000)) });
    const peer = await t.dial(client);
    client.transport.write(pattern(MUCH));
    client.log("written");
    await peer.receive(MUCH + 100_000);
    await client.until("resume_writing");
  },

  "write_eof() while paused: the flush resumes first": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    client.transport.write(pattern(MUCH));
    client.transport.writeEof();
    await peer.receiveAll();
    await client.until("resume_writing");
    client.transport.close();
    await client.untilLost();
  },

  "set_protocol() while paused: the new protocol is resumed": async (t) => {
    const second = t.recorder("second");
    const first = t.recorder("first");
    const peer = await t.dial(first);
    first.transport.write(pattern(MUCH));
    first.handOver(second);
    await peer.receive(MUCH);
    await second.until("resume_writing");
  },

  "abort() while paused: no resume_writing, and nothing is left": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    client.transport.write(pattern(MUCH));
    client.transport.abort();
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    await client.untilLost();
    await t.settle();
  },

  "a write that the kernel takes whole": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.setWriteBufferLimits({ high: 10 });
    client.log("writing");
    client.transport.write(pattern(100));
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    await peer.receive(100);
    await t.settle();
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
  },
};
