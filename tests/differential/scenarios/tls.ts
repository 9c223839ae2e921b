/** TLS from the first byte on. */
import { socketPair } from "../../../mod.ts";
import { bytes, loop, pattern, portOf } from "../../kit.ts";
import { serverTls } from "../../tls/kit.ts";
import { boom } from "../log.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios, Stage } from "../stage.ts";
import { clientSide, connectTls } from "../tls_stage.ts";

function echoing(t: Stage): Recorder {
  return t.recorder("server", { dataReceived: (p, data) => p.transport.write(data) });
}

export const scenarios: Scenarios = {
  "an echo, and close() by the client": async (t) => {
    const [client, server] = [t.recorder("client"), echoing(t)];
    await connectTls(t, client, server);
    client.transport.write(bytes("hello"));
    await client.received(5);
    client.transport.write(pattern(60_000));
    await client.received(60_005);
    t.attempt("client", "close", () => client.transport.close());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    await client.untilLost();
    await server.untilLost();
  },

  "data and close() by the server": async (t) => {
    const connectionMade = (p: Recorder) => {
      p.transport.write(pattern(60_000));
      p.transport.close();
    };
    const [client, server] = [t.recorder("client"), t.recorder("server", { connectionMade })];
    await connectTls(t, client, server);
    await client.untilLost();
    await server.untilLost();
  },

  "close() on both sides at once": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    client.transport.close();
    server.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "a true eof_received keeps nothing open": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server", { eofReceived: () => true })];
    await connectTls(t, client, server);
    client.transport.close();
    await server.untilLost();
    await client.untilLost();
  },

  "write() inside eof_received": async (t) => {
    const client = t.recorder("client");
    const server = t.recorder("server", { eofReceived: (p) => p.transport.write(bytes("too late for you")) });
    await connectTls(t, client, server);
    client.transport.close();
    await server.untilLost();
    await client.untilLost();
  },

  "write_eof() is not supported, and changes nothing": async (t) => {
    const [client, server] = [t.recorder("client"), echoing(t)];
    await connectTls(t, client, server);
    t.attempt("client", "can_write_eof", () => client.transport.canWriteEof());
    t.attempt("client", "write_eof", () => client.transport.writeEof());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    client.transport.write(bytes("hello"));
    await client.received(5);
  },

  "write() after close()": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    client.transport.write(bytes("before"));
    client.transport.close();
    t.attempt("client", "write", () => client.transport.write(bytes("after")));
    await client.untilLost();
    t.attempt("client", "write", () => client.transport.write(bytes("later")));
    await server.untilLost();
  },

  "abort() tells its own protocol null": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    // With nothing unread, or the system would reset the connection.
    server.transport.write(bytes("hello"));
    await client.received(5);
    t.attempt("client", "abort", () => client.transport.abort());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    await client.untilLost();
    await server.untilLost();
  },

  "pausing and resuming": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    t.attempt("client", "is_reading", () => client.transport.isReading());
    client.transport.pauseReading();
    client.transport.pauseReading();
    t.attempt("client", "is_reading", () => client.transport.isReading());
    server.transport.write(pattern(60_000));
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    client.transport.resumeReading();
    await client.received(60_000);
  },

  "the end that arrives while paused is told after resume_reading()": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    client.transport.pauseReading();
    server.transport.write(bytes("last words"));
    server.transport.close();
    await t.settle();
    client.log("resuming");
    client.transport.resumeReading();
    await client.untilLost();
    await server.untilLost();
  },

  "pause_reading() inside data_received holds the rest": async (t) => {
    const dataReceived = (p: Recorder) => {
      p.transport.pauseReading();
      p.log("paused");
    };
    const [client, server] = [t.recorder("client", { dataReceived }), t.recorder("server")];
    await connectTls(t, client, server);
    server.transport.write(bytes("first"));
    await client.received(5);
    server.transport.write(bytes("second"));
    await t.settle();
    client.transport.resumeReading();
    await client.received(11);
  },

  "flow control while the other side reads nothing": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    server.transport.pauseReading();
    client.transport.write(pattern(16_000_000));
    await t.settle();
    client.transport.write(pattern(1_000_000));
    t.log("client", `something waits: ${client.transport.getWriteBufferSize() > 0}`);
    t.log("client", `paused: ${client.paused}`);
    server.transport.resumeReading();
    await server.received(17_000_000);
    await client.until("resume_writing");
  },

  "write-buffer limits": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await connectTls(t, client, server);
    const limits = () => client.transport.getWriteBufferLimits().join(" ");
    client.transport.setWriteBufferLimits({ high: 1000 });
    t.log("client", `limits ${limits()}`);
    client.transport.setWriteBufferLimits({ low: 10 });
    t.log("client", `limits ${limits()}`);
    t.attempt("client", "low > high", () => client.transport.setWriteBufferLimits({ high: 1, low: 2 }));
  },

  "a buffered protocol": async (t) => {
    const [client, server] = [t.buffered("client"), echoing(t)];
    await connectTls(t, client, server);
    client.transport.write(pattern(60_000));
    await client.received(60_000);
    server.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "what is known of a connection, inside connection_made and after the end": async (t) => {
    const look = (p: Recorder) => {
      const info = p.transport.getExtraInfo.bind(p.transport);
      const cipher = info("cipher");
      p.log(`cipher ${cipher !== null}, version ${cipher?.version}, bits ${cipher?.bits}`);
      p.log(`peercert ${info("peercert")?.subject["CN"] ?? null}`);
      p.log(`compression ${info("compression", "none")}`);
      p.log(`sslcontext ${info("sslcontext") !== null}, ssl_object ${info("sslObject") !== null}`);
      p.log(`protocol ${info("alpnProtocol")}`);
      p.log(`peername ${info("peername") !== null}, socket ${info("socket") !== null}`);
      const unknown = "unknown" as "peername";
      p.log(`unknown ${info(unknown)} ${info(unknown, "default")}`);
    };
    const client = t.recorder("client", { connectionMade: look });
    const server = t.recorder("server", { connectionMade: look });
    await connectTls(t, client, server, { alpnProtocols: ["imap", "smtp"], serverAlpn: ["smtp"] });
  },

  "over a Unix socket": async (t) => {
    const path = t.tempPath("socket");
    const server = echoing(t);
    const listening = await loop.createUnixServer(() => server, { path, tls: serverTls() });
    t.defer(() => listening.close());
    const client = t.recorder("client");
    await loop.createUnixConnection(() => client, { path, tls: clientSide() });
    client.transport.write(bytes("hello"));
    await client.received(5);
    client.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "an exception in data_received": async (t) => {
    const [client, server] = [t.recorder("client", { dataReceived: boom }), t.recorder("server")];
    await connectTls(t, client, server);
    server.transport.write(bytes("hello"));
    await client.untilLost();
    await server.untilLost();
  },

  "a handshake that fails: an unknown issuer": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    await t.attemptAsync("client", "connect", connectTls(t, client, server, { ca: "stranger" }));
    // asyncio's server tells nobody.
    await t.until("exception handler", "exception handler");
  },

  "a handshake that fails: another name": async (t) => {
    const [client, server] = [t.recorder("client"), t.recorder("server")];
    const connecting = connectTls(t, client, server, { serverHostname: "other.test" });
    await t.attemptAsync("client", "connect", connecting);
    // asyncio's server tells nobody.
    await t.until("exception handler", "exception handler");
  },

  "a handshake that fails: the server says nothing": async (t) => {
    const { port } = t.listen().addr;
    const tls = clientSide({ handshakeTimeout: 50 });
    const connecting = loop.createConnection(() => t.recorder("client"), { port, tls });
    await t.attemptAsync("client", "connect", connecting);
  },

  "a handshake that fails: the server speaks in the clear": async (t) => {
    const listener = t.listen();
    const options = { port: listener.addr.port, tls: clientSide() };
    const connecting = loop.createConnection(() => t.recorder("client"), options);
    const attempt = t.attemptAsync("client", "connect", connecting);
    const peer = t.peer(await listener.accept());
    await peer.send("220 hello, who is there?\r\n");
    await attempt;
  },

  "a handshake that fails: the server closes": async (t) => {
    const listener = t.listen();
    const options = { port: listener.addr.port, tls: clientSide() };
    const connecting = loop.createConnection(() => t.recorder("client"), options);
    const attempt = t.attemptAsync("client", "connect", connecting);
    const peer = t.peer(await listener.accept());
    await peer.end();
    await attempt;
  },

  "a client that speaks in the clear costs its connection, and the next is served": async (t) => {
    const server = echoing(t);
    const listening = await t.serve(() => server, { tls: serverTls() });
    const rude = await t.knock(listening);
    await rude.send("GET / HTTP/1.0\r\n\r\n");
    await rude.countAll();
    const client = t.recorder("client");
    await loop.createConnection(() => client, { port: portOf(listening), tls: clientSide() });
    client.transport.write(bytes("hello"));
    await client.received(5);
  },

  "close() of one whose other side never answers": async (t) => {
    const client = t.recorder("client");
    const server = t.recorder("server", { connectionMade: (p) => p.transport.pauseReading() });
    await connectTls(t, client, server, { shutdownTimeout: 50 });
    client.transport.close();
    await client.untilLost();
  },

  "a connection that is given, with no name to verify": async (t) => {
    const [near, far] = await socketPair();
    t.defer(() => near.close());
    t.defer(() => far.close());
    const tls = clientSide({ serverHostname: undefined });
    await t.attemptAsync("client", "connect", loop.createConnection(() => t.recorder("client"), { conn: near, tls }));
  },

  "connect_accepted_socket() is the server's side": async (t) => {
    const [near, far] = await socketPair();
    const [client, server] = [t.recorder("client"), echoing(t)];
    await Promise.all([
      loop.createConnection(() => client, { conn: near, tls: clientSide() }),
      loop.connectAcceptedSocket(() => server, far, { tls: serverTls() }),
    ]);
    client.transport.write(bytes("hello"));
    await client.received(5);
  },
};
