/** How connections begin and end. */
import { bytes, freePort, loop, pattern } from "../../kit.ts";
import { boom } from "../log.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios } from "../stage.ts";

export const scenarios: Scenarios = {
  "close() is followed by connection_lost(null) in a later turn": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    t.attempt("client", "close", () => client.transport.close());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    loop.callSoon(() => client.log("scheduled after close()"));
    await client.until("scheduled");
    await peer.receiveAll();
  },

  "abort() is followed by connection_lost(null) in a later turn": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    t.attempt("client", "abort", () => client.transport.abort());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    loop.callSoon(() => client.log("scheduled after abort()"));
    await client.until("scheduled");
    await peer.receiveAll();
  },

  "close(), abort() and close() again make one connection_lost": async (t) => {
    const client = t.recorder("client");
    await t.dial(client);
    client.transport.close();
    client.transport.close();
    client.transport.abort();
    client.transport.abort();
    client.transport.close();
    await client.untilLost();
    client.transport.close();
    client.transport.abort();
    await t.settle();
  },

  "close() inside connection_made": async (t) => {
    const client = t.recorder("client", { connectionMade: (p) => p.transport.close() });
    const peer = await t.dial(client);
    await client.untilLost();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    await peer.receiveAll();
  },

  "write() and abort() inside connection_made": async (t) => {
    const client = t.recorder("client", {
      connectionMade(p) {
        p.transport.write(pattern(8_000_000));
        p.transport.abort();
      },
    });
    const peer = await t.dial(client);
    await client.untilLost();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    t.log("peer", `received all: ${await peer.countAll() === 8_000_000}`);
  },

  "close() inside data_received ends the data callbacks": async (t) => {
    const client = t.recorder("client", { dataReceived: (p) => p.transport.close() });
    const peer = await t.dial(client);
    await peer.send("one");
    await client.until("data_received");
    await peer.send("two");
    await client.untilLost();
    await t.settle();
  },

  "abort() inside data_received ends the data callbacks": async (t) => {
    const client = t.recorder("client", { dataReceived: (p) => p.transport.abort() });
    const peer = await t.dial(client);
    await peer.send("one");
    await client.until("data_received");
    await peer.send("two");
    await client.untilLost();
    await t.settle();
  },

  "eof_received that returns nothing closes": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    await peer.send("bye");
    await peer.end();
    await client.untilLost();
    await peer.receiveAll();
  },

  "eof_received that returns false closes": async (t) => {
    const client = t.recorder("client", { eofReceived: () => false });
    const peer = await t.dial(client);
    await peer.end();
    await client.untilLost();
    await peer.receiveAll();
  },

  "eof_received that returns true leaves the connection open for writing": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    await peer.end();
    await client.until("eof_received");
    await t.settle();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    client.transport.write(bytes("still here"));
    await peer.receive(10);
    client.transport.close();
    await client.untilLost();
    await peer.receiveAll();
  },

  "eof_received that writes and returns false still sends it": async (t) => {
    const client = t.recorder("client", {
      eofReceived(p) {
        p.transport.write(bytes("last words"));
        return false;
      },
    });
    const peer = await t.dial(client);
    await peer.end();
    await peer.receiveAll();
    await client.untilLost();
  },

  "eof_received that closes and returns true": async (t) => {
    const client = t.recorder("client", {
      eofReceived(p) {
        p.transport.close();
        return true;
      },
    });
    const peer = await t.dial(client);
    await peer.end();
    await client.untilLost();
    await peer.receiveAll();
  },

  "half close keeps the other direction open": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(bytes("question"));
    client.transport.writeEof();
    await peer.receiveAll();
    await peer.send("answer");
    await client.received(6);
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    await peer.end();
    await client.untilLost();
  },

  "both sides have ended and eof_received returned true: closing is left to the protocol": async (t) => {
    const client = t.recorder("client", { eofReceived: () => true });
    const peer = await t.dial(client);
    client.transport.writeEof();
    await peer.receiveAll();
    await peer.end();
    await client.until("eof_received");
    await t.settle();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    client.transport.close();
    await client.untilLost();
  },

  "close() flushes what is buffered first": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(pattern(8_000_000));
    client.transport.close();
    await t.settle();
    client.log(`buffer is empty: ${client.transport.getWriteBufferSize() === 0}`);
    await peer.receiveAll();
    await client.untilLost();
  },

  "abort() right after a write: what the kernel takes at once arrives": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(bytes("last words"));
    client.transport.abort();
    await client.untilLost();
    await peer.receiveAll();
  },

  "abort() after close() drops what is not flushed": async (t) => {
    const client = t.recorder("client");
    const peer = await t.dial(client);
    client.transport.write(pattern(8_000_000));
    client.transport.close();
    await t.settle();
    client.transport.abort();
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    await client.untilLost();
    t.log("peer", `received all: ${await peer.countAll() === 8_000_000}`);
  },

  "a reset by the peer is connection_lost with the error and nothing else": async (t) => {
    const client = t.recorder("client");
    const reset = await t.dialResettable(client);
    await reset();
    await client.untilLost();
  },

  "a reset by the peer while close() flushes": async (t) => {
    const client = t.recorder("client");
    const reset = await t.dialResettable(client);
    client.transport.write(pattern(8_000_000));
    client.transport.close();
    await t.settle();
    await reset();
    await client.untilLost();
  },

  "close() and write() inside connection_lost are nothing": async (t) => {
    const client = t.recorder("client", {
      connectionLost({ transport }: Recorder) {
        t.attempt("client", "is_closing", () => transport.isClosing());
        t.attempt("client", "close", () => transport.close());
        t.attempt("client", "abort", () => transport.abort());
        t.attempt("client", "write", () => transport.write(bytes("too late")));
      },
    });
    const peer = await t.dial(client);
    client.transport.close();
    await peer.receiveAll();
    await t.settle();
  },

  "a refused connection rejects and calls no factory": async (t) => {
    const port = freePort("127.0.0.1");
    const client = t.recorder("client");
    const factory = () => {
      client.log("factory");
      return client;
    };
    await t.attemptAsync("client", "create_connection", loop.createConnection(factory, { port }));
  },

  "a factory that throws rejects create_connection": async (t) => {
    const { port } = t.listen().addr;
    await t.attemptAsync("client", "create_connection", loop.createConnection(boom, { port }));
  },

  "create_connection takes a connected socket": async (t) => {
    const listener = t.listen();
    const conn = await Deno.connect({ port: listener.addr.port });
    const peer = t.peer(await listener.accept());
    const client = t.recorder("client");
    const [transport, protocol] = await loop.createConnection(() => client, { conn });
    client.log(`the pair is ours: ${transport === client.transport && protocol === client}`);
    transport.write(bytes("hello"));
    await peer.receive(5);
    await peer.end();
    await client.untilLost();
  },

  "connect_accepted_socket takes an accepted socket": async (t) => {
    const listener = t.listen();
    const peer = t.peer(await Deno.connect({ port: listener.addr.port }));
    const accepted = await listener.accept();
    const server = t.recorder("server");
    const [transport, protocol] = await loop.connectAcceptedSocket(() => server, accepted);
    server.log(`the pair is ours: ${transport === server.transport && protocol === server}`);
    await peer.send("hello");
    await server.received(5);
    transport.close();
    await server.untilLost();
    await peer.receiveAll();
  },

  "extra info outlives the transport": async (t) => {
    const client = t.recorder("client");
    const { conn } = await t.dial(client);
    const { transport } = client;
    transport.close();
    await client.untilLost();
    const portOf = (addr: Deno.Addr | null) => (addr as Deno.NetAddr).port;
    client.log(`peername is the peer: ${portOf(transport.getExtraInfo("peername")) === portOf(conn.localAddr)}`);
    client.log(`sockname is ours: ${portOf(transport.getExtraInfo("sockname")) === portOf(conn.remoteAddr)}`);
    client.log(`socket is there: ${transport.getExtraInfo("socket") !== null}`);
    client.log(
      `unknown: ${transport.getExtraInfo("unknown")}, with a default: ${transport.getExtraInfo("unknown", 7)}`,
    );
  },

  "a connection over a Unix socket": async (t) => {
    const path = t.tempPath("socket");
    const server = t.recorder("server", { eofReceived: (p) => p.transport.write(bytes("answer")) });
    const listening = await loop.createUnixServer(() => server, { path });
    const client = t.recorder("client");
    await loop.createUnixConnection(() => client, { path });
    client.transport.write(bytes("question"));
    client.transport.writeEof();
    await client.untilLost();
    await server.untilLost();
    listening.close();
  },
};
