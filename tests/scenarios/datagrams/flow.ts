/** What flow control, closing and throwing callbacks promise. */
import { bytes, captureExceptions, text, turn } from "../../kit.ts";
import { attempt, DatagramRecorder, LOOPBACK, net, same, type Scenario } from "../../datagrams/kit.ts";

export const flow: Scenario[] = [
  {
    name: "pauseWriting() runs inside the sendto() that goes strictly over high, resumeWriting() once, at low",
    async run(on) {
      await using server = await on.open();
      class Sizes extends DatagramRecorder {
        override pauseWriting(): void {
          this.log.add(`pauseWriting at ${this.transport.getWriteBufferSize()}`);
        }
        override resumeWriting(): void {
          this.log.add(`resumeWriting at ${this.transport.getWriteBufferSize()}`);
        }
      }
      const options = { localAddr: LOOPBACK, remoteAddr: net(server.addr) };
      const [transport, protocol] = await on.loop.createDatagramEndpoint(() => new Sizes(), options);
      await using client = protocol;
      transport.setWriteBufferLimits({ high: 1000, low: 100 });
      for (const size of [500, 400, 76, 0, 92]) {
        transport.sendto(new Uint8Array(size));
        client.log.add(`sendto ${size}: ${transport.getWriteBufferSize()}`);
      }
      await server.untilReceived(5);
      await client.log.has("resumeWriting");
      return [...client.log.entries, transport.getWriteBufferLimits()];
    },
    expected: [
      "connectionMade",
      "sendto 500: 508",
      "sendto 400: 916",
      "sendto 76: 1000",
      "pauseWriting at 1008",
      "sendto 0: 1008",
      "sendto 92: 1108",
      "resumeWriting at 100",
      [100, 1000],
    ],
    expectedAtOnce: null,
  },
  {
    name: "pauseWriting() and resumeWriting() come in pairs, however often the buffer fills",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      const { transport, log } = client;
      transport.setWriteBufferLimits({ high: 0 });
      for (let round = 1; round <= 3; round++) {
        transport.sendto(bytes("one"));
        transport.sendto(bytes("two"));
        await log.until(() => log.entries.filter((entry) => entry === "resumeWriting").length === round);
      }
      await server.untilReceived(6);
      return [...log.entries];
    },
    expected: [
      "connectionMade",
      "pauseWriting",
      "resumeWriting",
      "pauseWriting",
      "resumeWriting",
      "pauseWriting",
      "resumeWriting",
    ],
    expectedAtOnce: null,
  },
  {
    name: "pauseWriting() runs for empty datagrams too: each counts for 8 bytes more than it has",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      const { transport, log } = client;
      let sent = 0;
      while (sent < 60_000 && !log.entries.includes("pauseWriting")) {
        transport.sendto(new Uint8Array(0));
        sent++;
      }
      const size = transport.getWriteBufferSize();
      if (sent === 60_000) return [...log.entries];
      await log.has("resumeWriting");
      const low = transport.getWriteBufferSize();
      transport.close();
      await log.has("connectionLost");
      return [sent, size, low, transport.getWriteBufferSize(), ...log.entries];
    },
    expected: [8193, 65_544, 16_384, 0, "connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"],
    expectedAtOnce: null,
  },
  {
    name: "setWriteBufferLimits() follows the rules of streams, and pauses where the buffer is over the new limit",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      const { transport, log } = client;
      const limits = [transport.getWriteBufferLimits()];
      transport.setWriteBufferLimits({ high: 400 });
      limits.push(transport.getWriteBufferLimits());
      transport.setWriteBufferLimits({ low: 50 });
      limits.push(transport.getWriteBufferLimits());
      transport.setWriteBufferLimits();
      limits.push(transport.getWriteBufferLimits());
      const refused = [
        attempt(() => transport.setWriteBufferLimits({ high: 1, low: 2 })),
        attempt(() => transport.setWriteBufferLimits({ high: -1 })),
        attempt(() => transport.setWriteBufferLimits({ low: -1 })),
      ];
      transport.sendto(new Uint8Array(1000));
      transport.setWriteBufferLimits({ high: 999 });
      log.add("limits set");
      await log.has("resumeWriting");
      return [limits, refused, ...log.entries];
    },
    expected: [
      [[16384, 65536], [100, 400], [50, 200], [16384, 65536]],
      ["RangeError", "RangeError", "RangeError"],
      "connectionMade",
      "pauseWriting",
      "limits set",
      "resumeWriting",
    ],
    expectedAtOnce: null,
  },
  {
    name: "close() sends what is queued first, then connectionLost(null) runs in a later turn",
    async run(on) {
      await using server = await on.open();
      const client = await on.open({ remoteAddr: net(server.addr) });
      for (let i = 0; i < 50; i++) client.transport.sendto(bytes(`${i}`));
      client.transport.close();
      client.transport.close();
      client.transport.sendto(bytes("dropped"));
      const atOnce = [...client.log.entries, client.transport.isClosing()];
      await client.log.has("connectionLost");
      await server.untilReceived(50);
      await turn(on.loop);
      return [atOnce, [...client.log.entries], same(server.texts, Array.from({ length: 50 }, (_, i) => `${i}`))];
    },
    expected: [["connectionMade", true], ["connectionMade", "connectionLost null"], true],
  },
  {
    name: "abort() drops what is queued, then connectionLost(null) runs in a later turn",
    async run(on) {
      await using server = await on.open();
      const client = await on.open({ remoteAddr: net(server.addr) });
      for (let i = 0; i < 50; i++) client.transport.sendto(bytes(`${i}`));
      client.transport.abort();
      client.transport.abort();
      client.transport.close();
      const atOnce = [...client.log.entries, client.transport.isClosing(), client.transport.getWriteBufferSize()];
      await client.log.has("connectionLost");
      await turn(on.loop);
      await using last = await on.open({ remoteAddr: net(server.addr) });
      last.transport.sendto(bytes("last"));
      await server.log.has('datagramReceived "last"');
      // The first may have been on its way.
      return [atOnce, [...client.log.entries], server.texts.filter((data) => data !== "0")];
    },
    expected: [["connectionMade", true, 0], ["connectionMade", "connectionLost null"], ["last"]],
    expectedAtOnce: null,
  },
  {
    name: "close() stops receiving at once: no callback but connectionLost() runs afterwards",
    async run(on) {
      await using client = await on.open();
      const server = await on.open();
      server.onDatagram = () => server.transport.close();
      for (let i = 0; i < 5; i++) client.transport.sendto(bytes(`${i}`), server.addr);
      await server.log.has("connectionLost");
      await turn(on.loop);
      return [...server.log.entries];
    },
    expected: ["connectionMade", 'datagramReceived "0"', "connectionLost null"],
  },
  {
    name: "datagramReceived() that throws or rejects reaches the exception handler only",
    async run(on) {
      using exceptions = captureExceptions(on.loop);
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      server.onDatagram = (data) => {
        if (text(data) === "throw") throw new Error("thrown");
      };
      const rejecting = {
        datagramReceived: () => Promise.reject(new Error("rejected")),
      } as unknown as DatagramRecorder;
      client.transport.sendto(bytes("throw"));
      await server.untilReceived(1);
      server.transport.setProtocol(rejecting);
      client.transport.sendto(bytes("reject"));
      await exceptions.log.until(() => exceptions.contexts.length === 2);
      server.transport.setProtocol(server);
      client.transport.sendto(bytes("fine"));
      await server.untilReceived(2);
      return [
        ...server.texts,
        ...exceptions.contexts.map(({ message, error }) => [message, error?.message]),
        exceptions.contexts.every(({ transport }) => transport === server.transport),
        exceptions.contexts.map(({ protocol }) => protocol === server),
      ];
    },
    expected: [
      "throw",
      "fine",
      ["Exception in protocol.datagramReceived()", "thrown"],
      ["protocol.datagramReceived() is async and rejected", "rejected"],
      true,
      [true, false],
    ],
  },
  {
    name: "connectionMade(), errorReceived() and connectionLost() that throw reach the exception handler only",
    async run(on) {
      using exceptions = captureExceptions(on.loop);
      const thrower = (name: string) => () => {
        throw new Error(name);
      };
      const [transport] = await on.loop.createDatagramEndpoint(() => ({
        connectionMade: thrower("made"),
        errorReceived: thrower("error"),
        connectionLost: thrower("lost"),
      }), { localAddr: LOOPBACK });
      transport.sendto(new Uint8Array(70_000), { transport: "udp", hostname: "127.0.0.1", port: 9 });
      await exceptions.log.until(() => exceptions.contexts.length === 2);
      transport.close();
      await exceptions.log.until(() => exceptions.contexts.length === 3);
      await turn(on.loop);
      return exceptions.contexts.map(({ error }) => error?.message);
    },
    expected: ["made", "error", "lost"],
  },
  {
    name: "using closes a datagram transport",
    async run(on) {
      const [transport, protocol] = await on.loop.createDatagramEndpoint(() => new DatagramRecorder(), {
        localAddr: LOOPBACK,
      });
      {
        using scoped = transport;
        protocol.log.add(`in the scope: ${scoped.isClosing()}`);
      }
      protocol.log.add(`behind it: ${transport.isClosing()}`);
      await protocol.log.has("connectionLost");
      await turn(on.loop);
      return [...protocol.log.entries];
    },
    expected: ["connectionMade", "in the scope: false", "behind it: true", "connectionLost null"],
  },
];
