/** For the tests of datagrams: a protocol that records, and endpoints that clean up after themselves. */
import { DatagramProtocol, type DatagramTransport, type EventLoop } from "../../mod.ts";
import type { DatagramOptions } from "../../loop/datagram.ts";
import { EventLog, loop, text, turn } from "../kit.ts";

/** An ephemeral port of the loopback interface. */
export const LOOPBACK = { hostname: "127.0.0.1", port: 0 };

/** A datagram protocol that records its callbacks and keeps what it is given. */
export class DatagramRecorder extends DatagramProtocol {
  readonly log = new EventLog();
  readonly received: { data: Uint8Array; addr: Deno.Addr }[] = [];
  readonly errors: Error[] = [];
  transport!: DatagramTransport;
  /** What to do with a datagram besides recording it. */
  onDatagram: ((data: Uint8Array, addr: Deno.Addr) => void) | undefined;
  #loop: EventLoop;

  constructor(onLoop: EventLoop = loop) {
    super();
    this.#loop = onLoop;
  }

  override connectionMade(transport: DatagramTransport): void {
    this.transport = transport;
    this.log.add("connectionMade");
  }

  override datagramReceived(data: Uint8Array, addr: Deno.Addr): void {
    this.received.push({ data, addr });
    this.log.add(`datagramReceived ${data.length <= 16 ? JSON.stringify(text(data)) : data.length}`);
    this.onDatagram?.(data, addr);
  }

  override errorReceived(error: Error): void {
    this.errors.push(error);
    this.log.add(`errorReceived ${codeOf(error)}`);
  }

  override pauseWriting(): void {
    this.log.add("pauseWriting");
  }

  override resumeWriting(): void {
    this.log.add("resumeWriting");
  }

  override connectionLost(error: Error | null): void {
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }

  /** The address that others reach it at. */
  get addr(): Deno.Addr {
    return { ...this.transport.getExtraInfo("sockname")! };
  }

  /** What was received, as text. */
  get texts(): string[] {
    return this.received.map(({ data }) => text(data));
  }

  /** Waits for so many datagrams. */
  untilReceived(count: number): Promise<void> {
    return this.log.until(() => this.received.length >= count);
  }

  /** Closes the transport in an orderly way and waits for the end. */
  async close(): Promise<void> {
    this.transport.close();
    await this.log.has("connectionLost");
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.transport.abort();
    await this.log.has("connectionLost");
    // The socket closes in the turn of connectionLost, behind it.
    await turn(this.#loop);
  }
}

/** The operating system's name for an error. */
export function codeOf(error: Error): string {
  return (error as Error & { code?: string }).code ?? error.name;
}

/** A loop, and endpoints on it. */
export interface Endpoints {
  loop: EventLoop;
  /** Opens an endpoint, on an ephemeral port of the loopback interface unless told otherwise. */
  open(options?: DatagramOptions): Promise<DatagramRecorder>;
}

/** Endpoints on a loop. */
export function endpointsOf(onLoop: EventLoop): Endpoints {
  return {
    loop: onLoop,
    async open(options = {}) {
      const factory = () => new DatagramRecorder(onLoop);
      const [, protocol] = await onLoop.createDatagramEndpoint(factory, { localAddr: LOOPBACK, ...options });
      return protocol;
    },
  };
}

/** Opens an endpoint on the default loop. */
export const { open } = endpointsOf(loop);

/** A UDP address as `remoteAddr` takes it. */
export function net(addr: Deno.Addr): Deno.NetAddr {
  return addr as Deno.NetAddr;
}

/** A promise, a way to see it, and what must be seen. */
export interface Scenario {
  name: string;
  run: (on: Endpoints) => Promise<unknown[]>;
  expected: unknown[];
  /** What is seen instead where `sendto()` sends at once; `null` where there is nothing to see, as nothing is queued. */
  expectedAtOnce?: unknown[] | null;
}

/** The name of what a function throws or rejects with; `null` where it does neither. */
export function attempt(run: () => Promise<unknown>): Promise<string | null>;
export function attempt(run: () => void): string | null;
export function attempt(run: () => unknown): string | null | Promise<string | null> {
  try {
    const result = run();
    if (result instanceof Promise) return result.then(() => null, (error: Error) => error.name);
    return null;
  } catch (error) {
    return (error as Error).name;
  }
}

export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

/** With the keys of an object in order: the two kinds of sockets name an address in different ones. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
}
