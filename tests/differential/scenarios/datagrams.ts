/** Datagram endpoints. */
import { DatagramProtocol } from "../../../mod.ts";
import { bytes, loop, pattern } from "../../kit.ts";
import { boom } from "../log.ts";
import type { DatagramRecorder } from "../recorders.ts";
import type { Scenarios } from "../stage.ts";

function address(endpoint: DatagramRecorder): Deno.NetAddr {
  return endpoint.transport.getExtraInfo("sockname") as Deno.NetAddr;
}

export const scenarios: Scenarios = {
  "an echo between endpoints without a remote address": async (t) => {
    const server = t.datagrams("server", {
      datagramReceived(p, data, addr) {
        p.log(`from the client: ${(addr as Deno.NetAddr).port === address(client).port}`);
        p.transport.sendto(bytes(`${new TextDecoder().decode(data)}!`), addr);
      },
    });
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client);
    client.transport.sendto(bytes("hello"), address(server));
    await client.received(6);
    client.transport.close();
    server.transport.close();
    await client.untilLost();
    await server.untilLost();
  },

  "a connected endpoint sends to its remote address, named or not": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    client.transport.sendto(bytes("unnamed"));
    client.transport.sendto(bytes("null"), null);
    client.transport.sendto(bytes("named"), address(server));
    await server.received(16);
  },

  "a connected endpoint refuses another address and lives on": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const other = t.datagrams("other");
    await t.endpoint(other);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    t.attempt("client", "sendto", () => client.transport.sendto(bytes("astray"), address(other)));
    client.transport.sendto(bytes("alive"));
    await server.received(5);
  },

  "a connected endpoint drops datagrams of other senders": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    const stranger = t.datagrams("stranger");
    await t.endpoint(stranger);
    stranger.transport.sendto(bytes("psst"), address(client));
    await t.settle();
    server.transport.sendto(bytes("hello"), address(client));
    await client.received(5);
  },

  "an endpoint without a remote address needs one to send to": async (t) => {
    t.exceptionsTo("client");
    const client = t.datagrams("client");
    await t.endpoint(client);
    t.attempt("client", "sendto", () => client.transport.sendto(bytes("whereto?")));
    await t.settle();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
  },

  "datagrams keep their bounds and their order": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    for (let i = 0; i < 10; i++) client.transport.sendto(bytes("x".repeat(i + 1)));
    await server.received(55);
  },

  "what was sent is the caller's again": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    const data = bytes("first ");
    client.transport.sendto(data);
    data.set(bytes("second"));
    client.transport.sendto(data);
    data.set(bytes("xxxxxx"));
    await server.received(12);
  },

  "the largest datagram arrives, a larger one is error_received, and the endpoint lives on": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    client.transport.sendto(pattern(65507));
    await server.received(65507);
    client.transport.sendto(pattern(65508));
    await client.until("error_received");
    client.transport.sendto(bytes("alive"));
    await server.received(65512);
  },

  "an empty datagram that is sent": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    client.transport.sendto(bytes(""));
    client.transport.sendto(bytes("the next"));
    await server.received(8);
  },

  "an empty datagram that arrives": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const [transport] = await loop.createDatagramEndpoint(() => new DatagramProtocol());
    t.defer(() => transport.close());
    transport.sendto(bytes(""), address(server));
    await server.until("datagram_received");
  },

  "what is no bytes is a TypeError, and the endpoint lives on": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    const sendto = (data: unknown) => client.transport.sendto(data as Uint8Array);
    t.attempt("client", "sendto text", () => sendto("text"));
    t.attempt("client", "sendto null", () => sendto(null));
    client.transport.sendto(bytes("alive"));
    await server.received(5);
  },

  "close() flushes, then connection_lost(null) in a later turn": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    client.transport.sendto(bytes("last "));
    client.transport.sendto(bytes("words"));
    t.attempt("client", "close", () => client.transport.close());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    t.attempt("client", "sendto after close()", () => client.transport.sendto(bytes("too late")));
    await client.untilLost();
    await server.received(10);
    t.attempt("client", "sendto after connection_lost", () => client.transport.sendto(bytes("too late")));
    await t.settle();
  },

  "sendto() after close() of an endpoint without a remote address": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client);
    client.transport.close();
    client.transport.sendto(bytes("too late"), address(server));
    await client.untilLost();
    const last = t.datagrams("last");
    await t.endpoint(last);
    last.transport.sendto(bytes("the end"), address(server));
    await server.until('datagram_received "the end"');
  },

  "abort(), close() and abort() again make one connection_lost": async (t) => {
    const client = t.datagrams("client");
    await t.endpoint(client);
    t.attempt("client", "abort", () => client.transport.abort());
    t.attempt("client", "is_closing", () => client.transport.isClosing());
    client.transport.close();
    client.transport.abort();
    await client.untilLost();
    client.transport.close();
    client.transport.abort();
    await t.settle();
  },

  "close() inside datagram_received ends the data callbacks": async (t) => {
    const server = t.datagrams("server", { datagramReceived: (p) => p.transport.close() });
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    client.transport.sendto(bytes("one"));
    client.transport.sendto(bytes("two"));
    await server.untilLost();
    await t.settle();
  },

  "no socket at the remote address": async (t) => {
    const gone = t.datagrams("gone");
    await t.endpoint(gone);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: gone });
    gone.transport.close();
    await gone.untilLost();
    // The socket is closed after connectionLost.
    await t.turns();
    client.transport.sendto(bytes("anybody there?"));
    await t.settle();
    t.attempt("client", "is_closing", () => client.transport.isClosing());
  },

  "extra info outlives the endpoint": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: server });
    for (const endpoint of [server, client]) {
      const { transport } = endpoint;
      transport.close();
      await endpoint.untilLost();
      const peername = transport.getExtraInfo("peername") as Deno.NetAddr | null;
      endpoint.log(`sockname has a port: ${address(endpoint).port > 0}`);
      endpoint.log(`peername is the server: ${peername?.port === address(server).port}`);
      endpoint.log(`socket is there: ${transport.getExtraInfo("socket") !== null}`);
    }
  },

  "the limits of the write buffer": async (t) => {
    const client = t.datagrams("client");
    await t.endpoint(client);
    t.attempt("client", "get_write_buffer_size", () => client.transport.getWriteBufferSize());
    client.transport.setWriteBufferLimits({ high: 1000 });
    t.attempt("client", "low over high", () => client.transport.setWriteBufferLimits({ high: 10, low: 11 }));
    t.attempt("client", "negative", () => client.transport.setWriteBufferLimits({ high: -1 }));
  },

  "set_protocol() gives the rest to the new protocol": async (t) => {
    const second = t.datagrams("second");
    const first = t.datagrams("first", { datagramReceived: (p) => p.handOver(second) });
    await t.endpoint(first);
    const client = t.datagrams("client");
    await t.endpoint(client, { remote: first });
    client.transport.sendto(bytes("one"));
    client.transport.sendto(bytes("two"));
    await second.received(3);
    second.transport.close();
    await second.untilLost();
  },

  "a local address that is taken, and a factory that throws": async (t) => {
    const server = t.datagrams("server");
    await t.endpoint(server);
    const taken = loop.createDatagramEndpoint(() => t.datagrams("second"), { localAddr: address(server) });
    await t.attemptAsync("second", "create_datagram_endpoint", taken);
    const thrown = loop.createDatagramEndpoint(boom, { localAddr: { hostname: "127.0.0.1", port: 0 } });
    await t.attemptAsync("third", "create_datagram_endpoint", thrown);
  },

  "an echo over Unix sockets": async (t) => {
    const paths = [t.tempPath("server"), t.tempPath("client")] as const;
    const server = t.datagrams("server", {
      datagramReceived: (p, data, addr) => p.transport.sendto(bytes(`${new TextDecoder().decode(data)}!`), addr),
    });
    await loop.createDatagramEndpoint(() => server, { localAddr: { path: paths[0] } });
    const client = t.datagrams("client");
    await loop.createDatagramEndpoint(() => client, { localAddr: { path: paths[1] } });
    client.transport.sendto(bytes("hello"), { transport: "unixpacket", path: paths[0] });
    await client.received(6);
  },
};
