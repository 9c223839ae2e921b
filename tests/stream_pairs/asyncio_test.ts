/** StreamReader beside asyncio's: the same pieces and the same reads give the same bytes, errors and pauses. */
import { assertEquals, assertGreater } from "../std.ts";
import { IncompleteReadError, LimitOverrunError, type StreamReader } from "../../streams/mod.ts";
import { makeRandom, turn } from "../kit.ts";
import { execute, foreign } from "../program.ts";
import { fedReader } from "./kit.ts";

type Name = "read" | "readexactly" | "readuntil" | "readline";

interface Case {
  limit: number;
  /** In hexadecimal. */
  pieces: string[];
  reads: [Name, number | string | null][];
}

/** Makes a case at random, of few different bytes, so that separators occur whole and in part. */
function makeCase(seed: number): Case {
  const random = makeRandom(seed);
  const alphabet = [10, 13, 59, 120];
  const hex = (length: number) => Uint8Array.from({ length }, () => alphabet[random(4)]!).toHex();
  const reads = Array.from({ length: 8 }, (): [Name, number | string | null] => {
    switch (random(8)) {
      case 0:
        return ["read", random(12)];
      case 1:
        return random(4) === 0 ? ["read", null] : ["read", 1 + random(40)];
      case 2:
      case 3:
        return ["readexactly", random(30)];
      case 4:
      case 5:
        return ["readuntil", hex(1 + random(3))];
      default:
        return ["readline", null];
    }
  });
  return { limit: 1 + random(12), pieces: Array.from({ length: random(12) }, () => hex(1 + random(20))), reads };
}

function call(reader: StreamReader, name: Name, argument: number | string | null): Promise<Uint8Array> {
  switch (name) {
    case "read":
      return argument === null ? reader.read() : reader.read(argument as number);
    case "readexactly":
      return reader.readExactly(argument as number);
    case "readuntil":
      return reader.readUntil(Uint8Array.fromHex(argument as string));
    case "readline":
      return reader.readLine();
  }
}

async function outcome(name: Name, reading: Promise<Uint8Array>): Promise<unknown> {
  try {
    return (await reading).toHex();
  } catch (error) {
    if (error instanceof IncompleteReadError) return ["incomplete", error.partial.toHex(), error.expected];
    // asyncio's readline() raises a ValueError instead.
    if (error instanceof LimitOverrunError) return name === "readline" ? ["limit"] : ["limit", error.consumed];
    throw error;
  }
}

async function run({ limit, pieces, reads }: Case): Promise<unknown[][]> {
  const { protocol, reader, calls } = fedReader({ limit });
  const left = pieces.map((piece) => Uint8Array.fromHex(piece));
  const results: unknown[][] = [];
  for (const [name, argument] of reads) {
    let done = false;
    const result = outcome(name, call(reader, name, argument)).finally(() => done = true);
    await turn();
    while (!done) {
      if (left.length > 0) protocol.dataReceived(left.shift()!);
      else protocol.eofReceived();
      await turn();
    }
    results.push([await result, reader.atEof(), calls.at(-1) === "pause", left.length]);
  }
  return results;
}

foreign("python3", "StreamReader does what asyncio's does, with 500 random streams", async () => {
  const cases = Array.from({ length: 500 }, (_, seed) => makeCase(seed));
  const input = cases.map((one) => `${JSON.stringify(one)}\n`).join("");
  const script = new URL("reader.py", import.meta.url).pathname;
  const { code, stdout, stderr } = await execute("python3", [script], input);
  assertEquals([code, stderr], [0, ""]);
  const expected = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(expected.length, cases.length);
  let compared = 0;
  for (const [seed, one] of cases.entries()) {
    // readExactly() moves bytes out of the queue as they come, so it pauses the transport less often.
    const pauses = !one.reads.some(([name]) => name === "readexactly");
    const [actual, other] = [await run(one), expected[seed]].map((results) =>
      pauses ? results : results.map(([result, atEof, , left]: unknown[]) => [result, atEof, left])
    );
    assertEquals(actual, other, JSON.stringify(one));
    if (pauses) compared++;
  }
  assertGreater(compared, 30);
});
