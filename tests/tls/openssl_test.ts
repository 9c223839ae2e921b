/** TLS by OpenSSL: what only it has, and what can go wrong there. What every TLS promises is in `tests/tls_over_epoll.ts`. */
import { EventLoop, TlsContext, TlsError, type TlsOptions } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { checkVersion, type Libssl, openLibssl } from "../../tls/openssl/libssl.ts";
import { execute, runProgram } from "../program.ts";
import { portOf, Recorder, tempPath } from "../kit.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "../std.ts";
import { CA, CLIENT, HOST, SECOND, SERVER, STRANGER, TRUSTING } from "./kit.ts";
import { negotiate, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

opensslTest("EpollEngine takes OpenSSL by default, and the TLS that tls names", () => {
  assertMatch(new EpollEngine().tls.name, /^OpenSSL 3\./);
  assertMatch(new EpollEngine({ tls: "openssl" }).tls.name, /^OpenSSL 3\./);
  assertMatch(new EpollEngine({ tls: "node" }).tls.name, /^node:tls/);
});

opensslTest("EpollEngine rejects an option that is unknown, and a tls that is", () => {
  assertThrows(
    () => new EpollEngine({ tls: "rustls" as "node" }),
    TypeError,
    'new EpollEngine(): tls must be "openssl" or "node", got string "rustls"',
  );
  assertThrows(() => new EpollEngine({ ssl: "node" } as object), TypeError, "new EpollEngine(): ");
});

opensslTest("openLibssl() refuses LibreSSL and OpenSSL 1.1 by name", () => {
  const real = openLibssl();
  for (const version of [0x20000000n, 0x1010117fn]) {
    const fake: Libssl = { ...real, OpenSSL_version_num: () => version };
    const error = assertThrows(() => checkVersion(fake), Deno.errors.NotSupported);
    assertMatch(error.message, /^TLS by OpenSSL needs OpenSSL 3\.0 or newer, and this is OpenSSL 3\./);
  }
});

opensslTest("EpollEngine insists on OpenSSL only with the whole permission for FFI", async () => {
  const source = `
    import { EpollEngine } from "${new URL("../../engines/epoll/mod.ts", import.meta.url)}";
    console.log(new EpollEngine().tls.name.split(",")[0]);
    try {
      new EpollEngine({ tls: "openssl" });
    } catch (error) {
      console.log(error.name, error.message);
    }`;
  const libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
  const { stdout, stderr } = await runProgram(source, { flags: [`--allow-ffi=${libc}`] });
  assertEquals(stderr, "");
  assertEquals(
    stdout,
    "node:tls\nNotCapable TLS by OpenSSL needs the permission to use FFI: run again with --allow-ffi, without a path\n",
  );
});

for (
  const [ciphers, version] of [
    ["TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3"],
    ["TLS_AES_128_GCM_SHA256", "TLSv1.3"],
    ["ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2"],
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2"],
  ] as const
) {
  for (const side of ["server", "client"] as const) {
    opensslTest(`ciphers of a ${side} chooses ${ciphers}, and with it the version`, async () => {
      const [server, client] = side === "server" ? [{ ciphers }, {}] : [{}, { ciphers }];
      const cipher = await negotiate(server, client, (transport) => transport.getExtraInfo("cipher"));
      assertEquals([cipher?.name, cipher?.version], [ciphers, version]);
    });
  }
}

opensslTest("ciphers that OpenSSL does not know, or that the versions do not have, are a TypeError", async () => {
  const loop = opensslLoop();
  const fail = (tls: TlsOptions) =>
    assertRejects(() => loop.createServer(() => ({}), { port: 0, tls: { ...SERVER, ...tls } }), TypeError);
  for (const name of ["ECDHE-ECDSA-AES128-GCM-SHA257", "ALL", "NULL-SHA256", "AECDH-NULL-SHA"]) {
    const { message } = await fail({ ciphers: `TLS_AES_128_GCM_SHA256:${name}` });
    assertEquals(message, `ciphers must be names of cipher suites, and this OpenSSL has none that is string "${name}"`);
  }
  const { message } = await fail({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", minVersion: "TLSv1.3" });
  assertMatch(message, /^ciphers must have a cipher suite of TLSv1\.3 to TLSv1\.3, got string /);
});

opensslTest("getExtraInfo() has the version, the group and whether a session was resumed", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const object = await negotiate({ maxVersion }, {}, (transport) => transport.getExtraInfo("sslObject"));
    assertEquals({ ...object }, { version: maxVersion, sessionReused: false, group: "X25519" });
  }
});

opensslTest("a client sends the name that it requests in lower case, without a final dot", async () => {
  const names: string[] = [];
  const sni = (name: string) => (names.push(name), null);
  await negotiate({ sni }, { serverHostname: "A.Example.test." }, () => {});
  assertEquals(names, ["a.example.test"]);
});

opensslTest("sni serves the certificate that it selects alone, whatever the kinds of the keys", async () => {
  using temp = tempPath();
  await Deno.mkdir(temp.directory, { recursive: true });
  const [key, cert] = ["rsa.key", "rsa.pem"].map((name) => `${temp.directory}/${name}`) as [string, string];
  await execute("openssl", [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-keyout",
    key,
    "-out",
    cert,
    "-subj",
    "/CN=a",
  ]);
  const rsa = new TlsContext({ cert: await Deno.readTextFile(cert), key: await Deno.readTextFile(key) });
  // An ECDSA key of the server itself must not take its place.
  const subject = await negotiate(
    { sni: () => rsa },
    { rejectUnauthorized: false },
    (transport) => transport.getExtraInfo("peercert")?.subject,
  );
  assertEquals(subject, { CN: "a" });
});

opensslTest("a key with a password is a TypeError, and OpenSSL does not ask for it at the terminal", async () => {
  using temp = tempPath();
  await Deno.mkdir(temp.directory, { recursive: true });
  const path = `${temp.directory}/key`;
  await execute("openssl", ["genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:secret", "-out", path]);
  const tls = { cert: SERVER.cert, key: await Deno.readTextFile(path) };
  await assertRejects(
    () => opensslLoop().createServer(() => ({}), { port: 0, tls }),
    TypeError,
    "key is encrypted and requires passphrase",
  );
});

opensslTest("the bytes of a key are wiped when it has been parsed", async () => {
  const seen: Uint8Array[] = [];
  using _bio = replaceSsl("BIO_new_mem_buf", (real, bytes, length) => {
    seen.push(bytes as Uint8Array);
    return real(bytes, length);
  });
  // A context of its own: those of the same settings are shared.
  await negotiate({ alpnProtocols: ["wiped"] }, {}, () => {});
  assert(seen.length >= 2);
  assertEquals(seen.filter((bytes) => bytes.some((byte) => byte !== 0)), []);
});

opensslTest("what OpenSSL makes for a connection is freed once, however the connection ends", async () => {
  const live = new Map<bigint, number>();
  let made = 0;
  using _new = replaceSsl("SSL_new", (real, ctx) => {
    const ssl = real(ctx);
    made++;
    live.set(Deno.UnsafePointer.value(ssl), 1);
    return ssl;
  });
  using _free = replaceSsl("SSL_free", (real, ssl) => {
    const address = Deno.UnsafePointer.value(ssl);
    assert(live.delete(address), "freed twice");
    real(ssl);
  });
  await negotiate({}, {}, () => {});
  await negotiate({}, {}, (transport) => transport.abort());
  await negotiate({ sni: () => Promise.resolve(new TlsContext(SECOND)) }, { serverHostname: "second.test" }, () => {});
  for (
    const [server, client] of [
      [{}, { caCerts: [STRANGER] }],
      [{}, { serverHostname: "other.test" }],
      [{ sni: () => Promise.reject(new Error("no")) }, {}],
      [{ requestCert: true, caCerts: [STRANGER], maxVersion: "TLSv1.2" as const }, CLIENT],
      [{ maxVersion: "TLSv1.2" as const }, { minVersion: "TLSv1.3" as const }],
    ] as [TlsOptions, TlsOptions][]
  ) await assertRejects(() => negotiate(server, client, () => {}), Error);
  assertEquals([made >= 14, live.size], [true, 0]);
});

for (const name of ["SSL_new", "BIO_new"] as const) {
  opensslTest(`a connection fails, and nothing is left, if ${name} fails`, async () => {
    using _fail = replaceSsl(name, () => null);
    const error = await assertRejects(() => negotiate({}, {}, () => {}), Error);
    assertEquals(error.message, "OpenSSL is out of memory");
  });
}

opensslTest("tls: true trusts what DENO_CERT and --cert name, without a permission to read it", async () => {
  const source = `
    import { EventLoop } from "@tandem/io";
    import { EpollEngine } from "${new URL("../../engines/epoll/mod.ts", import.meta.url)}";
    const loop = new EventLoop({ engine: new EpollEngine({ tls: "openssl" }) });
    loop.setExceptionHandler(() => {});
    const tls = ${JSON.stringify(SERVER)};
    const server = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls });
    for (const serverHostname of ["localhost", "other.test"]) {
      const options = { hostname: "127.0.0.1", port: server.addresses[0].port, tls: { serverHostname } };
      try {
        const lost = Promise.withResolvers();
        const [transport] = await loop.createConnection(() => ({ connectionLost: lost.resolve }), options);
        console.log("accepted");
        transport.close();
        await lost.promise;
      } catch (error) {
        console.log(error.code ?? error);
      }
    }
    server.close();
    server.abortClients();
    await server.waitClosed();`;
  using temp = tempPath();
  await Deno.mkdir(temp.directory, { recursive: true });
  const path = `${temp.directory}/ca.pem`;
  await Deno.writeTextFile(path, CA);
  const flags = ["--allow-ffi", "--allow-net"];
  const run = async (more: string[], env: Record<string, string>) => {
    const { stdout, stderr } = await runProgram(source, { flags: [...flags, ...more], env });
    return stdout + stderr;
  };
  assertEquals(await run([], {}), "UNKNOWN_ISSUER\nUNKNOWN_ISSUER\n");
  assertEquals(await run([], { DENO_CERT: path }), "accepted\nWRONG_NAME\n");
  assertEquals(await run(["--cert", path], {}), "accepted\nWRONG_NAME\n");
  for (const more of [["--allow-sys"], ["--allow-sys", "--allow-env"]]) {
    assertEquals(await run(["--cert", path, ...more], {}), "accepted\nWRONG_NAME\n");
    assertEquals(await run(more, {}), "UNKNOWN_ISSUER\nUNKNOWN_ISSUER\n");
  }
});

opensslTest("an error of TLS has the alert, and OpenSSL's reason", async () => {
  const loop = opensslLoop();
  const reported = Promise.withResolvers<unknown>();
  loop.setExceptionHandler(({ error }) => reported.resolve(error));
  await using server = await loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, tls: SERVER });
  const options = { hostname: HOST, port: portOf(server), tls: { ...TRUSTING, caCerts: [STRANGER] } };
  const error = await assertRejects(() => loop.createConnection(() => new Recorder(), options), TlsError);
  assertEquals(error.code, "UNKNOWN_ISSUER");
  assertMatch(error.message, /\(unable to get local issuer certificate\)/);
  assertMatch((await reported.promise as Error).message, /\(alert 48: tlsv1 alert unknown ca\)$/);
});

