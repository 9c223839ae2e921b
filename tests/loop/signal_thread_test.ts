/** Deno's thread for signals, which it cannot start any more when descriptors have run out: that ends the process. */
import { assertEquals, assertStringIncludes } from "../std.ts";
import { program, runProgram } from "../program.ts";
import { EventLog, text } from "../kit.ts";

const ignore = Deno.build.os === "windows";

/** A server of which Deno's half second is over when it prints "alive". */
const SERVER = `
import { getRunningLoop } from "@tandem/io";
const loop = getRunningLoop();
loop.setExceptionHandler(({ error }) => console.log(error.code));
const hello = { connectionMade: (transport) => transport.write(new TextEncoder().encode("hello")) };
const server = await loop.createServer(() => hello, { hostname: "127.0.0.1", port: 0 });
console.log("port", server.addresses[0].port);
setTimeout(() => console.log("alive"), 1000);
`;

Deno.test({
  name: "a server whose descriptors strangers use up in its first moment lives, and serves again when they have gone",
  ignore,
  async fn() {
    using made = program(SERVER, { flags: ["--allow-net"], openFiles: 64 });
    await using child = made.command({ stdout: "piped", stderr: "piped" }).spawn();
    const stderr = child.stderr.text();
    const log = new EventLog();
    let output = "";
    const reading = (async () => {
      for await (const chunk of child.stdout) log.add(output += text(chunk));
      // So that what it waits for in vain is seen.
      log.add(output += "the end");
    })();
    const prints = (word: string) => log.until(() => output.includes(word) || output.includes("the end"));
    await prints("port ");
    const port = Number(/port (\d+)/.exec(output)?.[1]);
    // More than it can have, and few enough for the others to fit when they have gone.
    const strangers = await Promise.all(Array.from({ length: 60 }, () => Deno.connect({ port })));
    await prints("EMFILE");
    await prints("alive");
    for (const stranger of strangers) stranger.close();
    if (!output.includes("the end")) {
      using conn = await Deno.connect({ port });
      const buffer = new Uint8Array(5);
      assertEquals([await conn.read(buffer), text(buffer)], [5, "hello"]);
      child.kill("SIGKILL");
    }
    await reading;
    assertEquals(await stderr, "");
    assertStringIncludes(output, "EMFILE\n");
    assertStringIncludes(output, "alive\n");
  },
});

Deno.test({
  name: "createServer() leaves signals as they are, and a listener of the program's in peace",
  ignore,
  async fn() {
    const kill = (signals: string[]) =>
      `for (const signal of ${JSON.stringify(signals)}) Deno.kill(Deno.pid, signal);
      setTimeout(() => {}, 60_000);`;
    const serve = `
      import { getRunningLoop } from "@tandem/io";
      await getRunningLoop().createServer(() => ({}), { hostname: "127.0.0.1", port: 0 });`;
    const flags = ["--allow-net", "--allow-run"];
    for (const signals of [["SIGURG", "SIGWINCH", "SIGCHLD", "SIGTERM"], ["SIGHUP"], ["SIGINT"]]) {
      const without = await runProgram(kill(signals), { flags });
      assertEquals(await runProgram(`${serve}\n${kill(signals)}`, { flags }), without);
      assertEquals([without.stdout, without.stderr], ["", ""]);
    }
    const heard = await runProgram(
      `let count = 0;
      const listener = () => {
        if (++count === 1) return serve();
        console.log("heard again");
        Deno.exit();
      };
      Deno.addSignalListener("SIGURG", listener);
      import { getRunningLoop } from "@tandem/io";
      async function serve() {
        await getRunningLoop().createServer(() => ({}), { hostname: "127.0.0.1", port: 0 });
        Deno.kill(Deno.pid, "SIGURG");
      }
      Deno.kill(Deno.pid, "SIGURG");
      setTimeout(() => {}, 60_000);`,
      { flags },
    );
    assertEquals(heard, { code: 0, stdout: "heard again\n", stderr: "" });
  },
});
