/**
 * Bun's own sockets over TLS.
 *
 *   tls_bun.ts tls-http | tls-echo
 *   tls_bun.ts tls-unix PATH
 *   tls_bun.ts tls-client PORT CONNECTIONS SIZE SECONDS
 */
import { type Exchanges, HTTP_ANSWER, readCertificates, runClient } from "./tls_common.mjs";

/** The parts of Bun that are used. */
interface Socket {
  data: { unsent: Uint8Array[] };
  write(data: Uint8Array): number;
}
interface Callbacks {
  open?(socket: Socket): void;
  handshake?(socket: Socket, success: boolean, error: Error | null): void;
  data(socket: Socket, data: Uint8Array): void;
  drain(socket: Socket): void;
  error(socket: Socket, error: Error): void;
}
type Address = { hostname: string; port: number } | { unix: string };
declare const Bun: {
  argv: string[];
  listen(options: Address & { tls: { cert: string; key: string }; socket: Callbacks }): { port: number };
  connect(
    options: Address & { tls: { ca: string; serverName: string }; socket: Callbacks; data: Socket["data"] },
  ): Promise<Socket>;
};

const [mode = "", ...rest] = Bun.argv.slice(2);
const { cert, key, ca } = readCertificates();

/** Writes, and keeps what is not taken: Bun leaves that to its user. */
function write(socket: Socket, data: Uint8Array): void {
  const { unsent } = socket.data;
  const count = unsent.length > 0 ? 0 : socket.write(data);
  if (count < data.length) unsent.push(data.slice(Math.max(count, 0)));
}

function drain(socket: Socket): void {
  const { unsent } = socket.data;
  while (unsent.length > 0) {
    const data = unsent[0]!;
    const count = socket.write(data);
    if (count < data.length) {
      unsent[0] = data.subarray(Math.max(count, 0));
      return;
    }
    unsent.shift();
  }
}

function serve(): void {
  const [path] = rest;
  const where = mode === "tls-unix" ? { unix: path! } : { hostname: "127.0.0.1", port: 0 };
  const server = Bun.listen({
    ...where,
    tls: { cert, key },
    socket: {
      open(socket) {
        socket.data = { unsent: [] };
      },
      data: mode === "tls-http" ? (socket) => write(socket, HTTP_ANSWER) : write,
      drain,
      error: () => {},
    },
  });
  console.log(`listening ${path ?? server.port}`);
}

async function call(exchanges: Exchanges, port: number): Promise<void> {
  const isComplete = exchanges.counter();
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    tls: { ca, serverName: "localhost" },
    data: { unsent: [] },
    socket: {
      handshake(socket, success, error) {
        if (!success) throw error ?? new Error("the handshake failed");
        write(socket, exchanges.request);
      },
      data(socket, data) {
        if (isComplete(data.length)) write(socket, exchanges.request);
      },
      drain,
      error(_socket, error) {
        throw error;
      },
    },
  });
}

if (mode === "tls-client") await runClient(rest, call);
else serve();
