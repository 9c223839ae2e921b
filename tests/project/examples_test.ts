/** Each example, run as its first comment says: with just those permissions, without any flag or configuration. */
import { assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "../std.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { commandLines, Example, examples, permissionsOf, run } from "./kit.ts";
import { bytes, concat, pattern, text } from "../kit.ts";

/** Sends bytes and the end, and reads what comes back. */
async function exchange(port: number, data: Uint8Array): Promise<Uint8Array> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const pieces: Uint8Array[] = [];
  const reading = (async () => {
    for await (const piece of conn.readable) pieces.push(piece);
  })();
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
  await conn.closeWrite();
  await reading;
  return concat(pieces);
}

const names = [...Deno.readDirSync(examples)].filter((entry) => entry.isFile).map((entry) => entry.name).sort();

Deno.test("examples/ holds the programs that the README names", () => {
  assertEquals(names, [
    "child_output.ts",
    "client_kit.ts",
    "demo.ts",
    "dns_over_tcp_client.ts",
    "existing_socket.ts",
    "file_receiver.ts",
    "graceful_server.ts",
    "line_protocol_test.ts",
    "memcached_server.ts",
    "proxy_protocol.ts",
    "smtp_starttls_client.ts",
    "smtp_starttls_server.ts",
    "streams_cache.ts",
    "streams_proxy.ts",
    "tcp_echo_client.ts",
    "tcp_echo_server.ts",
    "tcp_proxy.ts",
    "tls_echo_client.ts",
    "tls_echo_server.ts",
    "udp_echo_client.ts",
    "udp_echo_server.ts",
    "watch_file_descriptor.ts",
  ]);
});

/** Programs for `deno run`. */
const programs = names.filter((name) => !name.endsWith("_test.ts"));

for (const name of programs) {
  Deno.test(`${name} names its command line in its first comment`, () => {
    const lines = commandLines(name);
    assertGreater(lines.length, 0);
    for (const line of lines) assertMatch(line, new RegExp(`^deno run (--allow-[^ ]+ )+examples/${name}( |$)`));
  });

  for (const permission of permissionsOf(name)) {
    Deno.test(`${name} needs ${permission}`, async () => {
      const others = permissionsOf(name).filter((other) => other !== permission);
      const { code, stdout, stderr } = await run(name, [], others);
      assertEquals(code, 1);
      assertStringIncludes(stdout + stderr, `run again with the ${permission.split("=")[0]} flag`);
    });
  }
}

Deno.test("line_protocol_test.ts passes, without permissions", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "--no-prompt", "--no-config", new URL("line_protocol_test.ts", examples).href],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(code, 0);
  assertStringIncludes(text(stdout), "4 passed | 0 failed");
});

Deno.test("tcp_echo_server.ts and tcp_echo_client.ts talk, and SIGINT stops the server", async () => {
  await using server = new Example("tcp_echo_server.ts", ["0"]);
  const port = await server.port();
  const client = await run("tcp_echo_client.ts", [`${port}`, "127.0.0.1", "good day"]);
  assertEquals(client.code, 0);
  assertEquals(client.stdout, 'sent "good day"\nreceived "good day"\nthe server closed the connection\n');
  server.interrupt();
  const { code, stdout } = await server.end();
  assertEquals(code, 0);
  assertMatch(stdout, /^connection from 127\.0\.0\.1:\d+\n8 bytes\nconnection lost\nstopped\n$/);
});

Deno.test("tcp_echo_server.ts closes its connections when SIGINT stops it", async () => {
  await using server = new Example("tcp_echo_server.ts", ["0"]);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: await server.port() });
  await server.line();
  server.interrupt();
  assertEquals(await conn.read(new Uint8Array(1)), null);
  assertEquals(await server.end(), { code: 0, stdout: "connection lost\nstopped\n", stderr: "" });
});

Deno.test("graceful_server.ts finishes its answers at SIGTERM, and closes connections that wait for none", async () => {
  await using server = new Example("graceful_server.ts", ["0", "300"]);
  const port = await server.port();
  using idle = await Deno.connect({ hostname: "127.0.0.1", port });
  using busy = await Deno.connect({ hostname: "127.0.0.1", port });
  await busy.write(bytes("hello\n"));
  assertEquals(await server.line(), "working");
  server.terminate();
  assertEquals(text(new Uint8Array(await new Response(busy.readable).arrayBuffer())), "HELLO\r\n");
  assertEquals(await idle.read(new Uint8Array(1)), null);
  assertEquals(await server.end(), { code: 0, stdout: "ending\n2 ended, 0 closed, 0 aborted\n", stderr: "" });
});

