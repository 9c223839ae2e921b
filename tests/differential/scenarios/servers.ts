/** Servers: serving, closing, and connections that misbehave. */
import { Protocol, type StreamCallbacks } from "../../../mod.ts";
import { loop, portOf } from "../../kit.ts";
import { boom, errorName } from "../log.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios, Stage } from "../stage.ts";

function echoing(t: Stage, actor = "server"): Recorder {
  return t.recorder(actor, { dataReceived: (p, data) => p.transport.write(data) });
}

export const scenarios: Scenarios = {
  "each connection has a protocol of its own": async (t) => {
    const recorders: Recorder[] = [];
    const factory = () => {
      recorders.push(echoing(t, `server ${recorders.length + 1}`));
      return recorders.at(-1)!;
    };
    const server = await t.serve(factory);
    t.attempt("server", "is_serving", () => server.isServing());
    for (let i = 0; i < 3; i++) {
      const peer = await t.knock(server);
      await peer.send(`client ${i + 1}`);
      await peer.receive(8);
      await peer.end();
      await recorders[i]!.untilLost();
    }
  },

  "the server's end knows both addresses": async (t) => {
    const recorder = t.recorder("server");
    const server = await t.serve(() => recorder);
    const { conn } = await t.knock(server);
    await recorder.until("connection_made");
    const port = (name: "peername" | "sockname") => (recorder.transport.getExtraInfo(name) as Deno.NetAddr).port;
    recorder.log(`peername is the client: ${port("peername") === (conn.localAddr as Deno.NetAddr).port}`);
    recorder.log(`sockname is the server: ${port("sockname") === portOf(server)}`);
  },

  "several addresses, a port of the system's choice on each": async (t) => {
    const server = await loop.createServer(() => echoing(t), { hostname: ["127.0.0.1", "127.0.0.2"], port: 0 });
    t.defer(() => server.close());
    const addresses = server.addresses as Deno.NetAddr[];
    for (const { hostname, port } of addresses) t.log("server", `${hostname}, a real port: ${port > 0}`);
    for (const { hostname, port } of addresses) {
      const peer = t.peer(await Deno.connect({ hostname, port }));
      await peer.send("hello");
      await peer.receive(5);
    }
  },

  "an address that is named several times is bound once": async (t) => {
    const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    free.close();
    for (const hosts of [["127.0.0.1", "127.0.0.1"], ["127.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"]]) {
      for (const port of [0, free.addr.port]) {
        const server = await loop.createServer(() => echoing(t), { hostname: hosts, port });
        const names = (server.addresses as Deno.NetAddr[]).map(({ hostname }) => hostname).sort();
        t.log("server", `${hosts.join(" ")}, a given port: ${port > 0}, addresses: ${names.join(" ")}`);
        server.close();
        await server.waitClosed();
        await t.settle();
      }
    }
  },

  "start_serving: false leaves it to start_serving(), which is idempotent": async (t) => {
    const recorder = echoing(t);
    const server = await t.serve(() => recorder, { startServing: false });
    t.attempt("server", "is_serving", () => server.isServing());
    t.attempt("server", "start_serving", () => server.startServing());
    t.attempt("server", "is_serving", () => server.isServing());
    t.attempt("server", "start_serving", () => server.startServing());
    const peer = await t.knock(server);
    await peer.send("hello");
    await peer.receive(5);
  },

  "a client of a server that does not serve yet": async (t) => {
    const server = await t.serve(() => t.recorder("server"), { startServing: false });
    await t.attemptAsync("client", "connect", t.knock(server));
    await t.settle();
  },

  "close() stops accepting and leaves connections alone": async (t) => {
    const recorder = echoing(t);
    const server = await t.serve(() => recorder);
    const port = portOf(server);
    const peer = await t.knock(server);
    await recorder.until("connection_made");
    t.attempt("server", "close", () => server.close());
    t.attempt("server", "is_serving", () => server.isServing());
    t.attempt("server", "close", () => server.close());
    await t.settle();
    const connecting = loop.createConnection(() => t.recorder("client"), { port });
    await t.attemptAsync("client", "create_connection", connecting);
    await peer.send("hello");
    await peer.receive(5);
    await peer.end();
    await recorder.untilLost();
  },

  "wait_closed() waits for the last connection": async (t) => {
    const wait = async () => {
      await server.waitClosed();
      recorder.log("wait_closed");
    };
    const recorder = t.recorder("server");
    const server = await t.serve(() => recorder);
    const peer = await t.knock(server);
    await recorder.until("connection_made");
    server.close();
    const waiting = wait();
    await t.settle();
    recorder.log("the client goes");
    await peer.end();
    await recorder.untilLost();
    await waiting;
  },

  "wait_closed() with no connection, and again": async (t) => {
    const server = await t.serve(() => t.recorder("server"));
    server.close();
    await t.attemptAsync("server", "wait_closed", server.waitClosed());
    await t.attemptAsync("server", "wait_closed", server.waitClosed());
  },

  "leaving its scope closes a server": async (t) => {
    const server = await t.serve(() => t.recorder("server"));
    {
      await using scoped = server;
      t.attempt("server", "is_serving", () => scoped.isServing());
    }
    t.attempt("server", "is_serving", () => server.isServing());
  },

  "start_serving() on a closed server": async (t) => {
    const server = await t.serve(() => t.recorder("server"));
    server.close();
    t.attempt("server", "start_serving", () => server.startServing());
  },

  "serve_forever() starts to serve, once at a time, until close()": async (t) => {
    const recorder = echoing(t);
    const server = await t.serve(() => recorder, { startServing: false });
    const serving = t.attemptAsync("server", "serve_forever", server.serveForever());
    await t.settle();
    t.attempt("server", "is_serving", () => server.isServing());
    await t.attemptAsync("server", "serve_forever again", server.serveForever());
    const peer = await t.knock(server);
    await peer.send("hello");
    await peer.receive(5);
    await peer.end();
    await recorder.untilLost();
    recorder.log("closing");
    server.close();
    await serving;
    t.attempt("server", "is_serving", () => server.isServing());
    await t.attemptAsync("server", "serve_forever when closed", server.serveForever());
  },

  "serve_forever() that is called off closes the server": async (t) => {
    const server = await t.serve(() => t.recorder("server"));
    const controller = new AbortController();
    const serving = server.serveForever({ signal: controller.signal });
    await t.settle();
    t.attempt("server", "is_serving", () => server.isServing());
    controller.abort();
    await serving;
    t.attempt("server", "is_serving", () => server.isServing());
  },

  "a factory that throws costs its connection, and the next is served": async (t) => {
    const recorders = [echoing(t)];
    let ready = false;
    const server = await t.serve(() => ready ? recorders.pop()! : boom());
    const unlucky = await t.knock(server);
    await unlucky.countAll();
    ready = true;
    const peer = await t.knock(server);
    await peer.send("hello");
    await peer.receive(5);
  },

  "close() inside connection_made of a server": async (t) => {
    const recorder = t.recorder("server", { connectionMade: (p) => p.transport.close() });
    const server = await t.serve(() => recorder);
    const peer = await t.knock(server);
    await peer.receiveAll();
    await recorder.untilLost();
  },

  "a client that vanishes and one whose callback throws do not stop the others": async (t) => {
    const recorders = [t.recorder("vanished"), t.recorder("thrown", { dataReceived: boom }), echoing(t)] as const;
    const waiting: StreamCallbacks[] = [...recorders];
    const server = await t.serve(() => waiting.shift()!);
    (await t.knock(server)).close();
    await recorders[0].untilLost();
    let peer = await t.knock(server);
    await peer.send("boom");
    await recorders[1].untilLost();
    peer = await t.knock(server);
    await peer.send("hello");
    await peer.receive(5);
  },

  "an address that is taken": async (t) => {
    const { hostname, port } = t.listen().addr;
    const creating = loop.createServer(() => t.recorder("server"), { hostname, port });
    await t.attemptAsync("server", "create_server", creating);
  },

  "create_server takes a listening socket": async (t) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const recorder = echoing(t);
    const server = await loop.createServer(() => recorder, { listener });
    t.defer(() => server.close());
    const peer = await t.knock(server);
    await peer.send("hello");
    await peer.receive(5);
  },

  "a Unix server's socket file, when it closes": async (t) => {
    const path = t.tempPath("socket");
    const there = async () => await Deno.stat(path).then(() => true, () => false);
    const server = await loop.createUnixServer(() => t.recorder("server"), { path });
    t.log("server", `there: ${await there()}`);
    server.close();
    await server.waitClosed();
    t.log("server", `there: ${await there()}`);
  },

  "a Unix server in place of a stale socket file, a live one and a regular file": async (t) => {
    const create = (path: string) => loop.createUnixServer(() => new Protocol(), { path });
    const path = t.tempPath("socket");
    // Deno removes the file of a listener that it closes, but not under another name.
    const dying = Deno.listen({ transport: "unix", path: `${path}.other` });
    await Deno.rename(`${path}.other`, path);
    dying.close();
    const live = await create(path);
    t.log("server", "stale: replaced");
    t.defer(() => live.close());
    try {
      const second = await create(path);
      t.defer(() => second.close());
      t.log("server", "live: replaced");
    } catch (error) {
      t.log("server", `live: ${errorName(error)}`);
    }
    const file = t.tempPath("file");
    await Deno.writeTextFile(file, "text");
    await t.attemptAsync("server", "a regular file", create(file));
    t.log("server", `it holds ${await Deno.readTextFile(file)}`);
  },
};
