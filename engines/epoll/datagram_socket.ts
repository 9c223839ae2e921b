import { isIP } from "node:net";
import { checkOptions } from "../../check_options.ts";
import { checkBoolean, checkInteger } from "../../checks.ts";
import { describe } from "../../errors.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";
import { lastError } from "./errors.ts";
import { openLibc, toCString } from "./libc.ts";
import { encodeIp } from "./sockaddr.ts";
import { Socket } from "./socket.ts";
import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_UNICAST_HOPS,
  SO_BROADCAST,
  SOL_SOCKET,
} from "./socket_options.ts";

/** How to join or leave a multicast group. */
export interface MulticastOptions {
  /**
   * The interface: its name, its number or, for IPv4, its address.
   *
   * @default {undefined} the system's choice
   */
  interface?: string | number | undefined;
}

/** The level of an option, and its name. */
type Option = [level: number, name: number];

/**
 * The socket of a datagram endpoint, with what UDP has: multicast and broadcast. {@linkcode socketOf} returns it.
 *
 * The methods throw a `TypeError` or a `RangeError` for a wrong argument, and the system's error, which names the method, if
 * the system refuses. On a closed socket that is a `Deno.errors.BadResource`.
 *
 * @example Receive what is sent to a group
 * ```ts no-run
 * import { DatagramProtocol } from "@tandem/io";
 * import { install, socketOf } from "@tandem/io/epoll";
 *
 * const [transport] = await install().createDatagramEndpoint(() => new DatagramProtocol(), {
 *   localAddr: { hostname: "0.0.0.0", port: 5353 },
 *   reuseAddress: true,
 * });
 * socketOf(transport).joinMulticast("224.0.0.251");
 * ```
 */
export class DatagramSocket extends Socket {
  #family: number;

  /** Called by the engine. */
  constructor(owner: { readonly fd: number }, family: number) {
    super(owner);
    this.#family = family;
  }

  /**
   * Receives what is sent to a group, on the endpoint's port.
   *
   * @param group The address of the group, such as `"224.0.0.251"` or `"ff02::fb"`. An IPv6 socket can join both kinds.
   * @param options The interface.
   */
  joinMulticast(group: string, options: MulticastOptions = {}): void {
    this.#setMembership("joinMulticast()", group, options, IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP);
  }

  /**
   * Leaves a group. The arguments must be those of `joinMulticast()`.
   *
   * @param group The address of the group.
   * @param options The interface.
   */
  leaveMulticast(group: string, options: MulticastOptions = {}): void {
    this.#setMembership("leaveMulticast()", group, options, IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP);
  }

  /** How many routers may forward a datagram to a group: 1 by default, so it stays in the local network. */
  get multicastTtl(): number {
    return this.#get("multicastTtl", this.#of([IPPROTO_IP, IP_MULTICAST_TTL], [IPPROTO_IPV6, IPV6_MULTICAST_HOPS]));
  }

  /**
   * Sets how many routers may forward a datagram to a group.
   *
   * @param hops 0 to 255. With 0, the datagram does not leave this machine.
   */
  setMulticastTtl(hops: number): void {
    const method = "setMulticastTtl()";
    checkHops(method, hops, 0);
    this.#set(method, this.#of([IPPROTO_IP, IP_MULTICAST_TTL], [IPPROTO_IPV6, IPV6_MULTICAST_HOPS]), hops);
  }

  /** Whether datagrams to a group also reach members on this machine, as they do by default. */
  get multicastLoopback(): boolean {
    const option = this.#of([IPPROTO_IP, IP_MULTICAST_LOOP], [IPPROTO_IPV6, IPV6_MULTICAST_LOOP]);
    return this.#get("multicastLoopback", option) !== 0;
  }

  /**
   * Sets whether datagrams to a group also reach members on this machine.
   *
   * @param on Whether they do.
   */
  setMulticastLoopback(on: boolean): void {
    const method = "setMulticastLoopback()";
    checkGiven(method, on);
    this.#set(method, this.#of([IPPROTO_IP, IP_MULTICAST_LOOP], [IPPROTO_IPV6, IPV6_MULTICAST_LOOP]), Number(on));
  }

  /**
   * Sets the interface that datagrams to a group leave by.
   *
   * @param chosen Its name, its number or, for IPv4, its address.
   */
  setMulticastInterface(chosen: string | number): void {
    const method = "setMulticastInterface()";
    if (this.#isIpv6(method)) {
      this.#set(method, [IPPROTO_IPV6, IPV6_MULTICAST_IF], this.#indexOf(method, "chosen", chosen));
    } else {
      this.#setBytes(method, [IPPROTO_IP, IP_MULTICAST_IF], this.#mreqn(method, "chosen", "0.0.0.0", chosen));
    }
  }

  /** How many routers may forward a datagram to one receiver. */
  get ttl(): number {
    return this.#get("ttl", this.#of([IPPROTO_IP, IP_TTL], [IPPROTO_IPV6, IPV6_UNICAST_HOPS]));
  }

