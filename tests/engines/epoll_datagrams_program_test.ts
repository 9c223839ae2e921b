/** Programs with datagrams over the epoll engine: permissions hold as on Deno's sockets, and programs end by themselves. */
import { libcPaths } from "../../engines/epoll/libc.ts";
import { tempPath } from "../kit.ts";
import { runProgram } from "../program.ts";
import { assertEquals } from "../std.ts";
import { epollTest } from "./epoll_kit.ts";

const PRELUDE = `
  import { EventLoop } from "@tandem/io";
  import { DenoEngine } from ${JSON.stringify(import.meta.resolve("../../engines/deno/mod.ts"))};
  import { EpollEngine } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
  const over = (engine) => new EventLoop({ engine });
  /** Opens an endpoint, sends, and returns what went wrong. */
  async function send(loop, options, addr = null) {
    const { promise, resolve } = Promise.withResolvers();
    let transport;
    try {
      [transport] = await loop.createDatagramEndpoint(() => ({ errorReceived: resolve }), options);
    } catch (error) {
      return "open: " + error.name;
    }
    transport.sendto(new Uint8Array(1), addr);
    const idle = async () => {
      while (transport.getWriteBufferSize() > 0) await new Promise((next) => setTimeout(next, 1));
      await new Promise((next) => loop.callSoon(() => loop.callSoon(next)));
      return null;
    };
    const error = await Promise.race([promise, idle()]);
    transport.close();
    return error === null ? "sent" : "send: " + error.name;
  }
`;

async function run(source: string, flags: string[], args: string[] = []): Promise<string> {
  const { code, stdout, stderr } = await runProgram(PRELUDE + source, {
    flags: ["--no-prompt", "--unstable-net", ...flags],
    args,
  });
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

const ROWS = `
  const [port, directory] = [9, Deno.args[0]];
  const local = { hostname: "127.0.0.1", port: 0 };
  const to = (hostname) => ({ transport: "udp", hostname, port });
  const calls = {
    ...Object.fromEntries(["127.0.0.1", "localhost", "127.0.0.2", "::ffff:127.0.0.1"].map((hostname) => [
      "send to " + hostname, (loop) => send(loop, { localAddr: local }, to(hostname)),
    ])),
    "remoteAddr": (loop) => send(loop, { remoteAddr: { hostname: "127.0.0.1", port } }),
    "remoteAddr and localAddr": (loop) => send(loop, { localAddr: local, remoteAddr: { hostname: "127.0.0.1", port } }),
    "no address": (loop) => send(loop, {}, to("127.0.0.1")),
    "local name": (loop) => send(loop, { localAddr: { hostname: "localhost", port: 0 } }, to("127.0.0.1")),
    "send to a path": (loop) => send(loop, { remoteAddr: { path: directory + "/missing" } }),
    "bind a path": (loop) => send(loop, { localAddr: { path: directory + "/own" } }, { path: directory + "/missing" }),
  };
  const different = [];
  for (const [name, call] of Object.entries(calls)) {
    const [deno, epoll] = [await call(over(new DenoEngine())), await call(over(new EpollEngine()))];
    // What is allowed may be refused by the system, sooner on a connected socket.
    const isRefused = (result) => result.includes("NotCapable");
    if (isRefused(deno) !== isRefused(epoll)) different.push(name + ": " + deno + " / " + epoll);
  }
  console.log(different.join("\\n"));
`;

const FLAGS = [
  ["--allow-net"],
  ["--allow-net", "--deny-net=127.0.0.1"],
  ["--allow-net", "--deny-net=127.0.0.1:9"],
  ["--allow-net", "--deny-net=localhost"],
  ["--allow-net=127.0.0.1"],
  ["--allow-net=127.0.0.1:9"],
  ["--allow-net=127.0.0.1:0,127.0.0.1:9"],
  ["--allow-net=0.0.0.0,127.0.0.1:9"],
  ["--allow-net=127.0.0.1:0,localhost"],
  ["--allow-net", "--allow-read", "--allow-write"],
  ["--allow-net", "--allow-read"],
  ["--allow-read", "--allow-write"],
  [],
];

for (const flags of FLAGS) {
  epollTest(`datagrams need the permissions that Deno's need, with ${flags.join(" ") || "none"}`, async () => {
    using temp = tempPath();
    assertEquals(await run(ROWS, ["--allow-ffi", "--allow-sys", ...flags], [temp.directory]), "\n");
  });
}

epollTest("sendto() is errorReceived(NotCapable) as soon as the permission is revoked", async () => {
  const stdout = await run(
    `
      const loop = over(new EpollEngine());
      const errors = [];
      const [transport] = await loop.createDatagramEndpoint(() => ({ errorReceived: ({ name }) => errors.push(name) }), {
        localAddr: { hostname: "127.0.0.1", port: 0 },
      });
      const addr = { transport: "udp", hostname: "127.0.0.1", port: 9 };
      transport.sendto(new Uint8Array(1), addr);
      Deno.permissions.revokeSync({ name: "net" });
      transport.sendto(new Uint8Array(1), addr);
      await new Promise((next) => loop.callSoon(() => loop.callSoon(next)));
      transport.sendto(new Uint8Array(1), addr);
      transport.close();
      await new Promise((next) => loop.callSoon(() => loop.callSoon(next)));
      console.log(errors.join());
    `,
    ["--allow-ffi", "--allow-net"],
  );
  assertEquals(stdout, "NotCapable,NotCapable\n");
});

epollTest("datagrams work with --allow-ffi=PATH", async () => {
  const path = libcPaths().find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  })!;
  const stdout = await run(
    `
      const loop = over(new EpollEngine());
      const echoed = Promise.withResolvers();
      let server;
      [server] = await loop.createDatagramEndpoint(() => ({ datagramReceived: (data, addr) => server.sendto(data, addr) }), {
        localAddr: { hostname: "127.0.0.1", port: 0 },
      });
      const [client] = await loop.createDatagramEndpoint(() => ({ datagramReceived: (data) => echoed.resolve(data) }), {
        remoteAddr: server.getExtraInfo("sockname"),
      });
      client.sendto(new Uint8Array([1, 2, 3]));
      console.log((await echoed.promise).join());
      client.close();
      server.close();
    `,
    [`--allow-ffi=${path}`, "--allow-net"],
  );
  assertEquals(stdout, "1,2,3\n");
});

epollTest("a program ends by itself once its endpoints are closed or do not keep it alive", async () => {
  for (const end of ["close()", "abort()", "unref()"]) {
    const stdout = await run(
      `
        const loop = over(new EpollEngine());
        const localAddr = { hostname: "127.0.0.1", port: 0 };
        const [transport] = await loop.createDatagramEndpoint(() => ({}), { localAddr });
        // Lets the reactor park: it does after at most a millisecond without an event.
        await new Promise((resolve) => setTimeout(resolve, 20));
        transport.${end};
        console.log("done");
      `,
      ["--allow-ffi", "--allow-net"],
    );
    assertEquals(stdout, "done\n");
  }
});
