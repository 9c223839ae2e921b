/** The bare loops over Deno's own sockets: what everything built on them is measured against. */
import { serve } from "./bare_common.ts";

const [mode = "", ...rest] = Deno.args;

/** An idle connection costs what the server makes it cost, not what this program reads into. */
const BUFFER_SIZE = mode === "idle" ? 4 * 1024 : 256 * 1024;
const ANSWER = new Uint8Array(64);
const ANSWERS = 16;
const BLOCK = new Uint8Array(64 * 1024);
/** What a source writes at once: as much as the C server. */
const PIECE = new Uint8Array(256 * 1024);

const handlers: Record<string, (conn: Deno.TcpConn) => Promise<void>> = { echo, idle: echo, pipelined, source, sink };

async function writeAll(conn: Deno.TcpConn, data: Uint8Array): Promise<void> {
  for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) return;
    for (let sent = 0; sent < count;) sent += await conn.write(buffer.subarray(sent, count));
  }
}

async function pipelined(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  while (await conn.read(buffer) !== null) {
    for (let i = 0; i < ANSWERS; i++) await writeAll(conn, ANSWER);
  }
}

async function source(conn: Deno.TcpConn): Promise<void> {
  for (;;) await writeAll(conn, PIECE);
}

async function sink(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_SIZE);
  while (await conn.read(buffer) !== null);
}

async function echoDatagrams(): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  console.log(`listening ${(socket.addr as Deno.NetAddr).port}`);
  const buffer = new Uint8Array(65536);
  for (;;) {
    const [data, addr] = await socket.receive(buffer);
    await socket.send(data, addr);
  }
}

/** Sends blocks through a child for so many seconds, and tells how many bytes a second came back. */
async function pipe([seconds, program, ...args]: string[]): Promise<void> {
  const child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  let startedAt = performance.now();
  const endAt = startedAt + Number(seconds) * 1000;
  const writing = (async () => {
    while (performance.now() < endAt) await writer.write(BLOCK);
    await writer.close();
  })();
  let received = 0;
  // The first fifth is warm-up.
  setTimeout(() => {
    startedAt = performance.now();
    received = 0;
  }, Number(seconds) * 200);
  for await (const chunk of child.stdout) received += chunk.length;
  await writing;
  console.log(`result ${received / (performance.now() - startedAt) * 1000}`);
}

if (mode === "udp") await echoDatagrams();
else if (mode === "pipe") await pipe(rest);
else await serve(handlers[mode]!);
