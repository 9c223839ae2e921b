/** Every call says which option it does not have, or cannot use, before it does anything. */
import { BaseProtocol, EventLoop, socketPair } from "../../mod.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../std.ts";
import { connect, loop, Recorder, tempPath } from "../kit.ts";

type Options = Record<string, unknown>;

let made = 0;
const factory = () => {
  made++;
  return new BaseProtocol();
};

/** Each call with options of the test's, whose types are put aside as JavaScript does. */
const calls: Record<string, (options: never) => Promise<unknown>> = {
  "createConnection()": (options) => loop.createConnection(factory, options),
  "createUnixConnection()": (options) => loop.createUnixConnection(factory, options),
  "createServer()": (options) => loop.createServer(factory, options),
  "createUnixServer()": (options) => loop.createUnixServer(factory, options),
  "createDatagramEndpoint()": (options) => loop.createDatagramEndpoint(factory, options),
  "connectReadPipe()": (options) => loop.connectReadPipe(factory, new ReadableStream(), options),
  "connectWritePipe()": (options) => loop.connectWritePipe(factory, new WritableStream(), options),
  "subprocessExec()": (options) => loop.subprocessExec(factory, "no such program", options),
  "subprocessShell()": (options) => loop.subprocessShell(factory, "exit 1", options),
};

/** What a call says of its options. */
async function said(method: string, options: unknown, ErrorClass: typeof TypeError | typeof RangeError = TypeError) {
  made = 0;
  const error = await assertRejects(() => calls[method]!(options as never), ErrorClass);
  assertEquals([error.constructor, made], [ErrorClass, 0]);
  return error.message;
}

for (
  const [method, options, name, meant] of [
    ["createConnection()", { port: 1 }, "host", "hostname"],
    ["createConnection()", { port: 1 }, "ssl", "tls"],
    ["createConnection()", { port: 1 }, "local_addr", "localAddr"],
    ["createConnection()", { port: 1 }, "happy_eyeballs_delay", "happyEyeballsDelay"],
    ["createConnection()", { port: 1 }, "server_hostname", "tls.serverHostname"],
    ["createConnection()", { port: 1 }, "ssl_handshake_timeout", "tls.handshakeTimeout"],
    ["createConnection()", { port: 1 }, "sock", "conn"],
    ["createConnection()", { port: 1 }, "timeout", null],
    ["createUnixConnection()", { path: "/x" }, "server_hostname", "tls.serverHostname"],
    ["createUnixConnection()", { path: "/x" }, "sock", "conn"],
    ["createUnixConnection()", { path: "/x" }, "noDelay", null],
    ["createServer()", { port: 0 }, "host", "hostname"],
    ["createServer()", { port: 0 }, "sock", "listener"],
    ["createServer()", { port: 0 }, "reuse_port", "reusePort"],
    ["createServer()", { port: 0 }, "dual_stack", "dualStack"],
    ["createServer()", { port: 0 }, "cert", "tls.cert"],
    ["createServer()", { port: 0 }, "requestClientCert", "tls.requestCert"],
    ["createUnixServer()", { path: "/x" }, "sock", "listener"],
    ["createUnixServer()", { path: "/x" }, "cleanup_socket", "cleanupSocket"],
    ["createDatagramEndpoint()", {}, "hostname", "localAddr"],
    ["createDatagramEndpoint()", {}, "port", "localAddr"],
    ["createDatagramEndpoint()", {}, "reuse_address", "reuseAddress"],
    ["connectReadPipe()", {}, "closeTimout", "closeTimeout"],
    ["connectWritePipe()", {}, "close_timeout", "closeTimeout"],
    ["subprocessExec()", {}, "argv", "args"],
    ["subprocessExec()", {}, "stdErr", "stderr"],
    ["subprocessExec()", {}, "environment", "env"],
    ["subprocessShell()", {}, "args", null],
  ] as const
) {
  Deno.test(`${method} says that ${name} is not an option${meant === null ? "" : `, ${meant} is`}`, async () => {
    const message = await said(method, { ...options, [name]: undefined });
    const expected = meant === null ? /^the (options are|only option is) / : new RegExp(`^did you mean ${meant}\\?$`);
    assertEquals(message.startsWith(`${method}: ${name} is not an option; `), true, message);
    assertMatch(message.slice(`${method}: ${name} is not an option; `.length), expected);
  });
}

