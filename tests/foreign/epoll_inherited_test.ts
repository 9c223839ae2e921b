/**
 * Descriptors that a program inherits on the epoll engine: sockets of socket activation, and standard streams. And what an
 * asyncio peer sees of a reset.
 */
import { Protocol, type Transport } from "../../mod.ts";
import { socketOf } from "../../engines/epoll/mod.ts";
import { assertEquals } from "../std.ts";
import { loop as defaultLoop, Recorder, text, turn } from "../kit.ts";
import { loop as epollLoop } from "../engines/descriptors_kit.ts";
import { epollTest, supported } from "../engines/epoll_kit.ts";
import { execute, foreign as withProgram, program, runProgram } from "../program.ts";

function foreign(name: string, fn: () => Promise<void>): void {
  if (supported) withProgram("python3", name, fn);
  else epollTest(name, fn);
}

const EPOLL = JSON.stringify(import.meta.resolve("../../engines/epoll/mod.ts"));
const ENV = "--allow-env=LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES";

/** Binds two listeners, puts them at 3 and 4, and becomes the program, as a service manager does. */
const ACTIVATE = `
import os, socket, sys
tcp = socket.socket()
tcp.bind(("127.0.0.1", 0))
tcp.listen()
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
os.dup2(tcp.fileno(), 103)
os.dup2(unix.fileno(), 104)
os.dup2(103, 3)
os.dup2(104, 4)
os.closerange(5, 200)
os.environ.update(eval(sys.argv[2]))
if "LISTEN_PID" not in os.environ:
    os.environ["LISTEN_PID"] = str(os.getpid())
print(tcp.getsockname()[1], flush=True)
os.execvp(sys.argv[3], sys.argv[3:])
`;

