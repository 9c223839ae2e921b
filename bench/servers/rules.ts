/**
 * The bare loop with what Tandem's rules of ownership take, by the same functions, and with nothing else of Tandem:
 * the most that a transport with these rules can reach.
 *
 *   rules.ts echo | udp        copy | fresh
 *   rules.ts sink              fresh
 *
 * `copy`: what is written belongs to the caller afterwards, so it is copied, as `write` does. `fresh`: what is read
 * belongs to the protocol for good besides, so it comes in memory of its own, as for `dataReceived`.
 */
import { copyBytes, giveBuffer, takeBuffer } from "../../memory/buffer_pool.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import { serve } from "./bare_common.ts";

const [mode = "", kind = ""] = Deno.args;

/** From here on, a window given away costs less than a copy. */
const LARGE = 32 * 1024;

/** Reads into memory that is used again, or that somebody else may keep. */
class Reader {
  #size = new WindowMemory();
  #window = takeBuffer(this.#size.size);

  async read(conn: Deno.Conn): Promise<Uint8Array | null> {
    const { size } = this.#size;
    if (this.#window.length !== size) {
      giveBuffer(this.#window);
      this.#window = takeBuffer(size);
    }
    const window = this.#window;
    const count = await conn.read(window);
    if (count === null) return null;
    this.#size.fit(size, count);
    const data = window.subarray(0, count);
    if (kind === "copy") return data;
    if (count < LARGE || count * 2 < size) return copyBytes(data);
    this.#window = takeBuffer(size);
    return data;
  }
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  const reader = new Reader();
  for (;;) {
    const data = await reader.read(conn);
    if (data === null) return;
    const copy = takeBuffer(data.length);
    copy.set(data);
    for (let sent = 0; sent < data.length;) sent += await conn.write(copy.subarray(sent, data.length));
    giveBuffer(copy);
  }
}

async function sink(conn: Deno.TcpConn): Promise<void> {
  const reader = new Reader();
  while (await reader.read(conn) !== null);
}

async function echoDatagrams(): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  console.log(`listening ${(socket.addr as Deno.NetAddr).port}`);
  const buffer = new Uint8Array(65536);
  for (;;) {
    const [received, addr] = await socket.receive(buffer);
    const data = kind === "copy" ? received : copyBytes(received);
    const copy = takeBuffer(data.length);
    copy.set(data);
    await socket.send(copy.subarray(0, data.length), addr);
    giveBuffer(copy);
  }
}

if (mode === "udp") await echoDatagrams();
else await serve(mode === "sink" ? sink : echo);
