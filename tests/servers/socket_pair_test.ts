import { assert, assertEquals } from "../std.ts";
import { socketPair } from "../../mod.ts";
import { runProgram } from "../program.ts";
import { bytes, loop, pattern, Recorder, tempPath, text, turn } from "../kit.ts";

Deno.test("socketPair() makes two sockets that are connected to each other, both ways", async () => {
  const [a, b] = await socketPair();
  using _a = a;
  using _b = b;
  const buffer = new Uint8Array(10);
  for (const [from, to] of [[a, b], [b, a]] as const) {
    assertEquals(await from.write(bytes("hello")), 5);
    assertEquals(text(buffer.subarray(0, (await to.read(buffer))!)), "hello");
  }
  // What one has still to say arrives when the other has fallen silent.
  await a.closeWrite();
  assertEquals(await b.read(buffer), null);
  await b.write(bytes("answer"));
  assertEquals(text(buffer.subarray(0, (await a.read(buffer))!)), "answer");
});

Deno.test("socketPair() makes pairs that are never mixed up, however many at once", async () => {
  const pairs = await Promise.all(Array.from({ length: 20 }, () => socketPair()));
  const buffer = new Uint8Array(1);
  for (const [i, [a]] of pairs.entries()) await a.write(new Uint8Array([i]));
  for (const [i, [, b]] of pairs.entries()) {
    await b.read(buffer);
    assertEquals(buffer[0], i);
  }
  for (const conn of pairs.flat()) conn.close();
});

Deno.test("socketPair() serves transports at both ends", async () => {
  const [a, b] = await socketPair();
  const [near, nearSide] = await loop.createConnection(() => new Recorder(), { conn: a });
  const [, farSide] = await loop.connectAcceptedSocket(() => new Recorder(), b);
  const data = pattern(1024 * 1024);
  near.write(data);
  await farSide.untilReceived(data.length);
  near.close();
  await farSide.untilLost();
  await nearSide.untilLost();
  await turn();
  assertEquals(farSide.data, data);
});

/** A program that makes a pair, uses it and tells what kind it is and what lies in the folder for temporary files. */
const PROGRAM = `
  import { socketPair } from "@tandem/io";
  const [a, b] = await socketPair();
  await a.write(new Uint8Array([5]));
  const buffer = new Uint8Array(1);
  await b.read(buffer);
  console.log(buffer[0], a.localAddr.transport, b.localAddr.transport);
  a.close();
  b.close();
`;

Deno.test("socketPair() leaves nothing on disk, while it is open and afterwards", async () => {
  using temp = tempPath("tmp");
  Deno.mkdirSync(temp.path);
  const { code, stdout, stderr } = await runProgram(
    `Deno.env.set("TMPDIR", ${JSON.stringify(temp.path)});
    const { socketPair } = await import("@tandem/io");
    const list = () => [...Deno.readDirSync(${JSON.stringify(temp.path)})].length;
    const pair = await socketPair();
    const open = list();
    for (const conn of pair) conn.close();
    await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(pair.map((conn) => conn.localAddr.transport).join(), open, list());`,
    { flags: ["-A"] },
  );
  assertEquals([code, stdout, stderr], [0, "unix,unix 0 0\n", ""]);
});

Deno.test("socketPair() makes do with --allow-net, asks for nothing, and meets over TCP", async () => {
  const { code, stdout, stderr } = await runProgram(PROGRAM, { flags: ["--allow-net"] });
  assertEquals([code, stdout, stderr], [0, "5 tcp tcp\n", ""]);
});

Deno.test("socketPair() with no permission rejects with NotCapable", async () => {
  const { code, stdout } = await runProgram(`
    import { socketPair } from "@tandem/io";
    await socketPair().catch((error) => console.log(error instanceof Deno.errors.NotCapable));
  `);
  assertEquals([code, stdout], [0, "true\n"]);
});

Deno.test("socketPair() returns sockets that no other program has connected to", async () => {
  const [a, b] = await socketPair();
  if (Deno.build.os !== "windows") {
    // A Unix socket whose file is gone cannot be connected to.
    assert("path" in b.localAddr);
    const path = (b.localAddr as Deno.UnixAddr).path;
    assertEquals(await Deno.stat(path).then(() => "there", (error: Error) => error.name), "NotFound");
  }
  a.close();
  b.close();
});
