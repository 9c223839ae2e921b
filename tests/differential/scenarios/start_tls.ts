/** Upgrading a connection to TLS halfway. */
import type { Transport } from "../../../mod.ts";
import { bytes, loop, pattern, text } from "../../kit.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios, Stage } from "../stage.ts";
import { answer, ask, clientSide, connectPlain, connectTls, upgrade } from "../tls_stage.ts";

function echoing(t: Stage): Recorder {
  return t.recorder("server", { dataReceived: (p, data) => p.transport.write(data) });
}

/** Logs how an upgrade fails, and whether the protocol is told. */
async function failed(t: Stage, recorder: Recorder, upgrading: Promise<void>): Promise<void> {
  await t.attemptAsync(recorder.actor, "start_tls", upgrading);
  await t.settle();
  // Nothing is left to clean up.
  recorder.lost = true;
}

export const scenarios: Scenarios = {
  "plain, then TLS on both sides, and close() by the client": async (t) => {
    const [client, server] = [t.recorder("client"), echoing(t)];
    await connectPlain(t, client, server);
    client.transport.write(bytes("plain"));
    await client.received(5);
    await upgrade(client, server);
    client.log("upgraded");
    client.transport.write(bytes("secret"));
    await client.received(11);
    client.transport.write(pattern(60_000));
    await client.received(60_011);
    client.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "close() by the server": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    await upgrade(client, server);
    server.transport.write(bytes("last words"));
    server.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "abort() by the client": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    await upgrade(client, server);
    // With nothing unread, or the system would reset the connection.
    server.transport.write(bytes("hello"));
    await client.received(5);
    client.transport.abort();
    await client.untilLost();
    await server.untilLost();
  },

  "a command, its answer, and the handshake from inside data_received": async (t) => {
    const tasks: Promise<void>[] = [];
    const client = t.recorder("client", {
      dataReceived: (p, data) => {
        if (text(data) === "go ahead") tasks.push(ask(p));
      },
    });
    const server = t.recorder("server", {
      dataReceived: (p, data) => {
        if (text(data) !== "STARTTLS") return;
        p.transport.write(bytes("go ahead"));
        tasks.push(answer(p));
      },
    });
    await connectPlain(t, client, server);
    client.transport.write(bytes("STARTTLS"));
    await client.received(8);
    await Promise.all(tasks);
    client.transport.write(bytes("secret"));
    server.transport.write(bytes("answer"));
    await server.received(14);
    await client.received(14);
  },

  "the dialler may be the server": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    await Promise.all([ask(server), answer(client)]);
    client.transport.write(bytes("hello"));
    await server.received(5);
  },

  "what was written before leaves before, in the clear": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(bytes("STARTTLS\r\n".repeat(3)));
    const task = t.attemptAsync("client", "start_tls", ask(client));
    await peer.receive(30);
    client.transport.abort();
    await task;
    client.lost = true;
  },

  "the old transport afterwards": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    const old = client.transport;
    await upgrade(client, server);
    client.log(`another transport: ${old !== client.transport}`);
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    t.attempt("client", "is_closing of the old one", () => old.isClosing());
    server.transport.write(bytes("hello"));
    await client.received(5);
    old.abort();
    await client.untilLost();
    await server.untilLost();
  },

  "another protocol takes over": async (t) => {
    const [client, server, heir] = [t.recorder("client"), t.recorder("server"), t.recorder("heir")];
    await connectPlain(t, client, server);
    heir.transport = client.transport;
    await Promise.all([ask(heir), answer(server)]);
    // The rest is the heir's.
    client.lost = true;
    server.transport.write(bytes("hello"));
    await heir.received(5);
    server.transport.close();
    await heir.untilLost();
    await server.untilLost();
  },

  "a buffered protocol takes over": async (t) => {
    const [client, server, heir] = [t.recorder("client"), t.recorder("server"), t.buffered("heir")];
    await connectPlain(t, client, server);
    heir.transport = client.transport;
    await Promise.all([ask(heir), answer(server)]);
    client.lost = true;
    server.transport.write(pattern(60_000));
    await heir.received(60_000);
    server.transport.close();
    await heir.untilLost();
    await server.untilLost();
  },

  "set_protocol() and get_protocol() of the new transport": async (t) => {
    const [client, server, heir] = [t.recorder("client"), t.recorder("server"), t.recorder("heir")];
    await connectPlain(t, client, server);
    await upgrade(client, server);
    client.log(`its own: ${client.transport.getProtocol() === client}`);
    client.handOver(heir);
    server.transport.write(bytes("hello"));
    await heir.received(5);
  },

  "reading that was paused before goes on after": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    client.transport.pauseReading();
    await upgrade(client, server);
    t.attempt("client", "is_reading", () => client.transport.isReading());
    server.transport.write(bytes("hello"));
    await client.received(5);
  },

  "what is known of the socket stays known": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    const names = ["peername", "sockname", "socket"] as const;
    const known = names.map((name) => client.transport.getExtraInfo(name));
    client.log(`cipher before: ${client.transport.getExtraInfo("cipher") !== null}`);
    await upgrade(client, server);
    const info = client.transport.getExtraInfo.bind(client.transport);
    client.log(`the same: ${names.every((name, i) => info(name) === known[i])}`);
    client.log(`cipher: ${info("cipher") !== null}, peercert ${info("peercert") !== null}`);
    client.log(`server's peercert ${server.transport.getExtraInfo("peercert") !== null}`);
  },

  "TLS in TLS, from the first byte and halfway": async (t) => {
    const [client, server] = [t.recorder("client"), echoing(t)];
    await connectTls(t, client, server);
    client.transport.write(bytes("once"));
    await client.received(4);
    await upgrade(client, server);
    client.transport.write(bytes("twice"));
    await client.received(9);
    client.transport.write(pattern(60_000));
    await client.received(60_009);
  },

  "a handshake that fails: an unknown issuer": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    await Promise.all([
      failed(t, client, ask(client, { ca: "stranger" })),
      failed(t, server, answer(server)),
    ]);
  },

  "a handshake that fails: the other side speaks in the clear": async (t) => {
    const server = t.recorder("server");
    const listening = await t.serve(() => server);
    const peer = await t.knock(listening);
    await server.until("connection_made");
    await peer.send("GET / HTTP/1.0\r\n\r\n");
    await server.received(18);
    const upgrading = failed(t, server, answer(server));
    await t.settle();
    await peer.send("GET / HTTP/1.0\r\n\r\n");
    await upgrading;
  },

  "a handshake that fails: the other side closes": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    const upgrading = failed(t, server, answer(server));
    await t.settle();
    client.transport.close();
    await upgrading;
  },

  "a handshake that fails: it takes too long": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    await failed(t, server, answer(server, { handshakeTimeout: 50 }));
    await client.untilLost();
  },

  "abort() during the handshake": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    const upgrading = failed(t, server, answer(server));
    await t.settle();
    server.transport.abort();
    await upgrading;
    await client.untilLost();
  },

  "a transport that is closing": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectPlain(t, client, server);
    server.transport.close();
    await failed(t, server, answer(server));
    await client.untilLost();
  },

  "a transport that cannot be upgraded": async (t) => {
    const client = t.recorder("client");
    const start = (transport: unknown) => loop.startTls(transport as Transport, client, clientSide());
    await t.attemptAsync("client", "nothing", start(null));
    const endpoint = t.datagrams("endpoint");
    await t.endpoint(endpoint);
    await t.attemptAsync("client", "datagrams", start(endpoint.transport));
  },
};
