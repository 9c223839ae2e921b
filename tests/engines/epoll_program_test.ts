/** Programs over the epoll engine: they end by themselves, sleep while nothing happens, and share nothing by accident. */
import { runProgram } from "../program.ts";
import { assertEquals } from "../std.ts";
import { epollTest } from "./epoll_kit.ts";

const PRELUDE = `
  import { getRunningLoop, Protocol, SubprocessProtocol, type Transport } from "@tandem/io";
  import { install } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
  install();
  const loop = getRunningLoop();
  class Echo extends Protocol {
    transport!: Transport;
    override connectionMade(transport: Transport) { this.transport = transport; }
    override dataReceived(data: Uint8Array) { this.transport.write(data); }
  }
  const server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
  const connect = async () => (await loop.createConnection(() => new Protocol(), { port: server.port }))[0];
  /** Lets the reactor park: it does after at most a millisecond without an event. */
  const parked = () => new Promise((resolve) => setTimeout(resolve, 20));
`;

/** Runs a program and returns what it prints. */
async function run(source: string, ...flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(PRELUDE + source, { flags: ["-A", ...flags] });
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

epollTest("install() returns the same loop until getRunningLoop() has returned it, and throws afterwards", async () => {
  const { stdout, stderr } = await runProgram(
    `
    import { EventLoop, getRunningLoop, InvalidStateError, setRunningLoop } from "@tandem/io";
    import { install } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
    const first = install();
    console.log(install() === first);
    setRunningLoop(new EventLoop());
    const second = install();
    console.log(second === first, getRunningLoop() === second);
    try {
      install();
    } catch (error) {
      console.log(error instanceof InvalidStateError, error.message);
    }
  `,
    { flags: ["-A"] },
  );
  const message = "install() must be called before getRunningLoop(), which has returned a loop";
  assertEquals([stdout, stderr], [`true\nfalse true\ntrue ${message}\n`, ""]);
});

epollTest("a program ends by itself when its last connection and server are closed", async () => {
  const stdout = await run(`
    const transport = await connect();
    await parked();
    transport.close();
    server.close();
    await server.waitClosed();
    console.log("closed");
  `);
  assertEquals(stdout, "closed\n");
});

epollTest("a program ends by itself when what is left does not keep it alive, parked or not", async () => {
  for (const wait of ["", "await parked();"]) {
    const stdout = await run(`
      const transport = await connect();
      ${wait}
      transport.unref();
      server.unref();
      transport.ref();
      transport.unref();
      ${wait}
      addEventListener("unload", () => console.log("ends"));
      // The accepted side is the server's.
      loop.callLater(60_000, () => console.log("goes on")).unref();
      server.closeClients();
    `);
    assertEquals(stdout, "ends\n");
  }
});

epollTest("an unref'd server serves while something else keeps the program alive", async () => {
  const stdout = await run(`
    server.unref();
    const conn = await Deno.connect({ port: server.port });
    await conn.write(new TextEncoder().encode("hello"));
    const buffer = new Uint8Array(16);
    const count = await conn.read(buffer);
    console.log(new TextDecoder().decode(buffer.subarray(0, count!)));
    conn.close();
  `);
  assertEquals(stdout, "hello\n");
});

epollTest("a child inherits no descriptor of the engine", async () => {
  const stdout = await run(`
    const transports = [await connect(), await connect()];
    const mine = (pid: string) => [...Deno.readDirSync(\`/proc/\${pid}/fd\`)].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(\`/proc/\${pid}/fd/\${name}\`)];
      } catch {
        return [];
      }
    }).filter((link) => /socket|eventpoll|eventfd/.test(link));
    const ours = new Set(mine("self"));
    class Child extends SubprocessProtocol {
      lost = Promise.withResolvers<void>();
      override connectionLost() { this.lost.resolve(); }
    }
    const [child, protocol] = await loop.subprocessExec(() => new Child(), "sleep", { args: ["60"], stdin: "null", stdout: "null", stderr: "null" });
    console.log(ours.size > 4, mine(String(child.getPid())).filter((link) => ours.has(link)));
    child.kill();
    await protocol.lost.promise;
    for (const transport of transports) transport.close();
    server.close();
  `);
  assertEquals(stdout, "true []\n");
});

epollTest("a signal while parked runs its handler, and nothing else ends", async () => {
  const stdout = await run(`
    const transport = await connect();
    await parked();
    const signalled = Promise.withResolvers<void>();
    loop.addSignalHandler("SIGUSR1", () => signalled.resolve());
    Deno.kill(Deno.pid, "SIGUSR1");
    await signalled.promise;
    loop.removeSignalHandler("SIGUSR1");
    console.log(transport.isClosing(), server.isServing());
    transport.close();
    server.close();
  `);
  assertEquals(stdout, "false true\n");
});

epollTest("a peer that is gone raises no SIGPIPE, which would end the program", async () => {
  const stdout = await run(`
    // Without its listener, Deno leaves the signal to its default action: the end of the process.
    const listener = () => {};
    Deno.addSignalListener("SIGPIPE", listener);
    Deno.removeSignalListener("SIGPIPE", listener);
    const lost = Promise.withResolvers<Error | null>();
    const [transport] = await loop.createConnection(() => ({ connectionLost: lost.resolve }), { port: server.port });
    transport.pauseReading();
    await new Promise((resolve) => setTimeout(resolve, 5));
    server.abortClients();
    server.close();
    const timer = setInterval(() => transport.write(new Uint8Array(100_000)), 1);
    console.log((await lost.promise)?.name);
    clearInterval(timer);
  `);
  assertEquals(stdout === "BrokenPipe\n" || stdout === "ConnectionReset\n", true, stdout);
});

epollTest("a parked process uses no processor, with a thousand connections open", async () => {
  const stdout = await run(
    `
    const transports = [];
    for (let i = 0; i < 1000; i++) transports.push(await connect());
    await parked();
    const used = () => Deno.readTextFileSync("/proc/self/stat").split(") ")[1].split(" ").slice(11, 13).map(Number).reduce((a, b) => a + b);
    const before = used();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // In hundredths of a second. A reactor that polls would use 30.
    console.log(used() - before <= 2);
    for (const transport of transports) transport.abort();
    server.close();
  `,
  );
  assertEquals(stdout, "true\n");
});

epollTest("each worker has an engine of its own, and ends by itself", async () => {
  const stdout = await run(`
    const source = \`
      import { EventLoop, Protocol } from "@tandem/io";
      import { EpollEngine } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
      const loop = new EventLoop({ engine: new EpollEngine() });
      const received = Promise.withResolvers<Uint8Array>();
      const lost = Promise.withResolvers<Error | null>();
      const protocol = { dataReceived: received.resolve, connectionLost: lost.resolve };
      const [transport] = await loop.createConnection(() => protocol, { port: Number(self.name) });
      transport.write(new TextEncoder().encode("worker"));
      self.postMessage(new TextDecoder().decode(await received.promise));
      transport.close();
      // A worker that is closed or terminated leaves its descriptors open.
      await lost.promise;
      loop.callSoon(() => self.close());
    \`;
    const url = URL.createObjectURL(new Blob([source], { type: "application/typescript" }));
    const say = () => new Promise((resolve) => {
      const worker = new Worker(url, { type: "module", name: String(server.port) });
      worker.onmessage = ({ data }) => resolve(data);
    });
    console.log(await Promise.all([say(), say(), say()]));
    server.close();
  `);
  assertEquals(stdout, `[ "worker", "worker", "worker" ]\n`);
});

epollTest("the engine works with --allow-ffi=PATH, and install() without it names the flag", async () => {
  const { libcPaths } = await import("../../engines/epoll/libc.ts");
  const path = libcPaths().find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  })!;
  const source = `
    const transport = await connect();
    transport.close();
    server.close();
    console.log("worked");
  `;
  const flags = ["--allow-net=127.0.0.1", `--allow-ffi=${path}`];
  assertEquals(await runProgram(PRELUDE + source, { flags }), { code: 0, stdout: "worked\n", stderr: "" });
  const { code, stderr } = await runProgram(PRELUDE + source, { flags: ["--allow-net"] });
  assertEquals(code, 1);
  assertEquals(
    /NotCapable: EpollEngine needs the permission to use FFI: run again with --allow-ffi/.test(stderr),
    true,
  );
});
