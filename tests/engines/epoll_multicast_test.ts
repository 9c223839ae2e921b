/** Multicast over the epoll engine: IPv4 on the loopback interface, which has no IPv6 multicast, and IPv6 on another. */
import { type DatagramSocket, socketOf as socketOfTransport } from "../../engines/epoll/mod.ts";
import { type DatagramRecorder, endpointsOf, net } from "../datagrams/kit.ts";
import { bytes, tempPath, turn } from "../kit.ts";
import { assertEquals, assertThrows } from "../std.ts";
import { epollLoop, epollTest, supported } from "./epoll_kit.ts";

const makeEndpoints = () => endpointsOf(epollLoop());

function socketOf({ transport }: DatagramRecorder): DatagramSocket {
  return socketOfTransport(transport);
}

const ipv6 = supported
  ? Deno.networkInterfaces().find(({ family, address }) => family === "IPv6" && address.startsWith("fe80:"))
  : undefined;
/** Groups, the wildcard of their family, and the names of an interface. */
const GROUPS: [group: string, hostname: string, interfaces: (string | number)[]][] = [
  ["239.1.2.3", "0.0.0.0", ["lo", 1, "127.0.0.1"]],
];
if (ipv6 !== undefined) GROUPS.push(["ff02::1234", "::", [ipv6.name, indexOf(ipv6.name)]]);

function indexOf(name: string): number {
  return Number(Deno.readTextFileSync(`/sys/class/net/${name}/ifindex`));
}

for (const [group, hostname, interfaces] of GROUPS) {
  for (const chosen of interfaces) {
    epollTest(
      `joinMulticast() receives what is sent to ${group} on interface ${chosen}, leaveMulticast() ends it`,
      async () => {
        const on = makeEndpoints();
        await using member = await on.open({ localAddr: { hostname, port: 0 } });
        await using sender = await on.open({ localAddr: { hostname, port: 0 } });
        const target: Deno.NetAddr = { transport: "udp", hostname: group, port: net(member.addr).port };
        const direct: Deno.NetAddr = { ...target, hostname: hostname === "::" ? "::1" : "127.0.0.1" };
        socketOf(sender).setMulticastInterface(chosen);
        socketOf(member).joinMulticast(group, { interface: chosen });
        sender.transport.sendto(bytes("to the group"), target);
        await member.untilReceived(1);
        socketOf(member).leaveMulticast(group, { interface: chosen });
        sender.transport.sendto(bytes("to none"), target);
        sender.transport.sendto(bytes("direct"), direct);
        await member.untilReceived(2);
        await turn(on.loop);
        assertEquals([member.texts, sender.errors], [["to the group", "direct"], []]);
      },
    );
  }

  epollTest(`settings of multicast on a socket at ${hostname} are read as they were set`, async () => {
    const on = makeEndpoints();
    await using endpoint = await on.open({ localAddr: { hostname, port: 0 } });
    const socket = socketOf(endpoint);
    assertEquals([socket.multicastTtl, socket.multicastLoopback], [1, true]);
    socket.setMulticastTtl(0);
    socket.setMulticastLoopback(false);
    socket.setTtl(7);
    assertEquals([socket.multicastTtl, socket.multicastLoopback, socket.ttl], [0, false, 7]);
    socket.setMulticastTtl(255);
    socket.setMulticastLoopback(true);
    assertEquals([socket.multicastTtl, socket.multicastLoopback], [255, true]);
  });
}

epollTest("joinMulticast() names a wrong argument, and the system's error", async () => {
  const on = makeEndpoints();
  await using endpoint = await on.open();
  const socket = socketOf(endpoint);
  const wrong = (value: unknown) => value as never;
  assertThrows(() => socket.joinMulticast("localhost"), TypeError, "joinMulticast(): group must be an IP address");
  assertThrows(() => socket.joinMulticast(wrong(5)), TypeError, "joinMulticast(): group must be an IP address");
  assertThrows(() => socket.joinMulticast("10.0.0.1"), RangeError, "must be a multicast address, 224.0.0.0 to");
  assertThrows(() => socket.joinMulticast("ff02::1"), TypeError, "group must be an IPv4 address on an IPv4 socket");
  assertThrows(() => socket.joinMulticast("224.0.0.251", wrong({ iface: "lo" })), TypeError, "iface");
  assertThrows(() => socket.joinMulticast("224.0.0.251", { interface: wrong(true) }), TypeError, "options.interface");
  const none = assertThrows(
    () => socket.joinMulticast("224.0.0.251", { interface: "none0" }),
    Error,
    'joinMulticast(): options.interface "none0": No such device',
  );
  assertEquals((none as Error & { code: string }).code, "ENODEV");
  socket.joinMulticast("239.1.2.3", { interface: "lo" });
  assertThrows(
    () => socket.joinMulticast("239.1.2.3", { interface: "lo" }),
    Error,
    "joinMulticast(): Address already in use",
  );
  assertThrows(() => socket.leaveMulticast("239.1.2.4", { interface: "lo" }), Error, "leaveMulticast(): ");
  for (const hops of [-1, 256, 1.5, wrong("1")]) {
    assertThrows(() => socket.setMulticastTtl(hops), Error, "setMulticastTtl(): hops");
  }
  assertThrows(() => socket.setTtl(0), RangeError, "setTtl(): hops");
  assertThrows(() => socket.setMulticastLoopback(wrong(1)), TypeError, "setMulticastLoopback(): on");
  assertThrows(() => socket.setBroadcast(wrong(undefined)), TypeError, "setBroadcast(): on");
});

epollTest("joinMulticast() on a Unix socket is a TypeError", async () => {
  using temp = tempPath();
  const on = makeEndpoints();
  await using endpoint = await on.open({ localAddr: { path: temp.path } });
  assertThrows(() => socketOf(endpoint).joinMulticast("239.1.2.3"), TypeError, "a Unix socket has no multicast");
});
