/** What sending and receiving promise. */
import { bytes, pattern, turn } from "../../kit.ts";
import { attempt, codeOf, DatagramRecorder, LOOPBACK, net, same, type Scenario } from "../../datagrams/kit.ts";

export const sending: Scenario[] = [
  {
    name: "sendto() delivers a datagram whole, with the sender's address, and an answer comes back",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open();
      server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
      client.transport.sendto(bytes("hello"), server.addr);
      await client.untilReceived(1);
      return [
        ...server.log.entries,
        ...client.log.entries,
        same(server.received[0]!.addr, client.addr),
        same(client.received[0]!.addr, server.addr),
      ];
    },
    expected: [
      "connectionMade",
      'datagramReceived "hello"',
      "connectionMade",
      'datagramReceived "hello"',
      true,
      true,
    ],
  },
  {
    name: "sendto() delivers an empty datagram, both ways",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
      client.transport.sendto(new Uint8Array(0));
      client.transport.sendto(bytes("behind"));
      client.transport.sendto(new Uint8Array(0));
      await client.untilReceived(3);
      return [...server.texts, ...client.texts];
    },
    expected: ["", "behind", "", "", "behind", ""],
  },
  {
    name: "sendto() delivers the largest datagram there is intact",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      client.transport.sendto(pattern(65507, 3));
      await server.untilReceived(1);
      return [...server.log.entries, same([...server.received[0]!.data], [...pattern(65507, 3)])];
    },
    expected: ["connectionMade", "datagramReceived 65507", true],
  },
  {
    name: "sendto() keeps the order of many datagrams sent at once",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      for (let i = 0; i < 100; i++) client.transport.sendto(bytes(`${i}`));
      await server.untilReceived(100);
      return [same(server.texts, Array.from({ length: 100 }, (_, i) => `${i}`)), ...client.log.entries];
    },
    expected: [true, "connectionMade"],
  },
  {
    name: "sendto() has copied data when it returns, sent at once or queued",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      const data = bytes("0");
      for (let i = 0; i < 5; i++) {
        data[0] = 48 + i;
        client.transport.sendto(data);
      }
      data[0] = 120;
      await server.untilReceived(5);
      return server.texts;
    },
    expected: ["0", "1", "2", "3", "4"],
  },
  {
    name: "datagramReceived() is given bytes that are never overwritten",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      for (let i = 0; i < 3; i++) {
        client.transport.sendto(new Uint8Array(1000).fill(i));
        // One by one, so that memory used again would show.
        await server.untilReceived(i + 1);
        await turn(on.loop);
      }
      const [first, second, third] = server.received.map(({ data }) => data);
      return [
        first!.every((byte) => byte === 0) && first!.length,
        second!.every((byte) => byte === 1) && second!.length,
        third!.every((byte) => byte === 2) && third!.length,
      ];
    },
    expected: [1000, 1000, 1000],
  },
  {
    name: "connectionMade() may send at once, even to itself, and no answer is lost",
    async run(on) {
      class Eager extends DatagramRecorder {
        override connectionMade(transport: typeof this.transport): void {
          super.connectionMade(transport);
          transport.sendto(bytes("to myself"), this.addr);
        }
      }
      const [, protocol] = await on.loop.createDatagramEndpoint(() => new Eager(), { localAddr: LOOPBACK });
      await using eager = protocol;
      await eager.untilReceived(1);
      return [...eager.log.entries];
    },
    expected: ["connectionMade", 'datagramReceived "to myself"'],
  },
  {
    name: "createDatagramEndpoint() with remoteAddr sends there by default, takes that address, and no other",
    async run(on) {
      await using server = await on.open();
      const remoteAddr = net(server.addr);
      await using client = await on.open({ remoteAddr });
      client.transport.sendto(bytes("default"));
      client.transport.sendto(bytes("null"), null);
      client.transport.sendto(bytes("same"), { ...remoteAddr });
      const other = { ...remoteAddr, port: net(client.addr).port };
      const refused = attempt(() => client.transport.sendto(bytes("other"), other));
      client.transport.sendto(bytes("last"));
      await server.untilReceived(4);
      return [...server.texts, refused, client.transport.getWriteBufferSize(), ...client.log.entries];
    },
    expected: ["default", "null", "same", "last", "RangeError", 0, "connectionMade"],
  },
  {
    name: "createDatagramEndpoint() with remoteAddr does not deliver datagrams from strangers",
    async run(on) {
      await using friend = await on.open();
      await using client = await on.open({ remoteAddr: net(friend.addr) });
      const stranger = await on.open({ remoteAddr: net(client.addr) });
      stranger.transport.sendto(bytes("stranger"));
      // Once it is closed, its datagram lies in the client's socket.
      await stranger.close();
      friend.transport.sendto(bytes("friend"), client.addr);
      await client.untilReceived(1);
      return [...client.log.entries];
    },
    expected: ["connectionMade", 'datagramReceived "friend"'],
  },
  {
    name: "createDatagramEndpoint() resolves the name in remoteAddr once, and sendto() still takes the name",
    async run(on) {
      await using server = await on.open({ localAddr: { hostname: "localhost", port: 0 } });
      const remoteAddr = { hostname: "localhost", port: net(server.addr).port };
      await using client = await on.open({ remoteAddr });
      server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
      client.transport.sendto(bytes("by default"));
      client.transport.sendto(bytes("by name"), { transport: "udp", ...remoteAddr });
      await client.untilReceived(2);
      return [net(client.transport.getExtraInfo("peername")!).hostname, ...client.texts];
    },
    expected: ["127.0.0.1", "by default", "by name"],
  },
  {
    name: "createDatagramEndpoint() speaks IPv6, and knows an address by every spelling",
    async run(on) {
      await using server = await on.open({ localAddr: { hostname: "::1", port: 0 } });
      server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
      const events = [];
      for (const hostname of ["::1", "[::1]", "0:0:0:0:0:0:0:1", "::0001"]) {
        const remoteAddr = { hostname, port: net(server.addr).port };
        const [, client] = await on.loop.createDatagramEndpoint(() => new DatagramRecorder(), { remoteAddr });
        const peername = net(client.transport.getExtraInfo("peername")!).hostname;
        client.transport.sendto(bytes(hostname), { transport: "udp", ...remoteAddr });
        // Known by another name, the answer would be taken for a stranger's.
        if (peername === "::1") await client.untilReceived(1);
        events.push(peername, ...client.texts);
        await client.close();
      }
      return events;
    },
    expected: ["::1", "::1", "::1", "[::1]", "::1", "0:0:0:0:0:0:0:1", "::1", "::0001"],
  },
  {
    name: "errorReceived() is told of a datagram that is too large, and the transport lives on",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      client.transport.sendto(bytes("before"));
      client.transport.sendto(new Uint8Array(100_000));
      client.transport.sendto(bytes("behind"));
      await server.untilReceived(2);
      await client.log.has("errorReceived");
      await client.log.until(() => client.transport.getWriteBufferSize() === 0);
      return [...server.log.entries, ...client.log.entries, client.transport.isClosing()];
    },
    expected: [
      "connectionMade",
      'datagramReceived "before"',
      'datagramReceived "behind"',
      "connectionMade",
      "pauseWriting",
      "errorReceived EMSGSIZE",
      "resumeWriting",
      false,
    ],
    expectedAtOnce: [
      "connectionMade",
      'datagramReceived "before"',
      'datagramReceived "behind"',
      "connectionMade",
      "errorReceived EMSGSIZE",
      false,
    ],
  },
  {
    name: "errorReceived() is told of an address that the socket cannot reach, and the transport lives on",
    async run(on) {
      await using client = await on.open();
      // From an IPv4 socket.
      client.transport.sendto(bytes("x"), { transport: "udp", hostname: "::1", port: 9 });
      await client.log.has("errorReceived");
      client.transport.sendto(bytes("to myself"), client.addr);
      await client.untilReceived(1);
      return [client.errors.length, client.transport.isClosing(), ...client.texts];
    },
    expected: [1, false, "to myself"],
  },
  {
    name: "createDatagramEndpoint() with allowBroadcast sends to a broadcast address",
    async run(on) {
      await using server = await on.open({ localAddr: { hostname: "0.0.0.0", port: 0 } });
      await using client = await on.open({ localAddr: { hostname: "0.0.0.0", port: 0 }, allowBroadcast: true });
      // The broadcast address of the loopback network.
      const { port } = net(server.addr);
      client.transport.sendto(bytes("to all"), { transport: "udp", hostname: "127.255.255.255", port });
      await Promise.race([server.untilReceived(1), client.log.has("errorReceived")]);
      return [...server.texts, ...client.errors.map(codeOf)];
    },
    expected: ["to all"],
  },
  {
    name: "sendto() throws at once for data or addresses of the wrong kind, and sends nothing",
    async run(on) {
      await using endpoint = await on.open();
      const { transport } = endpoint;
      const send = (data: unknown, addr?: unknown) =>
        attempt(() => transport.sendto(data as Uint8Array, addr as Deno.Addr));
      const good = endpoint.addr;
      const refused = [
        send("text", good),
        send(null, good),
        send(new ArrayBuffer(1), good),
        send([1], good),
        send(bytes("x")),
        send(bytes("x"), null),
        send(bytes("x"), "127.0.0.1:9"),
        send(bytes("x"), {}),
        send(bytes("x"), { transport: "unixpacket", path: "socket" }),
        send(bytes("x"), { transport: "udp", hostname: "127.0.0.1", port: 70_000 }),
        send(bytes("x"), { transport: "udp", hostname: "127.0.0.1", port: -1 }),
      ];
      const size = transport.getWriteBufferSize();
      let message = "";
      try {
        transport.sendto("text" as unknown as Uint8Array, good);
      } catch (error) {
        message = (error as Error).message;
      }
      return [...refused, size, message, ...endpoint.log.entries];
    },
    expected: [
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "RangeError",
      "RangeError",
      0,
      'sendto(): data must be a Uint8Array, got string "text"',
      "connectionMade",
    ],
  },
];
