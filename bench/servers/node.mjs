// node:net, node:dgram and node:child_process, for Node and for Deno. (TLS: tls_node.mjs.)
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import process from "node:process";

const [mode, ...rest] = process.argv.slice(2);

const ANSWER = Buffer.alloc(64);
const ANSWERS = 16;
const BLOCK = Buffer.alloc(64 * 1024);
/** What a source writes at once: as much as the C server. */
const PIECE = Buffer.alloc(256 * 1024);

const handlers = {
  echo(socket) {
    socket.on("data", (data) => socket.write(data));
  },
  pipelined(socket) {
    socket.on("data", () => {
      for (let i = 0; i < ANSWERS; i++) socket.write(ANSWER);
    });
  },
  source(socket) {
    const send = () => {
      while (!socket.destroyed && socket.write(PIECE));
    };
    socket.on("drain", send);
    send();
  },
  sink(socket) {
    socket.resume();
  },
};

handlers.idle = handlers.echo;

function serve(handler) {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    handler(socket);
  });
  server.listen(0, "127.0.0.1", 1024, () => console.log(`listening ${server.address().port}`));
}

function echoDatagrams() {
  const socket = createSocket("udp4");
  socket.on("message", (data, from) => socket.send(data, from.port, from.address));
  socket.bind(0, "127.0.0.1", () => console.log(`listening ${socket.address().port}`));
}

/** Sends blocks through a child for so many seconds, and tells how many bytes a second came back. */
function pipe([seconds, program, ...args]) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  let startedAt = performance.now();
  const endAt = startedAt + Number(seconds) * 1000;
  const send = () => {
    while (performance.now() < endAt) {
      if (!child.stdin.write(BLOCK)) return;
    }
    child.stdin.end();
  };
  let received = 0;
  // The first fifth is warm-up.
  setTimeout(() => {
    startedAt = performance.now();
    received = 0;
  }, Number(seconds) * 200);
  child.stdout.on("data", (data) => received += data.length);
  child.stdout.on("end", () => console.log(`result ${received / (performance.now() - startedAt) * 1000}`));
  child.stdin.on("drain", send);
  send();
}

if (mode === "udp") echoDatagrams();
else if (mode === "pipe") pipe(rest);
else serve(handlers[mode]);
