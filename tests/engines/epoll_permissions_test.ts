/** The permissions of Deno hold on the epoll engine as on Deno's sockets, row by row; and what --allow-ffi gives. */
import { libcPaths } from "../../engines/epoll/libc.ts";
import { assert, assertEquals } from "../std.ts";
import { hasIpv6, tempPath } from "../kit.ts";
import { runProgram } from "../program.ts";
import { epollTest, supported } from "./epoll_kit.ts";

const PRELUDE = `
  import { EventLoop, getRunningLoop, Protocol } from "@tandem/io";
  import { DenoEngine } from ${JSON.stringify(import.meta.resolve("../../engines/deno/mod.ts"))};
  import { EpollEngine, install } from ${JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"))};
  const factory = () => new Protocol();
`;

/** The C library that this system has. */
const LIBC = supported
  ? libcPaths().find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  })!
  : "";

async function outputOf(source: string, flags: string[], args: string[] = []): Promise<string> {
  const { code, stdout, stderr } = await runProgram(PRELUDE + source, { flags, args });
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** What each engine says to each call. A call that resolves is closed. */
const ROWS = `
  const [port, other, directory] = [Number(Deno.args[0]), Number(Deno.args[1]), Deno.args[2]];
  const hosts = ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "::ffff:127.0.0.1", "::1", "[::1]", "0:0:0:0:0:0:0:1"];
  const paths = [
    directory + "/socket", directory + "/other", directory + "/deep/../socket", directory + "/link", directory + "/bad/socket",
    directory + "//deep/.//socket", "/dev/tandem-test", "/proc/../tmp/tandem-test", "relative", "\\0tandem-test-" + port,
  ];
  const calls = {
    ...Object.fromEntries(hosts.map((hostname) => [
      "connect " + hostname, (loop) => loop.createConnection(factory, { hostname, port }),
    ])),
    "connect to another port": (loop) => loop.createConnection(factory, { port: other }),
    ...Object.fromEntries([...hosts, "0.0.0.0", "::"].map((hostname) => [
      "listen " + hostname, (loop) => loop.createServer(factory, { hostname, port: 0 }),
    ])),
    "listen at a port": (loop) => loop.createServer(factory, { hostname: "127.0.0.1", port: other }),
    "listen at two hosts": (loop) => loop.createServer(factory, { hostname: ["127.0.0.1", "localhost", "::1"], port: 0 }),
    ...Object.fromEntries(paths.map((path) => [
      "connect " + path, (loop) => loop.createUnixConnection(factory, { path }),
    ])),
    // Not the default engine, which binds a temporary name.
    ...Object.fromEntries(paths.map((path) => [
      "listen " + path,
      async (loop) => loop === loops[0] ? Deno.listen({ transport: "unix", path }) : await loop.createUnixServer(factory, { path }),
    ])),
  };
  const loops = [new EventLoop({ engine: new DenoEngine() }), new EventLoop({ engine: new EpollEngine() })];
  const said = {};
  for (const [name, call] of Object.entries(calls)) {
    said[name] = [];
    for (const loop of loops) {
      try {
        const made = await call(loop);
        if (Array.isArray(made)) made[0].abort();
        else {
          made.close();
          await made.waitClosed?.();
        }
        said[name].push("granted");
      } catch (error) {
        const what = error instanceof Deno.errors.NotCapable ? error.message : "granted, " + error.code;
        said[name].push(error.constructor.name + ": " + what);
      }
    }
  }
  console.log(JSON.stringify(said));
`;

/** Where the engine refuses more than Deno, which does not see that the address is a denied one. */
const STRICTER: Record<string, string[]> = {
  "--allow-net=127.0.0.1 --deny-net=127.0.0.0/8": ["connect ::ffff:127.0.0.1", "listen ::ffff:127.0.0.1"],
  "--allow-net=127.0.0.1:PORT,localhost:PORT --deny-net=127.0.0.1": ["connect ::ffff:127.0.0.1"],
};

const FLAGS = [
  "",
  "--allow-net",
  "--allow-net=127.0.0.1",
  "--allow-net=127.0.0.1:PORT",
  "--allow-net=127.0.0.1:0,127.0.0.1:OTHER",
  "--allow-net=localhost",
  "--allow-net=localhost:PORT",
  "--allow-net=localhost:0",
  "--allow-net=127.1,LOCALHOST:PORT",
  "--allow-net=[::1]",
  "--allow-net=[::1]:PORT,[::ffff:127.0.0.1]:PORT",
  "--allow-net=0.0.0.0,[::]",
  "--allow-net=127.0.0.0/8",
  "--deny-net",
  "--allow-net --deny-net=127.0.0.1",
  "--allow-net --deny-net=127.0.0.1:PORT",
  "--allow-net --deny-net=localhost",
  "--allow-net --deny-net=[::1]",
  "--allow-net --deny-net=127.0.0.0/8",
  "--allow-net=127.0.0.1:PORT,localhost:PORT --deny-net=127.0.0.1",
  "--allow-net=127.0.0.1 --deny-net=127.0.0.0/8",
  "--allow-net --allow-read",
  "--allow-net --allow-write",
  "--allow-net --allow-read --allow-write",
  "--allow-net --allow-read=DIR --allow-write=DIR",
  "--allow-net --allow-read=DIR/socket,DIR/other --allow-write=DIR/socket",
  "--allow-net --allow-read --allow-write --deny-read=DIR/socket",
  "--allow-net --allow-read --allow-write --deny-write=DIR/deep,DIR/link",
  "--allow-net --deny-net=127.0.0.1 --allow-read --allow-write",
  "--allow-net=unix:DIR/socket --allow-read --allow-write",
  "--allow-net=unix:DIR/link,unix:DIR/deep/../other --allow-read --allow-write",
  "--allow-net --deny-net=unix:DIR/socket --allow-read --allow-write",
  "--allow-read --allow-write",
  "--allow-all",
  "--allow-all --deny-net",
  "--allow-all --deny-env",
];

epollTest("each set of permissions grants and denies on the epoll engine what it does on Deno's sockets", async () => {
  using temp = tempPath();
  const { directory } = temp;
  using tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = tcp.addr;
  using _ipv6 = hasIpv6() ? Deno.listen({ hostname: "::1", port }) : null;
  using _unix = Deno.listen({ transport: "unix", path: temp.path });
  Deno.mkdirSync(`${directory}/deep`);
  Deno.symlinkSync(temp.path, `${directory}/link`);
  Deno.symlinkSync(`${directory}/deep`, `${directory}/bad`);
  const other = (() => {
    using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
    return listener.addr.port;
  })();
  const fill = (text: string) =>
    text.replaceAll("PORT", String(port)).replaceAll("OTHER", String(other)).replaceAll("DIR", directory);
  const check = async (flags: string) => {
    const words = ["--allow-ffi", ...fill(flags).split(" ")].filter((word) => word !== "");
    const output = await outputOf(ROWS, flags.includes("--allow-all") ? words.slice(1) : words, [
      `${port}`,
      `${other}`,
      directory,
    ]);
    const said = JSON.parse(output) as Record<string, [deno: string, epoll: string]>;
    const differences = Object.entries(said).flatMap(([call, [deno, epoll]]) => {
      if (deno === epoll) return [];
      if (STRICTER[flags]?.includes(call)) {
        assertEquals([deno, epoll.split(":")[0]], ["granted", "NotCapable"], `${flags}: ${call}`);
        return [];
      }
      return [`${flags}: ${call}\n  Deno:  ${deno}\n  epoll: ${epoll}`];
    });
    assert(Object.keys(said).length > 35);
    return differences;
  };

  // One after the other, because they bind the same path and port.
  const differences: string[] = [];
  for (const flags of FLAGS) differences.push(...await check(flags));
  assertEquals(differences.join("\n"), "");
});

epollTest("a path with a zero byte is refused, because the kernel would use a denied part of it", async () => {
  using temp = tempPath();
  const source = `
    const path = Deno.args[0] + "\\0x";
    const loop = new EventLoop({ engine: new EpollEngine() });
    const failures = [];
    for (const call of [
      () => loop.createUnixServer(factory, { path }),
      () => loop.createUnixConnection(factory, { path }),
      () => loop.createDatagramEndpoint(() => ({}), { localAddr: { path } }),
      () => loop.createDatagramEndpoint(() => ({}), { remoteAddr: { path } }),
    ]) await call().catch((error) => failures.push(error.name));
    const [transport] = await loop.createDatagramEndpoint(
      () => ({ errorReceived: (error) => failures.push(error.name), connectionLost: () => console.log(failures.join()) }),
      { localAddr: { path: "\\0tandem\\0" + Deno.pid } },
    );
    transport.sendto(new Uint8Array(1), { transport: "unixpacket", path });
    transport.close();
  `;
  const flags = ["--allow-ffi", "--allow-net", "--allow-read", "--allow-write", `--deny-write=${temp.path}`];
  using _listener = Deno.listen({ transport: "unix", path: temp.path });
  assertEquals(await outputOf(source, flags, [temp.path]), "TypeError,TypeError,TypeError,TypeError,TypeError\n");
  assertEquals([...Deno.readDirSync(temp.directory)].map(({ name }) => name), ["socket"]);
});

epollTest("createConnection() after Deno.permissions.revoke() is refused, and open connections go on", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const source = `
    const loop = new EventLoop({ engine: new EpollEngine() });
    const port = Number(Deno.args[0]);
    const descriptor = JSON.parse(Deno.args[1]);
    const echoed = Promise.withResolvers();
    const client = { dataReceived: (data) => echoed.resolve(data.length) };
    const [transport] = await loop.createConnection(() => client, { port });
    Deno.permissions.revokeSync(descriptor);
    await loop.createConnection(factory, { port }).then(() => console.log("connects"), (error) => console.log(error.name));
    await loop.createServer(factory, { hostname: "127.0.0.1", port: 0 })
      .then((server) => (console.log("listens"), server.close()), (error) => console.log(error.name));
    transport.write(new Uint8Array(5));
    console.log(await echoed.promise);
    transport.abort();
  `;
  const rows = [
    ["--allow-net", { name: "net" }],
    ["--allow-net=127.0.0.1", { name: "net" }],
    ["--allow-net=127.0.0.1", { name: "net", host: "127.0.0.1" }],
  ] as const;
  for (const [flag, descriptor] of rows) {
    const echo = listener.accept().then(async (conn) => {
      await conn.readable.pipeTo(conn.writable);
    });
    const output = await outputOf(source, ["--allow-ffi", flag], [`${port}`, JSON.stringify(descriptor)]);
    assertEquals(output, "NotCapable\nNotCapable\n5\n", `${flag} ${JSON.stringify(descriptor)}`);
    await echo.catch(() => {});
  }
});

