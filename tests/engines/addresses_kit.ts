/** For the tests of the epoll engine's addresses: loops, servers, and what connections are called. */
import { type ConnectionOptions, EventLoop, type ServerOptions } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { closed, ManualClock, portOf, Recorder, turn } from "../kit.ts";

const { supported } = EpollEngine.isSupported();

/** A test that needs epoll, and perhaps IPv6. */
export function test(name: string, fn: () => Promise<void>, needs: "IPv6" | null = null): void {
  const missing = !supported ? "epoll" : needs === "IPv6" && !hasIpv6() ? "IPv6" : null;
  Deno.test(missing === null ? name : `${name} (skipped: no ${missing})`, { ignore: missing !== null }, fn);
}

export function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

export const makeLoop = (clock = new ManualClock()) => new EventLoop({ engine: new EpollEngine(), clock });
export const factory = () => new Recorder();

/** A server, of which leaving the scope leaves nothing. */
export async function serve(loop: EventLoop, options: Partial<ServerOptions> = {}) {
  const clients: Recorder[] = [];
  const makeClient = () => {
    const client = new Recorder();
    clients.push(client);
    return client;
  };
  const server = await loop.createServer(makeClient, { hostname: "127.0.0.1", port: 0, ...options });
  return {
    server,
    clients,
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      server.close();
      server.abortClients();
      await server.waitClosed();
      await turn(loop);
    },
  };
}

/** Connects, and returns the local and the remote address. */
export async function namesOf(
  loop: EventLoop,
  options: ConnectionOptions,
): Promise<[local: Deno.NetAddr, peer: Deno.NetAddr]> {
  const [transport, protocol] = await loop.createConnection(factory, options);
  const names = [transport.getExtraInfo("sockname"), transport.getExtraInfo("peername")] as [
    Deno.NetAddr,
    Deno.NetAddr,
  ];
  await closed(transport, protocol);
  return names;
}

/** A port that is free at all addresses, most probably. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  return listener.addr.port;
}

/** An error of the system. */
export type SystemError = Error & { code?: string };
