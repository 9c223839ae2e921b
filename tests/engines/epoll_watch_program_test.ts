/** A program that watches its standard input by addReader(). */
import { assertEquals } from "../std.ts";
import { bytes, text } from "../kit.ts";
import { program } from "../program.ts";
import { epollTest } from "./epoll_kit.ts";

epollTest("addReader() keeps the process alive until removeReader(), and nothing does afterwards", async () => {
  using watching = program(
    `import { install } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
    const loop = install();
    const buffer = new Uint8Array(100);
    loop.addReader(0, () => {
      const count = Deno.stdin.readSync(buffer);
      console.log(count === null ? "end" : new TextDecoder().decode(buffer.subarray(0, count)));
      if (count === null) loop.removeReader(0);
    });`,
    { flags: ["--allow-ffi"] },
  );
  const child = watching.command({ stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  await writer.write(bytes("hello"));
  assertEquals(text((await reader.read()).value!), "hello\n");
  await writer.close();
  assertEquals(text((await reader.read()).value!), "end\n");
  assertEquals([(await reader.read()).done, text(new Uint8Array(await new Response(child.stderr).arrayBuffer()))], [
    true,
    "",
  ]);
  assertEquals((await child.status).code, 0);
});
