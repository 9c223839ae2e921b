/** `verifyProtocol()` passes protocols that are right, and finds each kind of mistake. */
import { Protocol, type StreamCallbacks, type Transport } from "../../mod.ts";
import { type Exchange, type MemoryLoop, verifyProtocol } from "../../testing/mod.ts";
import { bytes } from "../kit.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "../std.ts";

/** Answers each line by its length, with flow control. */
class Lengths extends Protocol {
  transport!: Transport;
  rest = "";
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    const lines = (this.rest + new TextDecoder().decode(data)).split("\n");
    this.rest = lines.pop()!;
    for (const line of lines) this.answer(line);
  }
  answer(line: string): void {
    this.transport.write(bytes(`${line.length}\n`));
  }
  override pauseWriting(): void {
    this.transport.pauseReading();
  }
  override resumeWriting(): void {
    this.transport.resumeReading();
  }
}

const LINES: Exchange = { send: "one\nthree\n\nfour", expect: "3\n5\n0\n" };

Deno.test("verifyProtocol() passes a protocol that keeps the rest, whatever the pieces", async () => {
  await verifyProtocol(() => new Lengths(), LINES);
  await verifyProtocol(() => new Lengths(), [LINES, { send: "!\n", expect: "5\n" }, { send: "x\n" }]);
});

Deno.test("verifyProtocol() waits within for answers that take time", async () => {
  class Later extends Lengths {
    #loop: MemoryLoop;
    constructor(loop: MemoryLoop) {
      super();
      this.#loop = loop;
    }
    override answer(line: string): void {
      this.#loop.callLater(100, () => super.answer(line));
    }
  }
  await verifyProtocol((loop) => new Later(loop), LINES, { within: 100, maxBuffer: 100_000 });
  await assertRejects(() => verifyProtocol((loop) => new Later(loop), LINES, { within: 99 }), Error, 'answered by ""');
});

/** Protocols that are wrong, and what is said of them. */
const WRONG: [string, () => StreamCallbacks, string][] = [
  ["answers by pieces", () =>
    new class extends Lengths {
      override dataReceived(data: Uint8Array): void {
        for (const line of new TextDecoder().decode(data).split("\n").slice(0, -1)) this.answer(line);
      }
    }(), 'byte by byte: exchange 0: "one\\nthree\\n\\nfour" was answered by "0\\n0\\n0\\n", not "3\\n5\\n0\\n"'],
  ["answers wrongly", () =>
    new class extends Lengths {
      override answer(): void {
        super.answer("");
      }
    }(), "whole: exchange 0"],
  ["depends on one place", () =>
    new class extends Lengths {
      override dataReceived(data: Uint8Array): void {
        if (data.length === 9) this.answer("");
        super.dataReceived(data);
      }
    }(), "split at 6 of exchange 0"],
  ["throws at the end", () =>
    new class extends Lengths {
      override eofReceived(): void {
        if (this.rest === "fo") throw new Error("unfinished");
      }
    }(), "cut off by the end after byte 13 of exchange 0: Fatal error: protocol.eofReceived() call failed."],
  ["throws at a reset", () =>
    new class extends Lengths {
      override connectionLost(error: Error | null): void {
        if (error !== null) throw error;
      }
    }(), "cut off by a reset after byte 0 of exchange 0"],
  ["does not stop reading", () =>
    new class extends Lengths {
      override pauseWriting(): void {}
    }(), "bytes wait to be sent, more than maxBuffer (10000)"],
];

for (const [name, factory, message] of WRONG) {
  Deno.test(`verifyProtocol() finds a protocol that ${name}`, async () => {
    const options = { maxBuffer: name === "does not stop reading" ? 10_000 : 2 ** 20, seed: 5 };
    const error = await assertRejects(() => verifyProtocol(factory, LINES, options), Error, "verifyProtocol(): ");
    assertStringIncludes(error.message, message);
    assertStringIncludes(error.message, "\nreplay with { seed: 5 }");
  });
}

Deno.test("verifyProtocol() makes a protocol for each run, and replays by its seed", async () => {
  const count = async (seed: number) => {
    const sizes: number[] = [];
    class Counting extends Lengths {
      override dataReceived(data: Uint8Array): void {
        sizes.push(data.length);
        super.dataReceived(data);
      }
    }
    await verifyProtocol(() => new Counting(), LINES, { seed, splits: 2, maxBuffer: 0 }).catch(() => {});
    return sizes;
  };
  const first = await count(1);
  assertEquals(await count(1), first);
});

Deno.test("verifyProtocol() rejects wrong arguments", async () => {
  const factory = () => new Lengths();
  const verify = (conversation: unknown, options?: unknown) =>
    verifyProtocol(factory, conversation as Exchange, options as Record<string, never>);
  await assertRejects(() => verify([]), RangeError, "conversation must have at least one exchange");
  await assertRejects(() => verify("text"), TypeError, 'conversation must be { send, expect }, got string "text"');
  await assertRejects(() => verify([{ send: 1 }]), TypeError, "conversation[0].send must be");
  await assertRejects(() => verify({ sent: "" }), TypeError, "conversation.sent is not an option");
  await assertRejects(() => verify(LINES, { within: -1 }), RangeError, "within must be");
  await assertRejects(() => verify(LINES, { splits: 1.5 }), RangeError, "splits must be");
});
