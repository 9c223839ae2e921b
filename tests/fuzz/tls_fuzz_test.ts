/** A little of what `deno task soak` does for minutes: handshakes with something wrong on the wire. */
import { assertEquals } from "../std.ts";
import { describeCase, fuzz } from "./fuzz.ts";

Deno.test("nothing on the wire of TLS ends the process, reaches another connection, or is left behind", async () => {
  const { problems, handshakes } = await fuzz({ seed: 9, from: 0, count: 300, atOnce: 32, sockets: true });
  assertEquals(problems.map(({ problem, cases }) => `${problem}\n${cases.map(describeCase).join("\n")}`), []);
  assertEquals(handshakes, 300);
});