  /**
   * Sets how many routers may forward a datagram to one receiver.
   *
   * @param hops 1 to 255.
   */
  setTtl(hops: number): void {
    const method = "setTtl()";
    checkHops(method, hops, 1);
    this.#set(method, this.#of([IPPROTO_IP, IP_TTL], [IPPROTO_IPV6, IPV6_UNICAST_HOPS]), hops);
  }

  /** Whether sending to a broadcast address is allowed: what the option `allowBroadcast` has set. */
  get broadcast(): boolean {
    return this.#get("broadcast", [SOL_SOCKET, SO_BROADCAST]) !== 0;
  }

  /**
   * Sets whether sending to a broadcast address is allowed.
   *
   * @param on Whether it is.
   */
  setBroadcast(on: boolean): void {
    const method = "setBroadcast()";
    checkGiven(method, on);
    this.#set(method, [SOL_SOCKET, SO_BROADCAST], Number(on));
  }

  #setMembership(method: string, group: string, options: MulticastOptions, ipv4: number, ipv6: number): void {
    checkOptions(method, options, MULTICAST_OPTIONS);
    const version = typeof group === "string" ? isIP(group) : 0;
    if (version === 0) throw new TypeError(`${method}: group must be an IP address, got ${describe(group)}`);
    if (version === 4 ? !/^2(2[4-9]|3\d)\./.test(group) : !/^ff/i.test(group)) {
      throw new RangeError(
        `${method}: group must be a multicast address, 224.0.0.0 to 239.255.255.255 or ff00::/8, got ${
          describe(group)
        }`,
      );
    }
    const isIpv6 = this.#isIpv6(method);
    if (version === 6 && !isIpv6) {
      throw new TypeError(`${method}: group must be an IPv4 address on an IPv4 socket, got ${describe(group)}`);
    }
    const { interface: chosen } = options;
    if (version === 4) {
      this.#setBytes(method, [IPPROTO_IP, ipv4], this.#mreqn(method, "options.interface", group, chosen));
      return;
    }
    const request = new Uint8Array(20);
    request.set(encodeIp(group.split("%")[0]!, 0).bytes.subarray(8, 24));
    new DataView(request.buffer).setInt32(16, this.#indexOf(method, "options.interface", chosen ?? 0), true);
    this.#setBytes(method, [IPPROTO_IPV6, ipv6], request);
  }

  /** Makes a `struct ip_mreqn`: a group, and an interface by its address or by its number. */
  #mreqn(method: string, name: string, group: string, chosen: string | number | undefined): Uint8Array {
    const request = new Uint8Array(12);
    request.set(encodeIp(group, 0).bytes.subarray(4, 8));
    if (typeof chosen === "string" && isIP(chosen) === 4) {
      request.set(encodeIp(chosen, 0).bytes.subarray(4, 8), 4);
    } else {
      new DataView(request.buffer).setInt32(8, this.#indexOf(method, name, chosen ?? 0), true);
    }
    return request;
  }

  #indexOf(method: string, name: string, chosen: string | number): number {
    if (typeof chosen === "number") {
      checkInteger(method, name, chosen, 0, 2 ** 31 - 1);
      return chosen;
    }
    const accepted = "the name, the number or the IPv4 address of an interface";
    if (typeof chosen !== "string") {
      throw new TypeError(`${method}: ${name} must be ${accepted}, got ${describe(chosen)}`);
    }
    const libc = openLibc();
    const index = libc.if_nametoindex(toCString(chosen));
    if (index === 0) throw named(method, lastError(libc), ` ${name} "${chosen}":`);
    return index;
  }

  #isIpv6(method: string): boolean {
    if (this.#family !== AF_INET && this.#family !== AF_INET6) {
      throw new TypeError(`${method}: a Unix socket has no multicast and no hops`);
    }
    return this.#family === AF_INET6;
  }

  #of(ipv4: Option, ipv6: Option): Option {
    return this.#isIpv6('getExtraInfo("socket")') ? ipv6 : ipv4;
  }

  #get(name: string, [level, option]: Option): number {
    const value = new Int32Array(1);
    const libc = openLibc();
    if (libc.getsockopt(this.fd, level, option, value, new Int32Array([4])) === -1) {
      throw named(name, lastError(libc));
    }
    return value[0]!;
  }

  #set(method: string, option: Option, value: number): void {
    this.#setBytes(method, option, new Uint8Array(new Int32Array([value]).buffer));
  }

  #setBytes(method: string, [level, option]: Option, value: Uint8Array): void {
    const libc = openLibc();
    if (libc.setsockopt(this.fd, level, option, value, value.length) === -1) {
      throw named(method, lastError(libc));
    }
  }
}

const MULTICAST_OPTIONS: ReadonlySet<string> = new Set(["interface"]);

function checkHops(method: string, hops: number, lowest: 0 | 1): void {
  checkInteger(method, "hops", hops, lowest, 255);
}

function checkGiven(method: string, on: boolean): void {
  if (on === undefined) throw new TypeError(`${method}: on must be a boolean, got undefined`);
  checkBoolean(method, "on", on);
}

/** Adds the method to the message of an error of the system. */
function named(method: string, error: Error, what = ""): Error {
  error.message = `${method}:${what} ${error.message}`;
  return error;
}