for (const method of Object.keys(calls)) {
  Deno.test(`${method} refuses options that are not a record, and a factory that is no function`, async () => {
    for (const [options, described] of [[5, "number 5"], [null, "null"], [["-l"], "Array"], [[], "Array"]] as const) {
      const message = await said(method, options);
      assertEquals(message.startsWith(`${method}: options must be a plain object, got ${described}`), true, message);
    }
    const name = method.slice(0, -2) as "createServer";
    const args = /Pipe|subprocess/.test(name) ? ["x"] : [];
    const call = () => (loop[name] as (...args: unknown[]) => Promise<unknown>)("no function", ...args, {});
    const error = await assertRejects(call, TypeError);
    assertEquals(
      error.message,
      `${method}: factory must be a function that returns a protocol, got string "no function"`,
    );
  });
}

const milliseconds = "a number of milliseconds from 0 to 2147483647";
for (
  const [method, options, ErrorClass, message] of [
    ["createConnection()", {}, TypeError, "port must be a whole number from 1 to 65535, got undefined"],
    ["createConnection()", { port: 0 }, RangeError, "port must be a whole number from 1 to 65535, got number 0"],
    [
      "createConnection()",
      { port: 1, hostname: 5 },
      TypeError,
      "hostname must be a host name or an IP address, got number 5",
    ],
    [
      "createConnection()",
      { port: 1, closeTimeout: "5" },
      TypeError,
      `closeTimeout must be ${milliseconds}, got string "5"`,
    ],
    [
      "createConnection()",
      { port: 1, closeTimeout: -5 },
      RangeError,
      `closeTimeout must be ${milliseconds}, got number -5`,
    ],
    ["createConnection()", { port: 1, signal: {} }, TypeError, "signal must be an AbortSignal, got Object"],
    ["createConnection()", { port: 1, noDelay: 1 }, TypeError, "noDelay must be a boolean, got number 1"],
    ["createConnection()", { port: 1, keepAlive: "yes" }, TypeError, 'keepAlive must be a boolean, got string "yes"'],
    [
      "createConnection()",
      { port: 1, autoSelectFamily: 1 },
      TypeError,
      "autoSelectFamily must be a boolean, got number 1",
    ],
    [
      "createConnection()",
      { port: 1, localAddr: "::1" },
      TypeError,
      'localAddr must be a plain object, got string "::1"',
    ],
    [
      "createConnection()",
      { port: 1, localAddr: { host: "::1" } },
      TypeError,
      "localAddr.host is not an option; did you mean localAddr.hostname?",
    ],
    [
      "createConnection()",
      { port: 1, localAddr: { hostname: "" } },
      TypeError,
      'localAddr.hostname must be a host name or an IP address, got string ""',
    ],
    [
      "createConnection()",
      { port: 1, localAddr: { port: 65_536 } },
      RangeError,
      "localAddr.port must be a whole number from 0 to 65535, got number 65536",
    ],
    [
      "createConnection()",
      { port: 1, happyEyeballsDelay: -1 },
      RangeError,
      `happyEyeballsDelay must be ${milliseconds}, got number -1`,
    ],
    [
      "createConnection()",
      { port: 1, happyEyeballsDelay: 1, autoSelectFamilyAttemptDelay: 2 },
      TypeError,
      "happyEyeballsDelay and autoSelectFamilyAttemptDelay are the same option, got 1 and 2",
    ],
    [
      "createConnection()",
      { port: 1, interleave: -1 },
      RangeError,
      "interleave must be a whole number, 0 or more, got number -1",
    ],
    [
      "createConnection()",
      { port: 1, tls: 1 },
      TypeError,
      "tls must be a boolean, an object with options or a TlsContext, got number 1",
    ],
    [
      "createConnection()",
      { port: 1, tls: { ca: [] } },
      TypeError,
      "tls.ca is not an option; did you mean tls.caCerts?",
    ],
    ["createConnection()", { port: 1, tls: { serverSide: true } }, TypeError, /^tls.serverSide is not an option; /],
    ["createConnection()", { conn: {} }, TypeError, "conn must be a Deno.Conn, got Object"],
    ["createUnixConnection()", {}, TypeError, "path must be a non-empty string, got undefined"],
    [
      "createUnixConnection()",
      { path: "/x", tls: true },
      TypeError,
      /^tls.serverHostname is required without a hostname/,
    ],
    [
      "createUnixServer()",
      { path: "/x", backlog: 0 },
      RangeError,
      "backlog must be a whole number from 1 to 2147483647, got number 0",
    ],
    ["createServer()", { port: "80" }, TypeError, 'port must be a whole number from 0 to 65535, got string "80"'],
    ["createServer()", { port: 70_000 }, RangeError, "port must be a whole number from 0 to 65535, got number 70000"],
    [
      "createServer()",
      { port: 0, hostname: ["::1", 5] },
      TypeError,
      "hostname[1] must be a host name or an IP address, got number 5",
    ],
    [
      "createServer()",
      { port: 0, hostname: [] },
      RangeError,
      "hostname must name at least one address, got an empty array",
    ],
    [
      "createServer()",
      { port: 0, backlog: "5" },
      TypeError,
      'backlog must be a whole number from 1 to 2147483647, got string "5"',
    ],
    [
      "createServer()",
      { port: 0, backlog: 0 },
      RangeError,
      "backlog must be a whole number from 1 to 2147483647, got number 0",
    ],
    ["createServer()", { port: 0, dualStack: 1 }, TypeError, "dualStack must be a boolean, got number 1"],
    ["createServer()", { port: 0, reusePort: 1 }, TypeError, "reusePort must be a boolean, got number 1"],
    ["createServer()", { port: 0, startServing: "no" }, TypeError, 'startServing must be a boolean, got string "no"'],
    [
      "createServer()",
      { port: 0, closeTimeout: "5" },
      TypeError,
      `closeTimeout must be ${milliseconds}, got string "5"`,
    ],
    ["createServer()", { port: 0, tls: true }, TypeError, "a TLS server requires tls.cert and tls.key, or tls.sni"],
    ["createServer()", { listener: null }, TypeError, "listener must be a Deno.Listener, got null"],
    ["createUnixServer()", { path: "x".repeat(200) }, TypeError, /^path must have at most \d+ bytes, got 200 bytes$/],
    [
      "createUnixServer()",
      { path: "/x", cleanupSocket: 1 },
      TypeError,
      "cleanupSocket must be a boolean, got number 1",
    ],
    [
      "createDatagramEndpoint()",
      { localAddr: 5 },
      TypeError,
      "localAddr must be { hostname, port } or { path }, got number 5",
    ],
    [
      "createDatagramEndpoint()",
      { localAddr: { host: "::1", port: 0 } },
      TypeError,
      "localAddr.host is not an option; did you mean localAddr.hostname?",
    ],
    [
      "createDatagramEndpoint()",
      { remoteAddr: { hostname: "::1" } },
      TypeError,
      "remoteAddr.port must be a whole number from 1 to 65535, got undefined",
    ],
    [
      "createDatagramEndpoint()",
      { remoteAddr: { path: "/x" }, localAddr: { port: 0 } },
      TypeError,
      "localAddr and remoteAddr must both have a path, or both a port",
    ],
    ["createDatagramEndpoint()", { reuseAddress: 1 }, TypeError, "reuseAddress must be a boolean, got number 1"],
    ["createDatagramEndpoint()", { allowBroadcast: 1 }, TypeError, "allowBroadcast must be a boolean, got number 1"],
    ["connectReadPipe()", { closeTimeout: "5" }, TypeError, `closeTimeout must be ${milliseconds}, got string "5"`],
    ["connectWritePipe()", { closeTimeout: NaN }, RangeError, `closeTimeout must be ${milliseconds}, got number NaN`],
    [
      "subprocessExec()",
      ["-l"],
      TypeError,
      "options must be a plain object, got Array; the program's arguments are the option args",
    ],
    ["subprocessExec()", { args: "-l" }, TypeError, 'args must be an array of strings, got string "-l"'],
    ["subprocessExec()", { args: [1] }, TypeError, "args[0] must be a string, got number 1"],
    ["subprocessExec()", { stdin: "pipe" }, TypeError, 'stdin must be "piped", "inherit" or "null", got string "pipe"'],
    [
      "subprocessExec()",
      { stderr: 1 },
      TypeError,
      'stderr must be "piped", "inherit", "null" or "stdout", got number 1',
    ],
    ["subprocessExec()", { env: "A=1" }, TypeError, 'env must be a plain object, got string "A=1"'],
    ["subprocessExec()", { env: { A: 1 } }, TypeError, "env.A must be a string, got number 1"],
    ["subprocessExec()", { cwd: 1 }, TypeError, "cwd must be a string or a URL, got number 1"],
    ["subprocessExec()", { clearEnv: 1 }, TypeError, "clearEnv must be a boolean, got number 1"],
    ["subprocessExec()", { detached: 1 }, TypeError, "detached must be a boolean, got number 1"],
    ["subprocessExec()", { uid: "0" }, TypeError, 'uid must be a whole number, 0 or more, got string "0"'],
    [
      "subprocessShell()",
      { stdout: "stdout" },
      TypeError,
      'stdout must be "piped", "inherit" or "null", got string "stdout"',
    ],
  ] as const
) {
  Deno.test(`${method} says: ${message}`, async () => {
    const actual = await said(method, options, ErrorClass as typeof TypeError);
    assertEquals(actual.startsWith(`${method}: `), true, actual);
    const rest = actual.slice(method.length + 2);
    if (typeof message === "string") assertEquals(rest, message);
    else assertMatch(rest, message);
  });
}

