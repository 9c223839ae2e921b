import { assert, assertEquals } from "../std.ts";
import { runProgram } from "../program.ts";
import { tempPath } from "../kit.ts";
import { filesIn, staleSocket } from "../servers/kit.ts";

/** What every program here begins with. */
const PRELUDE = `
  import { DatagramProtocol, getRunningLoop, Protocol, SubprocessProtocol } from "@tandem/io";
  const loop = getRunningLoop();
  const bytes = (text) => new TextEncoder().encode(text);
  const text = (data) => new TextDecoder().decode(data);
  class Echo extends Protocol {
    connectionMade(transport) {
      this.transport = transport;
    }
    dataReceived(data) {
      this.transport.write(data);
    }
  }
  /** Prints what comes back, and ends everything. */
  class Client extends Protocol {
    connectionMade(transport) {
      this.transport = transport;
      transport.write(bytes("hello"));
    }
    dataReceived(data) {
      console.log(text(data));
      this.transport.close();
      server.close();
    }
  }
  let server;
`;

/** Runs a program with some permissions and no others; it must end by itself, and without a complaint. */
async function outputOf(source: string, flags: string[] = []): Promise<string> {
  const { code, stdout, stderr } = await runProgram(PRELUDE + source, { flags });
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

Deno.test("importing, scheduling, signals and web streams take no permission at all", async () => {
  const output = await outputOf(`
    loop.callSoon(console.log, "soon");
    loop.callLater(1, console.log, "later");
    loop.addSignalHandler("SIGUSR1", () => {});
    loop.removeSignalHandler("SIGUSR1");
    loop.setDebug(true);
    loop.setDebug(false);
    const [transport] = await loop.connectWritePipe(() => ({}), Deno.stdout);
    transport.write(bytes("pipe\\n"));
    await loop.connectReadPipe(() => ({ dataReceived() {} }), Deno.stdin);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes("stream"));
        controller.close();
      },
    });
    await loop.connectReadPipe(() => ({ dataReceived: (data) => console.log(text(data)) }), stream);
  `);
  assertEquals(output.split("\n").sort(), ["", "later", "pipe", "soon", "stream"]);
});

Deno.test("a TCP server and its client take --allow-net", async () => {
  const source = `
    server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
    await loop.createConnection(() => new Client(), { hostname: "127.0.0.1", port: server.addresses[0].port });
  `;
  assertEquals(await outputOf(source, ["--allow-net"]), "hello\n");
  assertEquals(await outputOf(source, ["--allow-net=127.0.0.1"]), "hello\n");
});

Deno.test("a Unix server and its client take --allow-net, and --allow-read and --allow-write for the socket's directory", async () => {
  using temp = tempPath();
  const { directory, path } = temp;
  const source = `
    const path = ${JSON.stringify(path)};
    server = await loop.createUnixServer(() => new Echo(), { path });
    await loop.createUnixConnection(() => new Client(), { path });
  `;
  assertEquals(
    await outputOf(source, ["--allow-net", `--allow-read=${directory}`, `--allow-write=${directory}`]),
    "hello\n",
  );
  assertEquals([...Deno.readDirSync(directory)], []);
});

const DATAGRAMS = `
  class Answer extends DatagramProtocol {
    connectionMade(transport) {
      this.transport = transport;
    }
    datagramReceived(data, addr) {
      this.transport.sendto(data, addr);
    }
  }
  class Question extends DatagramProtocol {
    connectionMade(transport) {
      this.transport = transport;
      transport.sendto(bytes("hello"));
    }
    datagramReceived(data) {
      console.log(text(data));
      this.transport.close();
      server.close();
    }
    errorReceived(error) {
      console.log(error);
    }
  }
`;

for (const flags of [[], ["--unstable-net"]]) {
  Deno.test(`UDP takes --allow-net${flags.map((flag) => `, with ${flag}`).join("")}`, async () => {
    const source = `${DATAGRAMS}
      [server] = await loop.createDatagramEndpoint(() => new Answer(), { localAddr: { hostname: "127.0.0.1", port: 0 } });
      const remoteAddr = server.getExtraInfo("sockname");
      await loop.createDatagramEndpoint(() => new Question(), { remoteAddr });
    `;
    assertEquals(await outputOf(source, ["--allow-net", ...flags]), "hello\n");
  });
}

Deno.test("Unix datagrams take --unstable-net, --allow-net, and --allow-read and --allow-write for the sockets' directory", async () => {
  using temp = tempPath();
  const { directory } = temp;
  const source = `${DATAGRAMS}
    const [a, b] = [{ path: ${JSON.stringify(`${directory}/a`)} }, { path: ${JSON.stringify(`${directory}/b`)} }];
    [server] = await loop.createDatagramEndpoint(() => new Answer(), { localAddr: a });
    await loop.createDatagramEndpoint(() => new Question(), { localAddr: b, remoteAddr: a });
  `;
  const flags = ["--unstable-net", "--allow-net", `--allow-read=${directory}`, `--allow-write=${directory}`];
  assertEquals(await outputOf(source, flags), "hello\n");
  assertEquals([...Deno.readDirSync(directory)], []);
});

const OUTPUT = `
  class Output extends SubprocessProtocol {
    pipeDataReceived(_fd, data) {
      console.log(text(data).trimEnd());
    }
  }
`;

Deno.test("a child process takes --allow-run for its program", async () => {
  const source = `${OUTPUT} await loop.subprocessExec(() => new Output(), "echo", { args: ["hello"] });`;
  assertEquals(await outputOf(source, ["--allow-run=echo"]), "hello\n");
});

Deno.test('a child process with stderr: "stdout", and a command line, take --allow-run=/bin/sh', async () => {
  const source = `${OUTPUT}
    await loop.subprocessExec(() => new Output(), "echo", { args: ["merged"], stderr: "stdout" });
    await loop.subprocessShell(() => new Output(), "echo shell");
  `;
  assertEquals((await outputOf(source, ["--allow-run=/bin/sh"])).split("\n").sort(), ["", "merged", "shell"]);
});

Deno.test('a child process with stderr: "stdout" is never said to run where the shell does not', async () => {
  // A value that dash does not start with, and that a program without --allow-env cannot keep from it.
  const source = `${OUTPUT}
    try {
      await loop.subprocessExec(() => new Output(), "echo", { args: ["ran"], stderr: "stdout" });
    } catch (error) {
      console.log(error.message.startsWith("Failed to spawn 'echo': /bin/sh said") ? "refused" : error);
    }
  `;
  const options = { flags: ["--allow-run=/bin/sh"], env: { OPTIND: "abc" } };
  const { code, stdout, stderr } = await runProgram(PRELUDE + source, options);
  assertEquals([code, stderr], [0, ""]);
  assert(["ran\n", "refused\n"].includes(stdout), stdout);
});

Deno.test("sendfile() takes no more than the file and the transport did", async () => {
  using temp = tempPath("file");
  Deno.writeTextFileSync(temp.path, "from a file");
  const output = await outputOf(
    `server = await loop.createServer(() => ({ dataReceived: (data) => console.log(text(data)) }), {
      hostname: "127.0.0.1",
      port: 0,
    });
    const [transport] = await loop.createConnection(() => ({}), { port: server.addresses[0].port });
    using file = await Deno.open(${JSON.stringify(temp.path)});
    await loop.sendfile(transport, file);
    transport.close();
    server.close();`,
    ["--allow-net", `--allow-read=${temp.path}`],
  );
  assertEquals(output, "from a file\n");
});

/** Every call that takes a permission, for a program that has none. */
const CALLS = {
  createConnection: `loop.createConnection(factory, { hostname: "127.0.0.1", port: 9 })`,
  createServer: `loop.createServer(factory, { hostname: "127.0.0.1", port: 0 })`,
  createUnixConnection: `loop.createUnixConnection(factory, { path: "socket" })`,
  createUnixServer: `loop.createUnixServer(factory, { path: "socket" })`,
  createDatagramEndpoint: `loop.createDatagramEndpoint(factory, { localAddr: { hostname: "127.0.0.1", port: 0 } })`,
  subprocessExec: `loop.subprocessExec(factory, "echo")`,
  subprocessExecMerged: `loop.subprocessExec(factory, "echo", { stderr: "stdout" })`,
  subprocessShell: `loop.subprocessShell(factory, "echo")`,
};

for (const flag of ["--unstable-net", "--deny-net"]) {
  Deno.test(`a permission that is missing rejects with NotCapable and leaves nothing, with ${flag}`, async () => {
    const output = await outputOf(
      `const factory = () => ({ connectionMade: () => console.log("connectionMade") });
      const calls = { ${Object.entries(CALLS).map(([name, call]) => `${name}: () => ${call}`).join(",\n")} };
      for (const [name, call] of Object.entries(calls)) {
        let promise;
        try {
          promise = call();
        } catch {
          console.log(name, "throws");
          continue;
        }
        await promise.then(() => console.log(name, "resolves"), (error) => console.log(name, error.name));
      }`,
      [flag],
    );
    assertEquals(output.trimEnd().split("\n"), Object.keys(CALLS).map((name) => `${name} NotCapable`));
  });
}

/** What may lie at a path before something is bound there. */
const IN_THE_WAY: Record<string, (path: string) => void> = {
  "a stale socket": staleSocket,
  "a file": (path) => Deno.writeTextFileSync(path, "precious"),
};

/** Permissions that are not enough for a folder with a socket, and what Deno then asks for. */
const TOO_FEW: [flags: (directory: string, path: string) => string[], asked: string][] = [
  [() => [], "read"],
  [() => ["--allow-net"], "read"],
  [(directory) => [`--allow-read=${directory}`], "write"],
  [(directory) => ["--allow-net", `--allow-read=${directory}`], "write"],
  [(directory) => ["--allow-net", `--allow-write=${directory}`], "read"],
  [(directory) => [`--allow-read=${directory}`, `--allow-write=${directory}`], "net"],
  [(directory, path) => [`--allow-read=${directory}`, `--allow-write=${directory}`, `--allow-net=unix:${path}`], "net"],
  [(_, path) => ["--allow-net", `--allow-read=${path}`, `--allow-write=${path}`], "read"],
];

for (
  const call of ["createUnixServer(factory, { path })", "createDatagramEndpoint(factory, { localAddr: { path } })"]
) {
  for (const [what, put] of Object.entries(IN_THE_WAY)) {
    Deno.test(`${call} without a permission rejects as Deno does and changes nothing, where ${what} is in the way`, async () => {
      for (const [flags, asked] of TOO_FEW) {
        using temp = tempPath();
        const { directory, path } = temp;
        put(path);
        const before = filesIn(directory);
        const output = await outputOf(
          `const [factory, path] = [() => ({}), ${JSON.stringify(path)}];
          await loop.${call}.then(
            () => console.log("resolves"),
            (error) => console.log(error instanceof Deno.errors.NotCapable, error.message),
          );`,
          ["--unstable-net", ...flags(directory, path)],
        );
        const where = asked === "net" ? `"unix:${directory}/` : `"${directory}/`;
        assertEquals(output.startsWith(`true Requires ${asked} access to ${where}`), true, output);
        assertEquals(output.endsWith(`, run again with the --allow-${asked} flag\n`), true, output);
        assertEquals(filesIn(directory), before);
      }
    });
  }

  Deno.test(`${call} that may not connect to the stale socket in its way rejects as Deno does and leaves it`, async () => {
    using temp = tempPath();
    const { directory, path } = temp;
    staleSocket(path);
    const output = await outputOf(
      `const [factory, path] = [() => ({}), ${JSON.stringify(path)}];
      await loop.${call}.catch((error) => console.log(error.name, error.message));`,
      [
        "--unstable-net",
        "--allow-net",
        `--allow-read=${directory}`,
        `--allow-write=${directory}`,
        `--deny-write=${path}`,
      ],
    );
    assertEquals(output, `NotCapable Requires write access to "${path}", run again with the --allow-write flag\n`);
    assertEquals(filesIn(directory), ["socket"]);
  });
}

Deno.test("a Unix server that may not write beside its socket rejects with NotCapable and leaves nothing", async () => {
  using temp = tempPath();
  const output = await outputOf(
    `await loop.createUnixServer(() => new Echo(), { path: ${JSON.stringify(temp.path)} })
      .catch((error) => console.log(error.name));`,
    ["--allow-net", `--allow-read=${temp.directory}`],
  );
  assertEquals(output, "NotCapable\n");
  assertEquals([...Deno.readDirSync(temp.directory)], []);
});
