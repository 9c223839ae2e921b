/** add_reader, add_writer and their removers. Of epoll's engine. */
import { type OwnedSocket, socketPair } from "../../../engines/epoll/mod.ts";
import { bytes, loop } from "../../kit.ts";
import { boom, showData } from "../log.ts";
import type { Scenarios, Stage } from "../stage.ts";

function pair(t: Stage): [near: OwnedSocket, far: OwnedSocket] {
  const ends = socketPair();
  for (const end of ends) t.defer(() => end.close());
  return ends;
}

function receive(socket: OwnedSocket): string {
  const buffer = new Uint8Array(100);
  return showData(buffer.subarray(0, socket.recv(buffer)!));
}

/** The number of an open file's descriptor, which Deno does not tell. */
function numberOf(path: string): number {
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === path) return Number(name);
    } catch {
      // The one that lists the directory.
    }
  }
  throw new Error("no such file is open");
}

export const scenarios: Scenarios = {
  "a reader is called with its arguments, until it is removed": async (t) => {
    const [near, far] = pair(t);
    loop.addReader(near, (...args: unknown[]) => t.log("reader", `${args.join(" ")}: ${receive(near)}`), 1, "two");
    far.send(bytes("first"));
    await t.until("reader", "1 two");
    far.send(bytes("second"));
    await t.until("reader", "1 two", 2);
    t.attempt("loop", "remove_reader", () => loop.removeReader(near));
    t.attempt("loop", "remove_reader", () => loop.removeReader(near));
    t.attempt("loop", "remove_writer", () => loop.removeWriter(near));
    far.send(bytes("third"));
    await t.settle();
  },

  "a second reader replaces the first": async (t) => {
    const [near, far] = pair(t);
    loop.addReader(near, () => t.log("reader", "first"));
    loop.addReader(near.fd, () => {
      t.log("reader", "second");
      loop.removeReader(near.fd);
    });
    far.send(bytes("x"));
    await t.until("reader", "second");
    await t.settle();
  },

  "a reader that does not read is called again in each turn": async (t) => {
    const [near, far] = pair(t);
    let calls = 0;
    far.send(bytes("x"));
    loop.addReader(near, () => {
      t.log("loop", `read ${++calls}`);
      loop.callSoon(() => t.log("loop", "turn"));
      if (calls === 3) loop.removeReader(near);
    });
    await t.until("loop", "turn", 3);
  },

  "a reader and a writer of one descriptor, in order": async (t) => {
    const [near, far] = pair(t);
    far.send(bytes("x"));
    loop.addWriter(near, () => {
      t.log("loop", "write");
      t.attempt("loop", "remove_writer", () => loop.removeWriter(near));
    });
    loop.addReader(near, () => {
      t.log("loop", "read");
      t.attempt("loop", "remove_reader", () => loop.removeReader(near));
    });
    await t.until("loop", "write");
    await t.settle();
  },

  "a reader that removes the writer": async (t) => {
    const [near, far] = pair(t);
    far.send(bytes("x"));
    loop.addWriter(near, () => t.log("loop", "write"));
    loop.addReader(near, () => {
      t.log("loop", "read");
      t.attempt("loop", "remove_writer", () => loop.removeWriter(near));
      t.attempt("loop", "remove_reader", () => loop.removeReader(near));
    });
    await t.until("loop", "remove_reader");
    await t.settle();
  },

  "the end of the peer is for the reader and the writer": async (t) => {
    const [near, far] = pair(t);
    far.close();
    loop.addReader(near, () => {
      t.log("loop", `read ${receive(near)}`);
      loop.removeReader(near);
    });
    loop.addWriter(near, () => {
      t.log("loop", "write");
      loop.removeWriter(near);
    });
    await t.until("loop", "write");
  },

  "a reader that raises goes on": async (t) => {
    const [near, far] = pair(t);
    loop.addReader(near, boom);
    far.send(bytes("x"));
    await t.until("exception handler", "", 2);
    t.attempt("loop", "remove_reader", () => loop.removeReader(near));
    receive(near);
  },

  "what cannot be watched": (t) => {
    const [near] = pair(t);
    const path = t.tempPath("file");
    {
      using _file = Deno.openSync(path, { write: true, create: true });
      t.attempt("loop", "a regular file", () => loop.addReader(numberOf(path), boom));
      t.attempt("loop", "remove_reader", () => loop.removeReader(numberOf(path)));
    }
    const { fd } = near;
    near.close();
    t.attempt("loop", "a closed number", () => loop.addReader(fd, boom));
    t.attempt("loop", "remove_reader", () => loop.removeReader(fd));
  },

  "the descriptor of a transport": async (t) => {
    const [near] = pair(t);
    const { fd } = near;
    await loop.createConnection(() => t.recorder("client"), { fd: near });
    for (const name of ["addReader", "addWriter"] as const) {
      t.attempt("loop", name.replace("R", "_r").replace("W", "_w"), () => loop[name](fd, boom));
    }
    for (const name of ["removeReader", "removeWriter"] as const) {
      t.attempt("loop", name.replace("R", "_r").replace("W", "_w"), () => loop[name](fd));
    }
  },

  "remove_reader of a descriptor that is closed": async (t) => {
    const [near, far] = pair(t);
    const { fd } = near;
    loop.addReader(near, boom);
    near.close();
    far.close();
    await t.settle();
    t.attempt("loop", "remove_reader", () => loop.removeReader(fd));
    t.attempt("loop", "remove_reader", () => loop.removeReader(fd));
  },
};
