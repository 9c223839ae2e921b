/** Bun's own sockets. */

/** The parts of Bun that are used. */
interface Socket {
  data: { unsent: Uint8Array[] };
  write(data: Uint8Array): number;
  end(): void;
}
declare const Bun: {
  argv: string[];
  listen(options: {
    hostname: string;
    port: number;
    socket: Partial<Record<"open" | "drain" | "close" | "end", (socket: Socket) => void>> & {
      data(socket: Socket, data: Uint8Array): void;
      error(): void;
    };
  }): { port: number };
  udpSocket(options: {
    hostname: string;
    socket: {
      data(socket: DatagramSocket, data: Uint8Array, port: number, address: string): void;
      error(): void;
    };
  }): Promise<DatagramSocket>;
  spawn(command: string[], options: { stdin: "pipe"; stdout: "pipe" }): {
    stdin: { write(data: Uint8Array): number; flush(): number | Promise<number>; end(): void };
    stdout: AsyncIterable<Uint8Array>;
  };
};
interface DatagramSocket {
  port: number;
  send(data: Uint8Array, port: number, address: string): boolean;
}

const [mode = "", ...rest] = Bun.argv.slice(2);

const ANSWER = new Uint8Array(64);
const ANSWERS = 16;
const BLOCK = new Uint8Array(64 * 1024);
/** What a source writes at once: as much as the C server. */
const PIECE = new Uint8Array(256 * 1024);

/** Writes, and keeps what the kernel does not take: Bun leaves that to its user. */
function write(socket: Socket, data: Uint8Array): void {
  const { unsent } = socket.data;
  const count = unsent.length > 0 ? 0 : socket.write(data);
  if (count < data.length) unsent.push(data.slice(count));
}

function drain(socket: Socket): void {
  const { unsent } = socket.data;
  while (unsent.length > 0) {
    const data = unsent[0]!;
    const count = socket.write(data);
    if (count < data.length) {
      unsent[0] = data.subarray(count);
      return;
    }
    unsent.shift();
  }
  if (mode === "source") flood(socket);
}

function flood(socket: Socket): void {
  while (socket.data.unsent.length === 0) write(socket, PIECE);
}

function received(socket: Socket, data: Uint8Array): void {
  if (mode === "echo" || mode === "idle") write(socket, data);
  else if (mode === "pipelined") { for (let i = 0; i < ANSWERS; i++) write(socket, ANSWER); }
}

async function pipe([seconds, ...command]: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe" });
  let startedAt = performance.now();
  const endAt = startedAt + Number(seconds) * 1000;
  const writing = (async () => {
    while (performance.now() < endAt) {
      child.stdin.write(BLOCK);
      await child.stdin.flush();
    }
    child.stdin.end();
  })();
  let count = 0;
  // The first fifth is warm-up.
  setTimeout(() => {
    startedAt = performance.now();
    count = 0;
  }, Number(seconds) * 200);
  for await (const chunk of child.stdout) count += chunk.length;
  await writing;
  console.log(`result ${count / (performance.now() - startedAt) * 1000}`);
}

if (mode === "udp") {
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data(socket, data, port, address) {
        try {
          socket.send(data, port, address);
        } catch {
          // The load has gone, and the system tells so at the next call.
        }
      },
      error: () => {},
    },
  });
  console.log(`listening ${socket.port}`);
} else if (mode === "pipe") {
  await pipe(rest);
} else {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { unsent: [] };
        if (mode === "source") flood(socket);
      },
      data: received,
      drain,
      error: () => {},
    },
  });
  console.log(`listening ${server.port}`);
}
