/** What is left of TLS connections that have ended: nothing, whatever the peer did. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { loadTls, makeTlsHandle } from "../../tls/secure_stream.ts";
import { planTls } from "../../tls/tls_options.ts";
import { bytes, turn } from "../kit.ts";
import { assertEquals } from "../std.ts";
import { context, FakeHandle } from "../streams/kit.ts";
import { WireHandle } from "../start_tls/kit.ts";
import { SERVER, TRUSTING } from "./kit.ts";

const tlsLoop = { ...context, engine: {} };

/** Runs the garbage collector. */
function collect(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** What a peer sends before the connection ends. */
const SENT: Record<string, () => Promise<Uint8Array>> = {
  "nothing": () => Promise.resolve(new Uint8Array()),
  "garbage": () => Promise.resolve(bytes("GET / HTTP/1.1\r\n\r\n")),
  "half a ClientHello": async () => (await clientHello()).subarray(0, 100),
  "a ClientHello": clientHello,
};

async function clientHello(): Promise<Uint8Array> {
  using handle = new WireHandle();
  return await handle.clientHello();
}

const SIDES = {
  "client": { tls: TRUSTING, serverSide: false },
  "server": { tls: SERVER, serverSide: true },
  "server with sni": { tls: { ...SERVER, sni: () => null }, serverSide: true },
  "server whose sni never answers": {
    tls: { ...SERVER, sni: () => new Promise<null>(() => {}) },
    serverSide: true,
  },
};

for (const [side, { tls, serverSide }] of Object.entries(SIDES)) {
  for (const [what, data] of Object.entries(SENT)) {
    Deno.test(`close() of a ${side} leaves nothing of a handshake in which the peer sent ${what}`, async () => {
      const plan = planTls("createServer()", tls, serverSide)!;
      await loadTls(tlsLoop, plan);
      const sent = await data();
      const open = async () => {
        const lower = new FakeHandle();
        const handle = makeTlsHandle(tlsLoop, lower, plan);
        const done = handle.handshake(1000).catch(() => {});
        if (sent.length > 0) handle.lowerSink.chunk(sent);
        await turn();
        handle.close(true);
        await done;
        return new WeakRef(handle.sslObject);
      };
      const left = await Promise.all(Array.from({ length: 10 }, open));
      for (let i = 0; i < 10 && left.some((socket) => socket.deref() !== undefined); i++) {
        await turn();
        collect();
      }
      assertEquals(left.filter((socket) => socket.deref() !== undefined).length, 0);
    });
  }
}
