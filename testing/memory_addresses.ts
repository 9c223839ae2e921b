/** The names, addresses and ports of a network in memory. */
import { addrInUse, unknownName } from "./system_errors.ts";

/** The first ephemeral port. */
const FIRST_EPHEMERAL = 49_152;
/** The number of ephemeral ports. */
const EPHEMERAL = 65_536 - FIRST_EPHEMERAL;

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;

/** Resolves host names. A name that a server or an endpoint binds gets an address of its own. */
export class HostNames {
  #addresses = new Map<string, string>([["localhost", "127.0.0.1"]]);
  #count = 0;

  constructor(hosts: Readonly<Record<string, string>>) {
    for (const [name, address] of Object.entries(hosts)) this.#addresses.set(name.toLowerCase(), literal(address)!);
  }

  /** Returns the address to connect to. A wildcard means the loopback interface, as on Linux. */
  remote(hostname: string): string {
    const address = literal(hostname) ?? this.#addresses.get(hostname.toLowerCase());
    if (address === undefined) throw unknownName();
    return address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  }

  /** Returns the address to bind. */
  local(hostname: string): string {
    const name = hostname.toLowerCase();
    const known = literal(name) ?? this.#addresses.get(name);
    if (known !== undefined) return known;
    const number = ++this.#count;
    const address = `10.${number >> 16 & 255}.${number >> 8 & 255}.${number & 255}`;
    this.#addresses.set(name, address);
    return address;
  }
}

/** Spells an IP address as the system does; `undefined` for a name. */
export function literal(hostname: string): string | undefined {
  if (IPV4.test(hostname)) return hostname;
  const bare = hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
  if (!bare.includes(":") || !URL.canParse(`http://[${bare}]`)) return undefined;
  return new URL(`http://[${bare}]`).hostname.slice(1, -1);
}

/** Spells an IPv4 address as an IPv6 socket sees it. */
export function asSeenFrom(local: string, address: string): string {
  return local.includes(":") && !address.includes(":") ? `::ffff:${address}` : address;
}

/** The address that a socket uses to reach another, if it is bound to every interface. */
export function sourceFor(local: string, remote: string): string {
  if (local === "0.0.0.0" || local === "::" && !remote.includes(":")) {
    return remote.startsWith("127.") ? "127.0.0.1" : remote;
  }
  return local === "::" ? remote : local;
}

/** A socket that is bound. */
export interface Bound {
  /** The IP address; it may be a wildcard. */
  readonly address: string;
  /** Whether an IPv6 wildcard also receives from IPv4. */
  readonly dualStack: boolean;
  /** Whether other sockets that share may bind the same address. */
  readonly shares: boolean;
}

/** The ports of one transport, TCP or UDP. */
export class Ports<B extends Bound> {
  #bound = new Map<number, B[]>();
  #next = 0;

  /** Binds a port and returns it; for 0, an ephemeral port. */
  bind(port: number, socket: B): number {
    if (port === 0) port = this.ephemeral((candidate) => this.#isFree(candidate, socket));
    else if (!this.#isFree(port, socket)) throw addrInUse();
    const others = this.#bound.get(port);
    if (others === undefined) this.#bound.set(port, [socket]);
    else others.push(socket);
    return port;
  }

  release(port: number, socket: B): void {
    const others = this.#bound.get(port)?.filter((other) => other !== socket) ?? [];
    if (others.length > 0) this.#bound.set(port, others);
    else this.#bound.delete(port);
  }

  /** Returns the sockets that receive what is sent to an address: those bound to it, else those bound to a wildcard. */
  find(address: string, port: number): B[] {
    const all = this.#bound.get(port) ?? [];
    const exact = all.filter((socket) => socket.address === address);
    return exact.length > 0 ? exact : all.filter((socket) => covers(socket, address));
  }

  /** Returns the sockets on every interface, for a broadcast. */
  wildcards(port: number): B[] {
    return (this.#bound.get(port) ?? []).filter(({ address }) => address === "0.0.0.0");
  }

  /** Returns the next ephemeral port that suits. */
  ephemeral(suits: (port: number) => boolean = (port) => !this.#bound.has(port)): number {
    for (let i = 0; i < EPHEMERAL; i++) {
      const port = FIRST_EPHEMERAL + this.#next++ % EPHEMERAL;
      if (suits(port)) return port;
    }
    throw addrInUse();
  }

  #isFree(port: number, socket: B): boolean {
    return (this.#bound.get(port) ?? []).every((other) =>
      other.shares && socket.shares || !covers(other, socket.address) && !covers(socket, other.address)
    );
  }
}

function covers({ address: bound, dualStack }: Bound, address: string): boolean {
  if (bound === address) return true;
  const ipv6 = address.includes(":");
  return bound === "0.0.0.0" ? !ipv6 : bound === "::" && (ipv6 || dualStack);
}
