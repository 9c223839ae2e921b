/** `{ fd }` of datagram sockets on the epoll engine. */
import { DatagramProtocol, type DatagramTransport } from "../../mod.ts";
import { AF_UNIX, SOCK_DGRAM } from "../../engines/epoll/constants.ts";
import { DatagramSocket, socketOf } from "../../engines/epoll/mod.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "../std.ts";
import { bytes, EventLog, tempPath, text, turn } from "../kit.ts";
import { CALLS, Fds, flags, isOpen, libc, loop, portOf, put, refused, take } from "./descriptors_kit.ts";
import { epollTest } from "./epoll_kit.ts";

/** Records each datagram with its sender, and how the endpoint ends. */
class Recorder extends DatagramProtocol {
  readonly log = new EventLog();
  transport!: DatagramTransport;
  override connectionMade(transport: DatagramTransport): void {
    this.transport = transport;
  }
  override datagramReceived(data: Uint8Array, addr: Deno.Addr): void {
    this.log.add(`${text(data)} from ${"port" in addr ? addr.port : addr.transport === "unixpacket" && addr.path}`);
  }
  override errorReceived(error: Error): void {
    this.log.add(error.name);
  }
  override connectionLost(error: Error | null): void {
    this.log.add(`connectionLost ${error}`);
  }
}

const open = (fd: number) => loop.createDatagramEndpoint(() => new Recorder(), { fd });
const udp = (fd: number) => ({ transport: "udp" as const, hostname: "127.0.0.1", port: portOf(fd) });

/** Closes an endpoint, and insists that its descriptor is closed. */
async function close(protocol: Recorder, fd: number): Promise<void> {
  protocol.transport.close();
  await protocol.log.has("connectionLost null");
  await turn(loop);
  assertEquals(isOpen(fd), false);
}

epollTest("createDatagramEndpoint() takes a UDP socket by its descriptor, and closes it", async () => {
  using fds = new Fds();
  const [fd, other] = [fds.udp(), fds.udp()];
  const [transport, protocol] = await open(fd);
  assertEquals(flags(fd), { nonblocking: true, inherited: false });
  assertEquals([transport.getExtraInfo("sockname"), transport.getExtraInfo("peername")], [udp(fd), null]);
  assertInstanceOf(socketOf(transport), DatagramSocket);
  assertEquals(socketOf(transport).fd, fd);
  transport.sendto(bytes("to you"), udp(other));
  await turn(loop);
  assertEquals(text(take(other) as Uint8Array), "to you");
  const { port } = udp(fd);
  const to = new Uint8Array([2, 0, port >> 8, port & 255, 127, 0, 0, 1, ...new Uint8Array(8)]);
  assertEquals(libc.sendto(other, bytes("to me"), 5n, 0, to, to.length), 5);
  await protocol.log.has(`to me from ${portOf(other)}`);
  await close(protocol, fd);
});

epollTest("createDatagramEndpoint() takes a connected UDP socket, whose peer is its remote address", async () => {
  using fds = new Fds();
  const other = fds.udp();
  const fd = fds.udp(other);
  const [transport, protocol] = await open(fd);
  const peer = udp(other);
  assertEquals(transport.getExtraInfo("peername"), peer);
  transport.sendto(bytes("one"));
  transport.sendto(bytes("two"), peer);
  await turn(loop);
  assertEquals([text(take(other) as Uint8Array), text(take(other) as Uint8Array)], ["one", "two"]);
  const wrong = "sendto(): addr must be null or { hostname";
  assertThrows(() => transport.sendto(bytes("x"), { ...peer, port: 1 }), RangeError, wrong);
  libc.close(other);
  transport.sendto(bytes("three"));
  await protocol.log.has("ConnectionRefused");
  await close(protocol, fd);
});

epollTest("createDatagramEndpoint() takes an end of a pair of Unix datagram sockets", async () => {
  using fds = new Fds();
  const [near, far] = fds.datagramPair();
  const [transport, protocol] = await open(near);
  const unnamed = { transport: "unixpacket", path: "" } as const;
  assertEquals([transport.getExtraInfo("sockname"), transport.getExtraInfo("peername")], [unnamed, unnamed]);
  transport.sendto(bytes("one"));
  await turn(loop);
  assertEquals(text(take(far) as Uint8Array), "one");
  put(far, bytes("two"));
  await protocol.log.has("two from ");
  libc.close(far);
  transport.sendto(bytes("three"));
  await protocol.log.until(() => protocol.log.entries.length > 1);
  assertEquals(protocol.log.entries.slice(1).every((entry) => /^Connection(Refused|Reset)$/.test(entry)), true);
  await close(protocol, near);
});

epollTest("createDatagramEndpoint() takes a bound Unix socket, and leaves its file", async () => {
  using temp = tempPath();
  using fds = new Fds();
  const fd = fds.socket(SOCK_DGRAM, AF_UNIX);
  const address = new Uint8Array([1, 0, ...bytes(temp.path), 0]);
  assertEquals(libc.bind(fd, address, address.length), 0);
  const [transport, protocol] = await open(fd);
  assertEquals(transport.getExtraInfo("sockname"), { transport: "unixpacket", path: temp.path });
  transport.sendto(bytes("to myself"), { path: temp.path });
  await protocol.log.has(`to myself from ${temp.path}`);
  await close(protocol, fd);
  assertEquals(Deno.lstatSync(temp.path).isSocket, true);
});

epollTest("createDatagramEndpoint() refuses descriptors of the wrong kind, and leaves them alone", async () => {
  using fds = new Fds();
  const call = "createDatagramEndpoint";
  const [stream, file] = [fds.socket(), fds.open("/dev/null")];
  const expected = "fd must be a datagram socket, got descriptor";
  await refused(call, stream, TypeError, `${expected} ${stream}, which is a stream socket`);
  await refused(call, file, TypeError, `${expected} ${file}, which is not a socket`);
});

epollTest(
  "createDatagramEndpoint() refuses every other option beside fd, and closes fd if the factory throws",
  async () => {
    using fds = new Fds();
    const fd = fds.udp();
    for (const [name, value] of Object.entries({ localAddr: { port: 0 }, remoteAddr: { port: 1 }, reusePort: false })) {
      const message = `createDatagramEndpoint(): fd and ${name} cannot both be given`;
      await assertRejects(() => CALLS["createDatagramEndpoint"]!(fd, { [name]: value }), TypeError, message);
    }
    assertEquals(flags(fd), { nonblocking: false, inherited: true });
    const factory = () => {
      throw new EvalError("factory");
    };
    await assertRejects(() => loop.createDatagramEndpoint(factory, { fd }), EvalError, "factory");
    assertEquals(isOpen(fd), false);
  },
);
