import { isIP } from "node:net";
import type { DatagramSink } from "../../transports/datagram_handle.ts";
import { AF_INET, AF_INET6, EAGAIN, ECONNREFUSED, EINTR, MSG_SEND } from "./constants.ts";
import { DatagramPermission } from "./datagram_permission.ts";
import { makeReceiver, MAX_BATCH, type Receiver, UDP_MEMORY } from "./datagram_receivers.ts";
import { type Sender, Senders } from "./datagram_senders.ts";
import { DatagramSource, tooLong } from "./datagram_source.ts";
import { lastError } from "./errors.ts";
import { sizeOf } from "./libc.ts";
import type { Reactor } from "./reactor.ts";
import { requireNet, requireNotDenied } from "./permissions.ts";
import { resolve, withoutBrackets } from "./resolve.ts";
import { encodeIp } from "./sockaddr.ts";

/** What the UDP sockets of an engine share. */
export class UdpShare {
  readonly senders: Senders = new Senders();
  readonly permission: DatagramPermission = new DatagramPermission();
  #receiver: Receiver | null = null;

  get receiver(): Receiver {
    return this.#receiver ??= makeReceiver(this.senders);
  }
}

/** An address that was sent to, and how the kernel has it. */
interface Target {
  readonly hostname: string;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** A UDP socket. One with a remote address is connected, so the kernel reports that the peer's port is closed. */
export class UdpHandle extends DatagramSource {
  readonly remoteAddr: Deno.NetAddr | null;
  #family: number;
  #share: UdpShare;
  /** The address of the only peer. */
  #peer: Uint8Array | null;
  /** The sender whose datagram is being delivered. Most datagrams are answered at once. */
  #sender: Sender | null = null;
  /** The last address that was sent to. */
  #target: Target | null = null;
  /** The name that the pending datagram is sent to. A name is resolved for each datagram. */
  #resolved: Target | null = null;

  constructor(
    reactor: Reactor,
    fd: number,
    family: number,
    addr: Deno.NetAddr,
    share: UdpShare,
    remote: { addr: Deno.NetAddr; bytes: Uint8Array } | null,
  ) {
    super(reactor, fd, family, addr);
    this.#family = family;
    this.#share = share;
    this.remoteAddr = remote?.addr ?? null;
    this.#peer = remote?.bytes ?? null;
  }

