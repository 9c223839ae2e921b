/** What making an endpoint promises, and what is known about it. */
import { bytes, captureExceptions, turn } from "../../kit.ts";
import { attempt, codeOf, DatagramRecorder, LOOPBACK, net, same, type Scenario } from "../../datagrams/kit.ts";

export const endpoint: Scenario[] = [
  {
    name: "createDatagramEndpoint() takes a plain object with no callbacks at all",
    async run(on) {
      using exceptions = captureExceptions(on.loop);
      await using client = await on.open();
      const [transport, protocol] = await on.loop.createDatagramEndpoint(() => ({}), { localAddr: LOOPBACK });
      client.transport.sendto(bytes("unheard"), { ...transport.getExtraInfo("sockname")! });
      transport.setWriteBufferLimits({ high: 0 });
      transport.sendto(bytes("back"), client.addr);
      await client.untilReceived(1);
      transport.close();
      await turn(on.loop);
      await turn(on.loop);
      return [...client.texts, transport.getProtocol() === protocol, exceptions.contexts.length];
    },
    expected: ["back", true, 0],
  },
  {
    name: "createDatagramEndpoint() with a factory that throws rejects with that, and frees the port",
    async run(on) {
      const probe = await on.open();
      const localAddr = net(probe.addr);
      await probe.close();
      const thrown = await attempt(() =>
        on.loop.createDatagramEndpoint(() => {
          throw new EvalError("factory");
        }, { localAddr })
      );
      const noObject = await attempt(() => on.loop.createDatagramEndpoint(() => 5 as unknown as object, { localAddr }));
      await using again = await on.open({ localAddr });
      return [thrown, noObject, same(again.addr, localAddr)];
    },
    expected: ["EvalError", "TypeError", true],
  },
  {
    name: "createDatagramEndpoint() on a taken port rejects with AddrInUse and its code",
    async run(on) {
      await using taken = await on.open();
      let error: unknown;
      await on.open({ localAddr: net(taken.addr) }).catch((reason) => error = reason);
      return [error instanceof Deno.errors.AddrInUse, codeOf(error as Error)];
    },
    expected: [true, "EADDRINUSE"],
  },
  {
    name: "createDatagramEndpoint() with reuseAddress shares a port",
    async run(on) {
      await using first = await on.open({ reuseAddress: true });
      await using second = await on.open({ localAddr: net(first.addr), reuseAddress: true });
      return [same(first.addr, second.addr)];
    },
    expected: [true],
  },
  {
    name: "createDatagramEndpoint() rejects options of the wrong kind, each with a message that names it",
    async run(on) {
      const create = (options: unknown, factory: unknown = () => ({})) =>
        attempt(() => on.loop.createDatagramEndpoint(factory as () => object, options as Record<string, never>));
      return [
        await create({}, "no function"),
        await create({ localAddr: "127.0.0.1:80" }),
        await create({ localAddr: null }),
        await create({ localAddr: { hostname: "127.0.0.1" } }),
        await create({ localAddr: { hostname: "127.0.0.1", port: 65536 } }),
        await create({ localAddr: { hostname: "127.0.0.1", port: -1 } }),
        await create({ localAddr: { hostname: "127.0.0.1", port: 1.5 } }),
        await create({ remoteAddr: { hostname: "127.0.0.1", port: 0 } }),
        await create({ remoteAddr: { path: "" } }),
        await create({ localAddr: LOOPBACK, remoteAddr: { path: "socket" } }),
      ];
    },
    expected: [
      "TypeError",
      "TypeError",
      "TypeError",
      "TypeError",
      "RangeError",
      "RangeError",
      "RangeError",
      "RangeError",
      "TypeError",
      "TypeError",
    ],
  },
  {
    name: "getExtraInfo() knows the endpoint's addresses and socket, also when it has closed",
    async run(on) {
      await using server = await on.open();
      const client = await on.open({ remoteAddr: net(server.addr) });
      const ask = () => [
        server.transport.getExtraInfo("peername"),
        server.transport.getExtraInfo("peername", "none"),
        same(client.transport.getExtraInfo("peername"), server.addr),
        net(client.addr).hostname,
        net(client.addr).port > 0,
        net(client.addr).transport,
        typeof client.transport.getExtraInfo("socket"),
        client.transport.getExtraInfo("pipe"),
        client.transport.getExtraInfo("no such key", 1),
        client.transport.getExtraInfo("cipher"),
      ];
      const before = ask();
      await client.close();
      return [...before, same(ask(), before)];
    },
    expected: [null, "none", true, "127.0.0.1", true, "udp", "object", null, 1, null, true],
  },
  {
    name: "setProtocol() hands the next datagram to the other protocol, and connectionMade() does not run again",
    async run(on) {
      await using server = await on.open();
      await using client = await on.open({ remoteAddr: net(server.addr) });
      const second = new DatagramRecorder();
      server.onDatagram = () => server.transport.setProtocol(second);
      client.transport.sendto(bytes("one"));
      client.transport.sendto(bytes("two"));
      await second.untilReceived(1);
      server.transport.setProtocol(server);
      return [
        [...server.log.entries],
        [...second.log.entries],
        attempt(() => server.transport.setProtocol(null as unknown as object)),
        server.transport.getProtocol() === server,
      ];
    },
    expected: [["connectionMade", 'datagramReceived "one"'], ['datagramReceived "two"'], "TypeError", true],
  },
];
