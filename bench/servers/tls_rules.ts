/**
 * Tandem's TLS engine in a bare loop, with nothing else of Tandem: the most that a transport over it can reach.
 *
 *   tls_rules.ts tls-http | tls-echo
 *   tls_rules.ts tls-unix PATH
 */
import { nodeProvider } from "../../tls/node/node_provider.ts";
import { HTTP_ANSWER, readCertificates } from "./tls_common.mjs";

const [mode = "", path = ""] = Deno.args;
const { cert, key } = readCertificates();
const settings = { cert, key };
await nodeProvider.load(settings);
const side = { settings, serverSide: true, serverHostname: "", sni: undefined };
/** From here on, freeing what was sent is worth it. */
const LARGE = 8 * 1024;

async function handle(conn: Deno.Conn): Promise<void> {
  const outbox: Uint8Array[] = [];
  let over = false;
  const end = () => void (over = true);
  const ciphertext = (data: Uint8Array) => void outbox.push(data);
  const nothing = () => {};
  const sink = {
    ciphertext,
    cleartext: nothing,
    choosing: nothing,
    ready: nothing,
    ended: end,
    failed: end,
    report: nothing,
  };
  const engine = nodeProvider.open(sink, side);
  engine.start();
  const buffer = new Uint8Array(256 * 1024);
  try {
    while (!over) {
      const count = await conn.read(buffer);
      if (count === null) return;
      const cleartext = engine.decrypt(buffer.subarray(0, count));
      if (cleartext !== null) {
        const encrypted = engine.encrypt(mode === "tls-http" ? HTTP_ANSWER : cleartext);
        if (encrypted instanceof Uint8Array) outbox.push(encrypted);
        else await encrypted;
      }
      for (const data of outbox) {
        for (let sent = 0; sent < data.length;) sent += await conn.write(sent === 0 ? data : data.subarray(sent));
        if (data.length >= LARGE) (data.buffer as ArrayBuffer).transfer(0);
      }
      outbox.length = 0;
    }
  } finally {
    engine.destroy();
  }
}

function listen(): Deno.Listener {
  if (path !== "") {
    console.log(`listening ${path}`);
    return Deno.listen({ transport: "unix", path });
  }
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(`listening ${listener.addr.port}`);
  return listener;
}

for await (const conn of listen()) {
  (conn as Partial<Deno.TcpConn>).setNoDelay?.(true);
  handle(conn).catch(() => {}).finally(() => conn.close());
}