Deno.test("an existing connection or listener and an address cannot both be given", async () => {
  const [near, far] = await socketPair();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  for (
    const [method, options, rival] of [
      ["createConnection()", { conn: near, port: 1 }, "port"],
      ["createConnection()", { conn: near, hostname: "::1" }, "hostname"],
      ["createUnixConnection()", { conn: near, path: "/x" }, "path"],
      ["createServer()", { listener, port: 0 }, "port"],
      ["createServer()", { listener, hostname: "::1" }, "hostname"],
      ["createServer()", { listener, backlog: 5 }, "backlog"],
      ["createUnixServer()", { listener, path: "/x" }, "path"],
    ] as const
  ) {
    const name = "conn" in options ? "conn" : "listener";
    assertEquals(await said(method, options), `${method}: ${name} and ${rival} cannot both be given`);
  }
  near.close();
  far.close();
});

Deno.test("connectAcceptedSocket() names options that it does not have, and leaves the connection alone", async () => {
  const [near, far] = await socketPair();
  for (
    const [options, message] of [
      [{ hostname: "::1" }, /^hostname is not an option; /],
      [{ conn: far }, /^conn is not an option; /],
      [{ closeTimeout: "5" }, /^closeTimeout must be a number of milliseconds/],
      [{ tls: { serverHostname: "x" } }, /^a TLS server requires tls\.cert and tls\.key, or tls\.sni$/],
      [5, /^options must be a plain object, got number 5$/],
    ] as const
  ) {
    const call = () => loop.connectAcceptedSocket(factory, near, options as object);
    const { message: actual } = await assertRejects(call, TypeError);
    assertMatch(actual.replace("connectAcceptedSocket(): ", ""), message);
    assertEquals(actual.startsWith("connectAcceptedSocket(): "), true);
  }
  await far.write(new Uint8Array(1));
  assertEquals(await near.read(new Uint8Array(2)), 1);
  near.close();
  far.close();
});

