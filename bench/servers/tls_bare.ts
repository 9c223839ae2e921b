/**
 * The bare loops over Deno's own TLS: what TLS in Tandem is measured against.
 *
 *   tls_bare.ts tls-http | tls-echo
 *   tls_bare.ts tls-unix PATH                            over TCP nevertheless: Deno has no TLS on Unix sockets
 *   tls_bare.ts tls-client PORT CONNECTIONS SIZE SECONDS
 */
import { type Exchanges, HTTP_ANSWER, readCertificates, runClient } from "./tls_common.mjs";

const [mode = "", ...rest] = Deno.args;
const { cert, key, ca } = readCertificates();

async function writeAll(conn: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

async function echo(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(256 * 1024);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    for (let sent = 0; sent < count;) sent += await conn.write(buffer.subarray(sent, count));
  }
}

async function http(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  while (await conn.read(buffer) !== null) await writeAll(conn, HTTP_ANSWER);
}

async function serve(handler: (conn: Deno.Conn) => Promise<void>): Promise<void> {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  console.log(`listening ${listener.addr.port}`);
  for await (const conn of listener) {
    handler(conn).catch(() => {}).finally(() => conn.close());
  }
}

async function call(exchanges: Exchanges, port: number): Promise<void> {
  // What Deno.connectTls gives has Nagle's algorithm on, and no method to turn it off: large requests would stall.
  const plain = await Deno.connect({ hostname: "127.0.0.1", port });
  plain.setNoDelay(true);
  const conn = await Deno.startTls(plain, { hostname: "localhost", caCerts: [ca] });
  const isComplete = exchanges.counter();
  const buffer = new Uint8Array(256 * 1024);
  for (;;) {
    // At the same time, else a server that echoes could wait for somebody to read.
    const writing = writeAll(conn, exchanges.request);
    while (!isComplete((await conn.read(buffer))!));
    await writing;
  }
}

if (mode === "tls-client") await runClient(rest, call);
else await serve(mode === "tls-http" ? http : echo);