Deno.test("graceful_server.ts aborts its connections at a second SIGTERM", async () => {
  await using server = new Example("graceful_server.ts", ["0", "600000"]);
  using busy = await Deno.connect({ hostname: "127.0.0.1", port: await server.port() });
  await busy.write(bytes("hello\n"));
  assertEquals(await server.line(), "working");
  server.terminate();
  assertEquals(await server.line(), "ending");
  server.terminate();
  // The answer is never given.
  assertEquals(await busy.read(new Uint8Array(1)).catch(() => null), null);
});

Deno.test("tcp_echo_server.ts sends megabytes back in order", async () => {
  await using server = new Example("tcp_echo_server.ts", ["0"]);
  const data = pattern(3_000_000);
  assertEquals(await exchange(await server.port(), data), data);
});

Deno.test("tcp_echo_client.ts ends with Deno's error without a server", async () => {
  const { code, stderr } = await run("tcp_echo_client.ts", ["1"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "ConnectionRefused");
});

Deno.test("udp_echo_server.ts and udp_echo_client.ts talk, and SIGINT stops the server", async () => {
  await using server = new Example("udp_echo_server.ts", ["0"]);
  const port = await server.port();
  const client = await run("udp_echo_client.ts", [`${port}`, "127.0.0.1", "good day"]);
  assertEquals(client, { code: 0, stdout: 'sent "good day"\nreceived "good day"\n', stderr: "" });
  server.interrupt();
  const { code, stdout } = await server.end();
  assertEquals(code, 0);
  assertMatch(stdout, /^8 bytes from 127\.0\.0\.1:\d+\nstopped\n$/);
});

Deno.test("udp_echo_client.ts gives up when no answer comes", async () => {
  const silent = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  try {
    const { code, stderr } = await run("udp_echo_client.ts", [`${(silent.addr as Deno.NetAddr).port}`]);
    assertEquals(code, 1);
    assertEquals(stderr, "no answer within 1000 ms\n");
  } finally {
    silent.close();
  }
});

Deno.test("existing_socket.ts receives over its pair of sockets", async () => {
  const { code, stdout } = await run("existing_socket.ts");
  assertEquals({ code, stdout }, { code: 0, stdout: 'received "abc"\nclosed\n' });
});

Deno.test("watch_file_descriptor.ts receives, and ends", async () => {
  const { code, stdout } = await run("watch_file_descriptor.ts", ["xyz"]);
  assertEquals({ code, stdout }, { code: 0, stdout: 'received "xyz"\n' });
});
Deno.test("existing_socket.ts may use a Unix socket, too", async () => {
  const { code, stdout } = await run("existing_socket.ts", ["xyz"], ["--allow-read", "--allow-write", "--allow-net"]);
  assertEquals({ code, stdout }, { code: 0, stdout: 'received "xyz"\nclosed\n' });
});

Deno.test("proxy_protocol.ts passes the address of its client through its proxy, and ends", async () => {
  const { code, stdout } = await run("proxy_protocol.ts", ["xyz"]);
  const at = /127\.0\.0\.1:\d+/.exec(stdout)![0];
  const lines = [
    `client: at ${at}`,
    `server: a client at ${at}, by a proxy: true`,
    `client: received "${at} sent xyz"`,
  ];
  assertEquals({ code, stdout }, { code: 0, stdout: `${lines.join("\n")}\n` });
});

Deno.test("child_output.ts prints what date prints", async () => {
  const { code, stdout, stderr } = await run("child_output.ts", ["-u", "+%Y"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const year = new Date().getUTCFullYear();
  const lines = [
    "the child has ended; its output may still be on the way",
    "return code 0",
    `output      "${year}\\n"`,
  ];
  assertEquals(stdout.split("\n"), [...lines, ""]);
});

Deno.test("file_receiver.ts receives what its other half sends", async () => {
  const path = await Deno.makeTempFile({ prefix: "tandem-test-" });
  try {
    const data = pattern(2_500_000);
    await Deno.writeFile(path, data);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
    await using receiver = new Example("file_receiver.ts", ["0"]);
    const port = await receiver.port();
    const sender = await run(
      "file_receiver.ts",
      ["--send", path, `${port}`],
      permissionsOf("file_receiver.ts", "--send"),
    );
    assertEquals(sender, { code: 0, stdout: "sent 2500000 bytes\n", stderr: "" });
    assertEquals(await receiver.line(), `received 2500000 bytes, SHA-256 ${digest}`);
    receiver.interrupt();
    assertEquals(await receiver.end(), { code: 0, stdout: "stopped\n", stderr: "" });
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("file_receiver.ts takes several files, an empty one too, and tells of one that was cut", async () => {
  await using receiver = new Example("file_receiver.ts", ["0"]);
  const port = await receiver.port();
  const size = (n: number) => new Uint8Array([0, 0, 0, 0, 0, 0, 0, n]);
  await exchange(port, concat([size(5), bytes("hello"), size(0), size(5), bytes("hel")]));
  assertMatch(await receiver.line(), /^received 5 bytes, SHA-256 2cf24dba/);
  assertMatch(await receiver.line(), /^received 0 bytes, SHA-256 e3b0c442/);
  assertEquals(await receiver.line(), "lost a file: the sender has ended too early");
});

Deno.test("file_receiver.ts cuts off who announces too much", async () => {
  await using receiver = new Example("file_receiver.ts", ["0"]);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: await receiver.port() });
  await conn.write(new Uint8Array(8).fill(1));
  assertEquals(await conn.read(new Uint8Array(1)), null);
  assertMatch(await receiver.line(), /^lost a file: a file of \d+ bytes is too large$/);
  receiver.interrupt();
  const { code, stderr } = await receiver.end();
  assertEquals(code, 0);
  assertMatch(stderr, /^Fatal error: protocol\.bufferUpdated\(\) call failed\./);
});

for (const name of ["tcp_proxy.ts", "streams_proxy.ts"]) {
  Deno.test(`${name} passes bytes and both half-closes on`, async () => {
    using upstream = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using proxy = new Example(name, ["0", `${upstream.addr.port}`]);
    using client = await Deno.connect({ hostname: "127.0.0.1", port: await proxy.port() });
    using server = await upstream.accept();
    await client.write(bytes("question"));
    await client.closeWrite();
    assertEquals(await readAll(server), "question");
    await server.write(bytes("answer"));
    await server.closeWrite();
    assertEquals(await readAll(client), "answer");
    proxy.interrupt();
    assertEquals(await proxy.end(), { code: 0, stdout: "stopped\n", stderr: "" });
  });
}

Deno.test("tcp_proxy.ts passes on an upstream that ends first", async () => {
  using upstream = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using proxy = new Example("tcp_proxy.ts", ["0", `${upstream.addr.port}`]);
  using client = await Deno.connect({ hostname: "127.0.0.1", port: await proxy.port() });
  using server = await upstream.accept();
  await server.write(bytes("news"));
  await server.closeWrite();
  assertEquals(await readAll(client), "news");
  await client.write(bytes("thanks"));
  await client.closeWrite();
  assertEquals(await readAll(server), "thanks");
});

Deno.test("tcp_proxy.ts closes a client whose upstream cannot be reached, and serves on", async () => {
  await using proxy = new Example("tcp_proxy.ts", ["0", "1"]);
  const port = await proxy.port();
  for (let i = 0; i < 2; i++) {
    using client = await Deno.connect({ hostname: "127.0.0.1", port });
    assertEquals(await client.read(new Uint8Array(1)), null);
    assertMatch(
      await proxy.line(),
      /^upstream: createConnection\(\): cannot connect to 127\.0\.0\.1:1: Connection refused/,
    );
  }
});

Deno.test("tcp_proxy.ts pauses a client whose upstream does not read", async () => {
  const data = pattern(48_000_000);
  using upstream = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using proxy = new Example("tcp_proxy.ts", ["0", `${upstream.addr.port}`]);
  using client = await Deno.connect({ hostname: "127.0.0.1", port: await proxy.port() });
  using server = await upstream.accept();
  let sent = 0;
  const sending = (async () => {
    while (sent < data.length) sent += await client.write(data.subarray(sent, sent + 65_536));
    await client.closeWrite();
  })();
  // Time is the subject: a client that gets nowhere for this long is paused.
  for (let before = -1; before !== sent && sent < data.length;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  assertLess(sent, data.length);
  const buffer = new Uint8Array(1 << 18);
  let received = 0;
  for (let count = await server.read(buffer); count !== null; count = await server.read(buffer)) {
    assertEquals(buffer[0], data[received]);
    received += count;
  }
  await sending;
  assertEquals(received, data.length);
});

Deno.test("streams_proxy.ts closes a client whose upstream cannot be reached, and serves on", async () => {
  await using proxy = new Example("streams_proxy.ts", ["0", "1"]);
  const port = await proxy.port();
  for (let i = 0; i < 2; i++) {
    using client = await Deno.connect({ hostname: "127.0.0.1", port });
    assertEquals(await client.read(new Uint8Array(1)), null);
    assertMatch(
      await proxy.line(),
      /^lost: openConnection\(\): cannot connect to 127\.0\.0\.1:1: Connection refused/,
    );
  }
});

Deno.test("streams_cache.ts stores and returns values of any bytes, and ends clients that send too much", async () => {
  await using cache = new Example("streams_cache.ts", ["0"]);
  const port = await cache.port();
  const commands = "set fruit 0 0 7\r\na\r\nb\n\r\n\r\nget fruit\r\nget none\r\nset x 0 0 -1\r\nquit\r\n";
  const answers = "STORED\r\nVALUE fruit 0 7\r\na\r\nb\n\r\n\r\nEND\r\nEND\r\nERROR\r\n";
  assertEquals(text(await exchange(port, bytes(commands))), answers);
  assertEquals(text(await exchange(port, bytes(`get ${"x".repeat(600)}\r\n`))), "CLIENT_ERROR line too long\r\n");
  assertEquals(text(await exchange(port, bytes("set fruit 0 0 100\r\nabc"))), "");
  assertEquals(await cache.line(), "lost a client: the stream ended after 3 bytes, before 102 bytes");
  cache.interrupt();
  assertEquals(await cache.end(), { code: 0, stdout: "stopped\n", stderr: "" });
});

const epoll = EpollEngine.isSupported();
const withFfi = [...permissionsOf("demo.ts"), "--allow-ffi"];
const skipped = epoll.supported ? "" : ` (skipped: ${epoll.reason})`;

Deno.test("demo.ts passes all its checks, and ends by itself", async () => {
  const result = await run("demo.ts");
  assertTour(result, "deno");
});

Deno.test(`demo.ts --engine epoll passes all its checks, and ends by itself${skipped}`, {
  ignore: !epoll.supported,
}, async () => {
  const result = await run("demo.ts", ["--engine", "epoll"], withFfi);
  assertTour(result, "epoll");
});

Deno.test("demo.ts --engine exits with 2 for an engine that does not exist, and with 3 for one that cannot be used", async () => {
  assertEquals(await run("demo.ts", ["--engine", "uv"]), {
    code: 2,
    stdout: "",
    stderr: 'demo: --engine must be "deno" or "epoll", got "uv"\n',
  });
  const refused = await run("demo.ts", ["--engine", "epoll"]);
  assertEquals([refused.code, refused.stdout], [3, ""]);
  assertMatch(refused.stderr, /^demo: the epoll engine cannot be used: .+\n$/);
  if (epoll.supported) assertStringIncludes(refused.stderr, "run again with --allow-ffi");
});

function assertTour({ code, stdout, stderr }: Awaited<ReturnType<typeof run>>, engine: string): void {
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertStringIncludes(stdout.split("\n")[0]!, `over the engine "${engine}".`);
  const chapters = stdout.split("\n").filter((line) => /^\d+ {2}/.test(line)).map((line) => line.split(":")[0]);
  assertEquals(chapters, [
    "1  TCP echo",
    "2  BufferedProtocol",
    "3  Half-close",
    "4  Flow control",
    "5  Unix socket",
    "6  UDP",
    "7  A child process",
    "8  sendfile",
    "9  TLS",
    "10  STARTTLS",
  ]);
  for (
    const line of [
      '   server   dataReceived        "Hello, world!"',
      "   receiver getBuffer           asks for 65,536 bytes, gets 1,000,001 bytes",
      "   server   eofReceived         returns true: still open for writing",
      "   ok       the server has removed its socket file",
      "   ok       errorReceived was called for the one too large, and the transport stayed open",
      '   parent   pipeDataReceived    1, "apple\\nfig\\npear\\n"',
      "   ok       exactly that part of the file arrived",
      "   ok       a certificate of an untrusted CA is refused, and both sides get an error",
      "   ok       old connections go on",
      "   ok       the unencrypted command after STARTTLS was discarded",
    ]
  ) assertStringIncludes(stdout, `${line}\n`);
  // The kernel takes large writes at once over epoll, as much as it can.
  assertMatch(
    stdout,
    engine === "deno" ? / pauseWriting {8}98,304 bytes wait\n/ : / pauseWriting {8}[\d,]+ bytes wait\n/,
  );
  assertMatch(stdout, /\nAll \d+ checks have passed\.\n$/);
}

Deno.test("demo.ts exits with 1 and names the check that failed", async () => {
  const { code, stdout } = await run(
    "demo.ts",
    [],
    permissionsOf("demo.ts").filter((p) => !p.startsWith("--allow-run")),
  );
  assertEquals(code, 1);
  assertMatch(stdout, /\n1 of \d+ checks have failed:\n {3}A child process[^\n]*NotCapable[^\n]*\n$/);
});

async function readAll(conn: Deno.Conn): Promise<string> {
  const pieces: Uint8Array[] = [];
  const buffer = new Uint8Array(1024);
  for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
    pieces.push(buffer.slice(0, count));
  }
  return text(concat(pieces));
}
