/** unref() lets a program end by itself while something is open, and ref() takes that back. */
import { certs, runProgram } from "../program.ts";
import { assertEquals } from "../std.ts";

/** A server whose every accept() fails as `how` says, so that it pauses for a second each time. */
function failing(how: string): string {
  return `const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 }); server.unref();
    const error = Object.assign(new Error("no descriptor is left"), { code: "EMFILE" });
    listener.accept = () => ${how};
    const failed = Promise.withResolvers<void>();
    loop.setExceptionHandler(() => failed.resolve());
    const opened = await loop.createServer(factory, { listener });`;
}

/** Opens something, which `opened` names. What is shared by all: a server of their own to talk to. */
const OPENED: Record<string, string> = {
  "a server": `const opened = server;`,
  "a Unix server":
    `const opened = await loop.createUnixServer(() => new Protocol(), { path: "PATH" }); server.unref();`,
  "a server that pauses after a failed accept()": `${failing("Promise.reject(error)")} await failed.promise;`,
  "a server whose accept() fails afterwards": failing("new Promise((_, reject) => setTimeout(reject, 0, error))"),
  "a client": `const [opened] = await loop.createConnection(() => new Protocol(), { port: server.port });
    server.unref(); (await accepted.promise).unref();`,
  "a client that upgrades to TLS, with a silent peer":
    `const [opened] = await loop.createConnection(() => new Protocol(), { port: server.port });
    server.unref(); (await accepted.promise).unref();
    loop.startTls(opened, new Protocol(), { serverHostname: "localhost" }).catch(() => {});
    await received.promise;`,
  "an endpoint": `const [opened] = await loop.createDatagramEndpoint(() => ({})); server.unref();`,
  "a child": `const options = { args: ["60"], stdin: "null", stdout: "null", stderr: "null" } as const;
    const [opened] = await loop.subprocessExec(() => ({}), "sleep", options);
    addEventListener("unload", () => opened.kill()); server.unref();`,
  "a timer": `const opened = loop.callLater(60_000, () => {}); server.unref();`,
};

/** Runs a program that opens something and lets go of it; a timer that does not keep it alive ends one that goes on. */
async function run(what: string, then: string, watchMs = 20_000): Promise<string> {
  const directory = Deno.makeTempDirSync();
  try {
    const { stdout, stderr } = await runProgram(
      `
      import { getRunningLoop, Protocol, type Transport } from "@tandem/io";
      const loop = getRunningLoop();
      const accepted = Promise.withResolvers<Transport>();
      const received = Promise.withResolvers<void>();
      const factory = () => ({
        connectionMade: (transport: Transport) => accepted.resolve(transport),
        dataReceived: () => received.resolve(),
      });
      const server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0 });
      ${OPENED[what]!.replace("PATH", `${directory}/socket`)}
      ${then}
      const watch = setTimeout(() => { console.log("goes on"); Deno.exit(); }, ${watchMs});
      Deno.unrefTimer(watch);
      addEventListener("unload", () => console.log("ends"));
    `,
      { flags: ["-A", "--unstable-net"] },
    );
    assertEquals(stderr, "");
    return stdout;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

for (const what of Object.keys(OPENED)) {
  Deno.test(`unref() of ${what} lets the program end, and ref() keeps it alive again`, async () => {
    assertEquals(await run(what, "opened.unref();"), "ends\n");
    assertEquals(await run(what, "opened.unref(); opened.ref();", 200), "goes on\nends\n");
  });
}

Deno.test("unref() of a client that writes lets the program end only once all is written", async () => {
  OPENED["a client that writes"] =
    `const [opened] = await loop.createConnection(() => new Protocol(), { port: server.port });
    server.unref(); const peer = await accepted.promise; peer.unref(); peer.pauseReading();
    opened.write(new Uint8Array(16 * 1024 * 1024));`;
  assertEquals(await run("a client that writes", "opened.unref();", 200), "goes on\nends\n");
  assertEquals(await run("a client that writes", "opened.unref(); peer.resumeReading();"), "ends\n");
});

Deno.test("unref() of a TLS client that waits for the peer's close_notify lets the program end", async () => {
  const what = "a TLS client with a silent peer";
  OPENED[what] = `server.unref();
    const read = (name: string) => Deno.readTextFileSync("${certs}" + name);
    const tls = { cert: read("server.pem"), key: read("server.key") };
    const silent = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, tls });
    const trust = { caCerts: [read("ca.pem")], serverHostname: "localhost" };
    const [opened] = await loop.createConnection(() => new Protocol(), { port: silent.port, tls: trust });
    const peer = await accepted.promise; peer.pauseReading(); peer.unref(); silent.unref();`;
  assertEquals(await run(what, "opened.unref(); opened.close();"), "ends\n");
  assertEquals(await run(what, "opened.close(); opened.unref();"), "ends\n");
  assertEquals(await run(what, "opened.unref(); opened.close(); opened.ref();", 200), "goes on\nends\n");
});