opensslTest("a loop in debug mode reports OpenSSL", async () => {
  const { debug } = console;
  const lines: string[] = [];
  console.debug = (line: string) => void lines.push(line);
  try {
    const loop = new EventLoop({ engine: new EpollEngine() });
    loop.setDebug(true);
    await using _server = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls: SERVER });
  } finally {
    console.debug = debug;
  }
  assertEquals(lines.filter((line) => /^Tandem: TLS is OpenSSL 3\./.test(line)).length, 1);
});

for (const name of ["i2d_X509_bio", "BIO_new"] as const) {
  opensslTest(`a handshake fails, and the process goes on, if ${name}() has no memory for its results`, async () => {
    const loop = opensslLoop();
    const accepted = Promise.withResolvers<Error>();
    loop.setExceptionHandler(({ error }) => accepted.resolve(error as Error));
    const server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
    const where = { hostname: HOST, port: portOf(server), tls: TRUSTING };
    // The client's certificate of the server is read when the handshake is complete.
    let isComplete = false;
    using _complete = replaceSsl("SSL_get1_peer_certificate", (real, ssl) => {
      const x509 = real(ssl);
      isComplete = x509 !== null;
      return x509;
    });
    const fail = (real: (...args: unknown[]) => unknown, ...args: unknown[]) => {
      if (!isComplete) return real(...args);
      isComplete = false;
      return name === "BIO_new" ? null : 0;
    };
    using _fail = replaceSsl(name, fail as never);
    const error = await assertRejects(() => loop.createConnection(() => new Recorder(), where), Error);
    assertEquals(error.message, "OpenSSL is out of memory");
    await accepted.promise;
    server.close();
    await server.waitClosed();
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
  });
}