epollTest("createConnection() by a localAddr, and createServer() on every interface, need each address", async () => {
  const source = `
    const loop = new EventLoop({ engine: new EpollEngine() });
    const calls = [
      () => loop.createConnection(factory, { port: 1, localAddr: { hostname: "127.0.0.2" } }),
      () => loop.createConnection(factory, { port: 1, localAddr: { port: 2 } }),
      () => loop.createConnection(factory, { port: 1, localAddr: {} }),
      () => loop.createServer(factory, { hostname: null, port: 0 }),
      () => loop.createServer(factory, { hostname: null, port: 0, dualStack: true }),
    ];
    for (const call of calls) {
      await call().then((server) => (console.log("granted"), server.close()), (error) => console.log(error.message));
    }
  `;
  const required = (host: string) => `Requires net access to "${host}", run again with the --allow-net flag`;
  const refused = "createConnection(): cannot connect to 127.0.0.1:1: Connection refused (os error 111)";
  const rows: [flags: string, said: string[]][] = [
    ["--allow-net=127.0.0.1", [
      required("127.0.0.2:0"),
      required("0.0.0.0:2"),
      refused,
      required("0.0.0.0:0"),
      required("[::]:0"),
    ]],
    ["--allow-net=127.0.0.1:1,127.0.0.2,0.0.0.0", [
      refused,
      refused.replace(
        "1:1: Connection refused (os error 111)",
        "1:1: localAddr port 2: Permission denied (os error 13)",
      ),
      refused,
      required("[::]:0"),
      required("[::]:0"),
    ]],
    ["--allow-net=127.0.0.1:1,127.0.0.2:0,[::]", [
      refused,
      required("0.0.0.0:2"),
      refused,
      required("0.0.0.0:0"),
      "granted",
    ]],
  ];
  for (const [flags, said] of rows) {
    const lines = (await outputOf(source, ["--allow-ffi", flags])).trimEnd().split("\n");
    // The administrator may bind port 2.
    const isRoot = Deno.uid() === 0;
    assertEquals(lines, isRoot ? said.map((line) => line.includes("error 13") ? refused : line) : said);
  }
});