  trySend(data: Uint8Array, addr: Deno.Addr): boolean {
    if (this.remoteAddr !== null) return this.#sendToPeer(data);
    const bytes = this.#bytesOf(addr as Deno.NetAddr);
    if (bytes === null) return false;
    const resolved = this.#resolved;
    this.#resolved = null;
    if (this.#sendTo(data, bytes)) return true;
    this.#resolved = resolved;
    return false;
  }

  protected override prepare(addr: Deno.Addr): Promise<void> | null {
    if (this.remoteAddr !== null || this.#bytesOf(addr as Deno.NetAddr) !== null) return null;
    return this.#resolve(addr as Deno.NetAddr);
  }

  protected receive(sink: DatagramSink): boolean {
    const { receiver } = this.#share;
    const { libc } = this.reactor;
    const { capacity } = receiver;
    for (let total = 0; total < MAX_BATCH;) {
      const count = receiver.receive(libc, this.fd);
      if (count === -1) {
        const errno = libc.errno();
        if (errno === EINTR) continue;
        if (errno === EAGAIN) return total > 0;
        sink.failed(lastError(libc));
        return true;
      }
      for (let i = 0; i < count; i++) {
        // A callback may close the socket.
        if (this.sink !== sink) return true;
        this.#deliver(receiver, i, sink);
      }
      this.#sender = null;
      // A turn costs as much as three datagrams, so a busy socket is asked again at once.
      if (4 * count < capacity || this.fd === -1) return true;
      total += count;
    }
    return true;
  }

  #deliver(receiver: Receiver, index: number, sink: DatagramSink): void {
    const sender = receiver.senderOf(index);
    // Before connect(), the kernel takes datagrams of others.
    if (this.#peer !== null && !isSame(sender.bytes, this.#peer)) return;
    const length = receiver.lengthOf(index);
    if (length > UDP_MEMORY) {
      sink.failed(tooLong(length, UDP_MEMORY));
      return;
    }
    this.#sender = sender;
    sink.received(receiver.take(index), this.remoteAddr ?? sender.addr);
  }

  #sendTo(data: Uint8Array, bytes: Uint8Array): boolean {
    const { libc } = this.reactor;
    const size = sizeOf(data);
    // Not by transmit(), whose closure takes 2 % of an echo.
    for (;;) {
      if (libc.sendto(this.fd, data, size, MSG_SEND, bytes, bytes.length) >= 0) return true;
      const errno = libc.errno();
      if (errno === EAGAIN) return false;
      if (errno !== EINTR) throw lastError(libc);
    }
  }

  #sendToPeer(data: Uint8Array): boolean {
    const { libc } = this.reactor;
    let refused: Error | null = null;
    const sent = this.transmit(() => {
      const count = libc.send(this.fd, data, sizeOf(data), MSG_SEND);
      if (count >= 0 || libc.errno() !== ECONNREFUSED || refused !== null) return count;
      // The answer to an earlier datagram. This one was not sent.
      refused = lastError(libc);
      return libc.send(this.fd, data, sizeOf(data), MSG_SEND);
    });
    if (refused !== null) throw refused;
    return sent;
  }

  /** Returns an address as the kernel has it; `null` for a name, which must be resolved. */
  #bytesOf(addr: Deno.NetAddr): Uint8Array | null {
    const { hostname, port } = addr;
    this.#share.permission.require(hostname, port);
    if (this.#sender !== null && addr === this.#sender.addr) return this.#sender.bytes;
    const target = this.#target;
    if (target !== null && target.hostname === hostname && target.port === port) return target.bytes;
    const sender = this.#share.senders.of(addr);
    if (sender !== undefined && sender.words[0]! << 16 >> 16 === this.#family) return sender.bytes;
    const literal = withoutBrackets(hostname);
    if (isIP(literal) === 0) {
      const resolved = this.#resolved;
      return resolved !== null && resolved.hostname === hostname && resolved.port === port ? resolved.bytes : null;
    }
    const fitting = fitFamily(literal, this.#family);
    if (fitting === null) throw wrongFamily(hostname, this.#family);
    this.#target = targetOf(hostname, port, fitting);
    return this.#target.bytes;
  }

  async #resolve({ hostname, port }: Deno.NetAddr): Promise<void> {
    requireNet(hostname, port);
    const found = await resolve(hostname);
    const address = found.map((address) => fitFamily(address, this.#family)).find((address) => address !== null);
    if (address === undefined) throw wrongFamily(hostname, this.#family);
    requireNotDenied([address], port);
    this.#resolved = targetOf(hostname, port, address);
  }
}

function targetOf(hostname: string, port: number, address: string): Target {
  return { hostname, port, bytes: encodeIp(address, port).bytes };
}

/** Spells an address for a socket of a family; `null` if the socket cannot reach it. An IPv6 socket reaches IPv4. */
export function fitFamily(address: string, family: number): string | null {
  const isIpv6 = address.includes(":");
  if (isIpv6 === (family === AF_INET6)) return address;
  if (!isIpv6) return `::ffff:${address}`;
  return /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? null;
}

/** Returns the error for an address that a socket cannot reach. */
function wrongFamily(hostname: string, family: number): Error {
  const what = family === AF_INET ? "an IPv4" : "an IPv6";
  const error = new Error(`sendto(): addr ${hostname} has no address that ${what} socket can reach`);
  return Object.assign(error, { code: "EAFNOSUPPORT" });
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}
