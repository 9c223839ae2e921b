// node:tls, for Node and for Deno.
//
//   tls_node.mjs tls-http | tls-echo
//   tls_node.mjs tls-unix PATH
//   tls_node.mjs tls-client PORT CONNECTIONS SIZE SECONDS
import process from "node:process";
import { connect, createServer } from "node:tls";
import { HTTP_ANSWER, readCertificates, runClient } from "./tls_common.mjs";

const [mode, ...rest] = process.argv.slice(2);
const { cert, key, ca } = readCertificates();

function serve() {
  const server = createServer({ cert, key }, (socket) => {
    if (mode !== "tls-unix") socket.setNoDelay(true);
    socket.on("error", () => {});
    if (mode === "tls-http") socket.on("data", () => socket.write(HTTP_ANSWER));
    else socket.on("data", (data) => socket.write(data));
  });
  // The load hangs up when its time is over.
  server.on("tlsClientError", () => {});
  if (mode === "tls-unix") server.listen(rest[0], () => console.log(`listening ${rest[0]}`));
  else server.listen(0, "127.0.0.1", 1024, () => console.log(`listening ${server.address().port}`));
}

function call(exchanges, port) {
  const socket = connect({ host: "127.0.0.1", servername: "localhost", port, ca });
  const isComplete = exchanges.counter();
  socket.setNoDelay(true);
  socket.on("secureConnect", () => socket.write(exchanges.request));
  socket.on("data", (data) => {
    if (isComplete(data.length)) socket.write(exchanges.request);
  });
}

if (mode === "tls-client") await runClient(rest, call);
else serve();