// FFI

const ECHO = `
  const [client, server] = [Promise.withResolvers(), Promise.withResolvers()];
  const loop = getRunningLoop();
  server.resolve(await loop.createServer(() => ({
    connectionMade(transport) { this.transport = transport; },
    dataReceived(data) { this.transport.write(data); },
  }), { hostname: "localhost", port: 0 }));
  const listening = await server.promise;
  const [transport] = await loop.createConnection(() => ({ dataReceived: client.resolve }), {
    hostname: "localhost",
    port: listening.port,
  });
  transport.write(new Uint8Array(3));
  console.log((await client.promise).length, typeof transport.getExtraInfo("socket").fd);
  // The error of a call of the C library.
  await loop.createConnection(factory, { port: 1 }).catch((error) => console.log(error.code));
  transport.abort();
  listening.close();
`;

epollTest("install() works with --allow-ffi, and with --allow-ffi=PATH", async () => {
  for (const flag of ["--allow-ffi", `--allow-ffi=${LIBC}`]) {
    assertEquals(await outputOf(`install();${ECHO}`, ["--allow-net", flag]), "3 number\nECONNREFUSED\n", flag);
  }
});

epollTest(
  "install() and EpollEngine() without --allow-ffi throw NotCapable, and isSupported() says why and asks nothing",
  async () => {
    const source = `
    for (const call of [install, () => new EpollEngine()]) {
      try {
        call();
      } catch (error) {
        console.log(error instanceof Deno.errors.NotCapable, error.message);
      }
    }
    // Afterwards the default engine is still to be had.
    console.log(getRunningLoop() instanceof EventLoop);
    Deno.dlopen = Deno.permissions.request = Deno.permissions.requestSync = () => console.log("called");
    console.log(JSON.stringify(EpollEngine.isSupported()));
  `;
    const needed =
      "EpollEngine needs the permission to use FFI: run again with --allow-ffi, or with --allow-ffi=PATH, ";
    for (const flag of ["--allow-net", "--deny-ffi", "--allow-ffi=/nowhere/libc.so.6"]) {
      const lines = (await outputOf(source, [flag])).trimEnd().split("\n");
      assertEquals(lines.length, 4, lines.join("\n"));
      for (const line of lines.slice(0, 2)) assert(line.startsWith(`true ${needed}`), line);
      assertEquals(lines[2], "true");
      const { supported, reason } = JSON.parse(lines[3]!);
      assertEquals([supported, reason.includes("--allow-ffi")], [false, true]);
    }
  },
);
