/** What the tests of the epoll engine share. */
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { type Libc, openLibc } from "../../engines/epoll/libc.ts";
import { callbacks } from "../../tls/openssl/callbacks.ts";
import { hasLibssl } from "../../tls/openssl/libssl.ts";
import { encodeIp } from "../../engines/epoll/sockaddr.ts";
import { type ConnectionOptions, EventLoop, type ServerOptions } from "../../mod.ts";
import { closed, hasIpv6, type ManualClock, portOf, Recorder, turn } from "../kit.ts";

export const { supported, reason } = EpollEngine.isSupported();
// Here, because OpenSSL that is opened inside a test is a leak for Deno's sanitizer.
if (supported && hasLibssl()) callbacks();

/** Makes a loop over the engine. */
export function epollLoop(clock?: ManualClock): EventLoop {
  return new EventLoop({ engine: new EpollEngine(), ...clock && { clock } });
}

/** A test that needs the engine. */
export function epollTest(name: string, fn: () => Promise<void> | void): void {
  Deno.test(supported ? name : `${name} (skipped: ${reason})`, { ignore: !supported }, fn);
}

/** Adds the tests of scenarios, or one skipped test in their place. */
export function epollScenarios(what: string, add: () => void): void {
  if (supported) add();
  else epollTest(`the scenarios of ${what} on epoll`, () => {});
}

/** A test that needs the engine, and IPv6. */
export function ipv6Test(name: string, fn: () => Promise<void> | void): void {
  if (hasIpv6()) epollTest(name, fn);
  else Deno.test(`${name} (skipped: no IPv6)`, { ignore: true }, fn);
}

type Call = Exclude<keyof Libc, "errno">;
type Replacement<K extends Call> = (real: Libc[K], ...args: Parameters<Libc[K]>) => ReturnType<Libc[K]>;

/**
 * Replaces a function of the C library until the scope is left.
 *
 * @param name The function.
 * @param replacement Is called instead, with the real function. A result below -1 is an errno: the call fails with it.
 */
export function replaceCall<K extends Call>(name: K, replacement: Replacement<K>): Disposable {
  const libc = openLibc();
  const real = { ...libc };
  let errno: number | null = null;
  const { errno: realErrno, ...calls } = real;
  // Any call ends what the failed one has left in errno.
  for (const [name, call] of Object.entries(calls)) {
    Object.assign(libc, {
      [name](...args: never[]) {
        errno = null;
        return (call as (...args: never[]) => unknown)(...args);
      },
    });
  }
  const replaced = (...args: Parameters<Libc[K]>) => {
    errno = null;
    const result = replacement(real[name], ...args);
    if (typeof result !== "number" || result >= -1) return result;
    errno = -result;
    return -1;
  };
  Object.assign(libc, { [name]: replaced, errno: () => errno ?? realErrno() });
  return { [Symbol.dispose]: () => void Object.assign(libc, real) };
}

/** Makes the first calls of a function fail, one for each errno. */
export function failCalls<K extends Call>(name: K, ...errnos: number[]): Disposable & { left(): number } {
  const left = [...errnos];
  const replaced = replaceCall(name, (real, ...args) => {
    const errno = left.shift();
    return (errno === undefined ? (real as (...args: unknown[]) => unknown)(...args) : -errno) as ReturnType<Libc[K]>;
  });
  return { left: () => left.length, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

/** Counts the sockets that are opened and not closed. */
export function watchSockets(): Disposable & { readonly open: number } {
  const open = new Set<number>();
  const add = (fd: number) => {
    if (fd !== -1) open.add(fd);
    return fd;
  };
  const replaced = new DisposableStack();
  replaced.use(replaceCall("socket", (real, ...args) => add(real(...args))));
  replaced.use(replaceCall("accept4", (real, ...args) => add(real(...args))));
  replaced.use(replaceCall("close", (real, fd) => {
    open.delete(fd);
    return real(fd);
  }));
  return {
    get open() {
      return open.size;
    },
    [Symbol.dispose]: () => replaced.dispose(),
  };
}

/** Makes getaddrinfo know some names and no others. */
export function fakeNames(names: Record<string, string[]>): Disposable {
  const kept: unknown[] = []; // Memory that the lists of getaddrinfo point to.
  const pointerTo = (bytes: Uint8Array<ArrayBuffer>) => {
    kept.push(bytes);
    return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
  };
  const replaced = new DisposableStack();
  replaced.use(replaceCall("freeaddrinfo", () => {}));
  replaced.use(replaceCall("getaddrinfo", (_real, node, _service, _hints, result) => {
    const bytes = node as Uint8Array;
    const name = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
    const addresses = names[name];
    if (addresses === undefined) return Promise.resolve(-2);
    let list = 0n;
    for (const address of addresses.toReversed()) {
      const { family, bytes } = encodeIp(address, 0);
      const info = new DataView(new ArrayBuffer(48));
      info.setInt32(4, family, true);
      info.setUint32(16, bytes.length, true);
      info.setBigUint64(24, pointerTo(bytes as Uint8Array<ArrayBuffer>), true);
      info.setBigUint64(40, list, true);
      list = pointerTo(new Uint8Array(info.buffer));
    }
    (result as BigUint64Array)[0] = list;
    return Promise.resolve(0);
  }));
  return replaced;
}

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

/** An error of the system. */
export type SystemError = Error & { code?: string };