/** Runs a program by socket activation; leaving the scope ends it. */
async function activate(source: string, flags: string[], environment: Record<string, string>) {
  const directory = Deno.makeTempDirSync({ prefix: "tandem-test-" });
  const path = `${directory}/unix`;
  const made = program(source.replaceAll('"@tandem/io/epoll"', EPOLL), { flags });
  const words = made.words;
  const child = new Deno.Command("python3", {
    args: ["-c", ACTIVATE, path, JSON.stringify(environment), ...words],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let output = "";
  const chunks = child.stdout[Symbol.asyncIterator]();
  const until = async (done: () => boolean) => {
    while (!done()) {
      const { value, done: ended } = await chunks.next();
      if (ended) break;
      output += text(value);
    }
  };
  await until(() => output.includes("\n"));
  return {
    path,
    port: parseInt(output),
    /** The lines of the program until its end. */
    async lines(): Promise<string[]> {
      await until(() => false);
      return output.trim().split("\n").slice(1);
    },
    async untilLine(line: string): Promise<void> {
      await until(() => output.includes(`${line}\n`));
    },
    status: child.status,
    async [Symbol.asyncDispose](): Promise<void> {
      await until(() => false);
      await child.status;
      made[Symbol.dispose]();
      Deno.removeSync(directory, { recursive: true });
    },
  };
}

const SERVE = `
import { getRunningLoop } from "@tandem/io";
import { install, listenFds } from "@tandem/io/epoll";

install();
const passed = listenFds();
console.log(JSON.stringify(passed));
let left = 2;
const factory = () => ({
  connectionMade(transport) {
    transport.write(new TextEncoder().encode("from " + transport.getExtraInfo("sockname").transport));
    transport.close();
    if (--left === 0) for (const server of servers) server.close();
  },
});
const servers = [];
for (const { fd } of passed) servers.push(await getRunningLoop().createServer(factory, { fd }));
console.log("serving");
`;

foreign("listenFds() returns the sockets of socket activation, and createServer() serves them", async () => {
  await using service = await activate(SERVE, ["--allow-ffi", ENV, "--allow-net", "--allow-read", "--allow-write"], {
    LISTEN_FDS: "2",
    LISTEN_FDNAMES: "web:admin",
  });
  const [, tcp] = await defaultLoop.createConnection(() => new Recorder(), { port: service.port });
  await service.untilLine("serving");
  const [, unix] = await defaultLoop.createUnixConnection(() => new Recorder(), { path: service.path });
  await Promise.all([tcp.untilLost(), unix.untilLost()]);
  assertEquals([tcp.text, unix.text], ["from tcp", "from unix"]);
  assertEquals(await service.lines(), ['[{"fd":3,"name":"web"},{"fd":4,"name":"admin"}]', "serving"]);
  assertEquals((await service.status).code, 0);
});

/** What `listenFds()` returns or throws, for each environment. */
const LISTED: [environment: Record<string, string>, expected: string][] = [
  [{ LISTEN_FDS: "2" }, '[{"fd":3,"name":"unknown"},{"fd":4,"name":"unknown"}]'],
  [{ LISTEN_FDS: "2", LISTEN_FDNAMES: "one" }, '[{"fd":3,"name":"one"},{"fd":4,"name":"unknown"}]'],
  [{ LISTEN_FDS: "2", LISTEN_PID: "1" }, "[]"],
  [{}, "[]"],
  [{ LISTEN_FDS: "0" }, "[]"],
  [{ LISTEN_FDS: "two" }, 'InvalidData undefined listenFds(): LISTEN_FDS must be a whole number, got "two"'],
  [{ LISTEN_FDS: "-2" }, 'InvalidData undefined listenFds(): LISTEN_FDS must be a whole number, got "-2"'],
  [{ LISTEN_FDS: "99999" }, "BadResource EBADF listenFds(): LISTEN_FDS is 99999, but descriptor "],
];

const LIST = `
import { listenFds } from "@tandem/io/epoll";
for (const environment of ${JSON.stringify(LISTED.map(([environment]) => environment))}) {
  for (const name of ["LISTEN_FDS", "LISTEN_FDNAMES"]) Deno.env.delete(name);
  Deno.env.set("LISTEN_PID", String(Deno.pid));
  for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
  try {
    console.log(JSON.stringify(listenFds()));
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }
}
`;

foreign("listenFds() names unnamed descriptors unknown, and refuses what is not meant for it", async () => {
  await using service = await activate(LIST, ["--allow-ffi", ENV], {});
  const lines = await service.lines();
  assertEquals(lines.map((line, i) => line.slice(0, LISTED[i]?.[1].length)), LISTED.map(([, expected]) => expected));
});

foreign("createServer({ fd }) needs the permission for the address, as a listener of Deno's does", async () => {
  const source = `
    import { getRunningLoop } from "@tandem/io";
    import { install, listenFds } from "@tandem/io/epoll";
    install();
    const loop = getRunningLoop();
    for (const { fd } of listenFds()) {
      try {
        (await loop.createServer(() => ({}), { fd })).close();
        console.log("open");
      } catch (error) {
        console.log(error.name, error.message);
      }
    }
  `;
  for (
    const [flags, expected] of [
      [[], [/^NotCapable Requires net access to "127.0.0.1:\d+"/, /^NotCapable Requires read access to "\/.*unix"/]],
      [["--allow-net=127.0.0.1"], [/^open$/, /^NotCapable Requires read access to "\/.*unix"/]],
    ] as const
  ) {
    await using service = await activate(source, ["--allow-ffi", ENV, ...flags], { LISTEN_FDS: "2" });
    const lines = await service.lines();
    assertEquals(lines.map((line, i) => expected[i]!.test(line)), [true, true], lines.join("\n"));
  }
});

/** Runs a program with pipes on its standard streams, and reports whether their flags have changed. */
const PIPELINE = `
import fcntl, os, subprocess, sys
program = sys.argv[2:]
ours, theirs = os.pipe(), os.pipe()
stdin = {"pipe": ours[0], "null": subprocess.DEVNULL, "file": None}[sys.argv[1]]
if stdin is None:
    stdin = open(__import__("tempfile").mkstemp()[1], "w+b")
    stdin.write(b"hello")
    stdin.seek(0)
child = subprocess.Popen(program, stdin=stdin, stdout=theirs[1])
os.write(ours[1], b"hello")
os.close(ours[1])
answer = os.read(theirs[0], 100)
print("answer", answer, flush=True)
print("code", child.wait())
print("nonblocking", [bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK) for fd in (ours[0], theirs[1])])
`;

const UPPER = `
import { getRunningLoop } from "@tandem/io";
import { install } from "@tandem/io/epoll";

install();
const loop = getRunningLoop();
let text = "";
const lost = Promise.withResolvers();
const [output] = await loop.connectWritePipe(() => ({ connectionLost: () => lost.resolve() }), { fd: 1 });
const ended = Promise.withResolvers();
await loop.connectReadPipe(() => ({
  dataReceived: (data) => text += new TextDecoder().decode(data),
  connectionLost: () => ended.resolve(),
}), { fd: 0 });
await ended.promise;
output.write(new TextEncoder().encode(text.toUpperCase() + "!"));
output.close();
await lost.promise;
console.error("standard error still works");
`;

foreign("standard streams given as { fd } go by epoll without changing what other programs share", async () => {
  for (const [kind, answer] of [["pipe", "HELLO!"], ["file", "HELLO!"], ["null", "!"]] as const) {
    using made = program(UPPER.replaceAll('"@tandem/io/epoll"', EPOLL), { flags: ["--allow-ffi"] });
    const { code, stdout, stderr } = await execute("python3", ["-c", PIPELINE, kind, ...made.words]);
    assertEquals(stdout.split("\n"), [`answer b'${answer}'`, "code 0", "nonblocking [False, False]", ""], stderr);
    assertEquals(code, 0);
  }
});

/** Deno ignores SIGPIPE until the program removes its last listener for it. From then on, the signal ends the process. */
const NO_SIGPIPE = `
import { getRunningLoop } from "@tandem/io";
import { install, socketPair } from "@tandem/io/epoll";

const listener = () => console.log("signal");
Deno.addSignalListener("SIGPIPE", listener);
Deno.removeSignalListener("SIGPIPE", listener);
install();
const loop = getRunningLoop();
async function lose(connect, use) {
  const [near, far] = socketPair();
  const lost = Promise.withResolvers();
  const [transport] = await connect(near, () => ({ connectionLost: lost.resolve }));
  transport.pauseReading?.();
  far.close();
  await use(transport);
  console.log((await lost.promise)?.name);
}
const pipe = (fd, factory) => loop.connectWritePipe(factory, { fd });
const socket = (fd, factory) => loop.createConnection(factory, { fd });
const data = new Uint8Array(10);
await lose(pipe, (transport) => transport.write(data));
await lose(socket, (transport) => transport.write(data));
const file = await Deno.open(new URL(import.meta.url));
await lose(socket, (transport) => loop.sendfile(transport, file).catch((error) => console.log(error.name)));
const { stdout } = await new Deno.Command("grep", { args: ["SigBlk", "/proc/self/status"] }).output();
console.log(new TextDecoder().decode(stdout));
`;

foreign("a reader or a peer that is gone raises no SIGPIPE, also where the signal is not ignored", async () => {
  const flags = ["--allow-ffi", "--allow-run", "--allow-read"];
  const { code, stdout, stderr } = await runProgram(NO_SIGPIPE.replaceAll('"@tandem/io/epoll"', EPOLL), { flags });
  const expected = "BrokenPipe\nBrokenPipe\nSendfileError\nBrokenPipe\nSigBlk:\t0000000000000000\n\n";
  assertEquals([code, stdout, stderr], [0, expected, ""]);
});

/** An asyncio client that sends, and says what becomes of its connection. */
const CLIENT = `
import asyncio, sys
class Client(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
    def eof_received(self):
        print("eof")
    def connection_lost(self, error):
        print("lost", type(error).__name__)
        done.set_result(None)
async def main():
    global done
    done = asyncio.get_running_loop().create_future()
    await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", int(sys.argv[1]))
    await done
asyncio.run(main())
`;

/** Ends a connection in some way once its bytes have arrived, and returns what its client says. */
async function ending(end: (transport: Transport) => void, unread: boolean): Promise<string> {
  class Ending extends Protocol {
    #transport!: Transport;
    override async connectionMade(transport: Transport): Promise<void> {
      this.#transport = transport;
      if (!unread) return;
      transport.pauseReading();
      while (socketOf(transport).tcpInfo().bytesReceived !== 5) await turn(epollLoop);
      end(transport);
    }
    override dataReceived(): void {
      end(this.#transport);
    }
  }
  await using server = await epollLoop.createServer(() => new Ending(), { hostname: "127.0.0.1", port: 0 });
  const { stdout, stderr } = await execute("python3", ["-c", CLIENT, String(server.port)]);
  assertEquals(stderr, "");
  return stdout;
}

foreign("an asyncio peer sees a reset after abort({ reset: true })", async () => {
  assertEquals(await ending((transport) => transport.abort({ reset: true }), false), "lost ConnectionResetError\n");
});

foreign(
  "an asyncio peer sees a reset after close() and abort() with unread bytes, and an end without them",
  async () => {
    assertEquals(await ending((transport) => transport.close(), true), "lost ConnectionResetError\n");
    assertEquals(await ending((transport) => transport.abort(), true), "lost ConnectionResetError\n");
    assertEquals(await ending((transport) => transport.close(), false), "eof\nlost NoneType\n");
    assertEquals(await ending((transport) => transport.abort(), false), "eof\nlost NoneType\n");
  },
);