Deno.test("sendfile(), startTls() and serveForever() name options that they do not have, and change nothing", async () => {
  using temp = tempPath("file");
  await Deno.writeTextFile(temp.path, "content");
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { clientTransport, clientSide, server } = pair;
  using file = await Deno.open(temp.path);
  const rejects = async (call: () => Promise<unknown>, ErrorClass: typeof TypeError, message: string) => {
    const error = await assertRejects(call, ErrorClass);
    assertEquals([error.constructor, error.message.slice(0, message.length)], [ErrorClass, message]);
  };
  const send = (options: unknown) => () => loop.sendfile(clientTransport, file, options as Options);
  await rejects(send({ start: 1 }), TypeError, "sendfile(): start is not an option; did you mean offset?");
  await rejects(send({ offset: "1" }), TypeError, "sendfile(): offset must be a whole number of bytes, 0 or more, got");
  await rejects(send({ offset: -1 }), RangeError, "sendfile(): offset must be a whole number of bytes, 0 or more, got");
  await rejects(send({ count: 0 }), RangeError, "sendfile(): count must be a whole number of bytes, 1 or more, got");
  await rejects(send({ fallback: 1 }), TypeError, "sendfile(): fallback must be a boolean, got number 1");
  await rejects(send(5), TypeError, "sendfile(): options must be a plain object, got number 5");
  const upgrade = (options: unknown) => () => loop.startTls(clientTransport, clientSide, options as Options);
  await rejects(upgrade({ ssl: 1 }), TypeError, "startTls(): ssl is not an option; ");
  await rejects(
    upgrade({ server_side: true }),
    TypeError,
    "startTls(): server_side is not an option; did you mean serverSide?",
  );
  await rejects(upgrade({ serverSide: 1 }), TypeError, "startTls(): serverSide must be a boolean, got number 1");
  await rejects(upgrade({ handshakeTimeout: "1" }), TypeError, "startTls(): handshakeTimeout must be a number of");
  await rejects(upgrade({}), TypeError, "startTls(): serverHostname is required without a hostname");
  await rejects(upgrade(undefined), TypeError, "startTls(): options must be a plain object, got undefined");
  await rejects(upgrade({ serverSide: true }), TypeError, "startTls(): a TLS server requires cert and key, or sni");
  const serve = (options: unknown) => () => server.serveForever(options as Options);
  await rejects(serve(new AbortController().signal), TypeError, "serveForever(): options must be a plain object, got");
  await rejects(
    serve({ abortSignal: 1 }),
    TypeError,
    "serveForever(): abortSignal is not an option; did you mean signal?",
  );
  await rejects(serve({ signal: 1 }), TypeError, "serveForever(): signal must be an AbortSignal, got number 1");
  // All goes on as before.
  assertEquals(await loop.sendfile(clientTransport, file), 7);
  await pair.serverSide.untilReceived(7);
});

Deno.test("new EventLoop() names options that it does not have", () => {
  for (
    const [options, message] of [
      [{ timer: 1 }, /^timer is not an option; the options are engine, clock$/],
      [{ clok: 1 }, /^clok is not an option; did you mean clock\?$/],
      ["deno", /^options must be a plain object, got string "deno"$/],
    ] as const
  ) {
    const error = assertThrows(() => new EventLoop(options as object), TypeError);
    assertMatch(error.message.replace("new EventLoop(): ", ""), message);
  }
});
