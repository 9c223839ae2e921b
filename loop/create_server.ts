import { namesOf } from "../check_options.ts";
import {
  checkAlone,
  checkBoolean,
  checkExisting,
  checkHostname,
  checkInteger,
  checkPath,
  checkPort,
} from "../checks.ts";
import { loadTls } from "../tls/secure_stream.ts";
import { planTls, type TlsPlan } from "../tls/tls_options.ts";
import type { DenoListener, Descriptor, DescriptorSettings, ListenTarget } from "../transports/engine.ts";
import type { ListenHandle } from "../transports/listen_handle.ts";
import type { StreamCallbacks } from "../transports/transport.ts";
import {
  checkStreamCall,
  STREAM_OPTIONS,
  type StreamOptions,
  TCP_OPTIONS,
  type TcpOptions,
  tcpSettings,
} from "./connect.ts";
import { checkDescriptor, useDescriptors } from "./descriptor.ts";
import { listenOnHosts, toList } from "./listen_on_hosts.ts";
import type { LoopCore } from "./loop_core.ts";
import { formatAddress, nameAddress } from "./name_address.ts";
import type { ProtocolFactory } from "./protocol_factory.ts";
import { planLimits } from "./limits.ts";
import { planProxyServer } from "./proxy_protocol.ts";
import { type ServeOptions, type ServePlan, Server } from "./server.ts";

/** The options of {@linkcode EventLoop.createServer}. */
export interface ServerOptions extends TcpOptions, ServeOptions {
  /**
   * One or more host names or IP addresses. An address that occurs more than once is bound once. `null` listens on every
   * interface, over IPv4 and IPv6. The epoll engine binds all addresses of a name; Deno's sockets bind the first of
   * them, and do not support `null`.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string | string[] | null | undefined;
  /**
   * Whether an IPv6 wildcard, `"::"`, also accepts IPv4, whose addresses are then written as `::ffff:127.0.0.1`. With `hostname:
   * null`, `true` makes one such listener of the two. Changes nothing for other addresses. Deno's sockets do not support
   * `false`.
   *
   * @default {undefined} what the system does: on Linux, `true` by default. With `hostname: null`, `false`
   */
  dualStack?: boolean | undefined;
  /** 0 to 65535; with 0 the system chooses a port for each hostname. See {@linkcode Server.addresses}. */
  port: number;
  /**
   * The maximum number of connections that wait to be accepted.
   *
   * @default {511}
   */
  backlog?: number | undefined;
  /**
   * Let several processes share the port (`SO_REUSEPORT`, Linux only).
   *
   * @default {false}
   */
  reusePort?: boolean | undefined;
}

/** A listener that exists. */
export interface ExistingListenerOptions extends TcpOptions, ServeOptions {
  /**
   * The listener. The server owns it from now on: do not accept from it or close it. If the call rejects, an argument was
   * wrong, and the listener is untouched and still yours.
   *
   * A `Deno.TlsListener` uses Deno's own TLS, which is faster for small messages; `tls` would put a second TLS inside it.
   * Deno's TLS does not support `requestCert`, `rejectUnauthorized`, `minVersion`, `maxVersion`, `ciphers`, `sni`,
   * `reload()` and `getExtraInfo("cipher")`, and its time limits are the defaults of `tls`. `TCP_NODELAY` cannot be set: a
   * message of more than 16 KiB, or in several writes, can wait 40 ms for the peer's acknowledgement. The peer sees
   * `abort()` as a clean end. After a handshake has timed out, its socket stays open until the peer closes its end.
   */
  listener: DenoListener;
}

/** A listening socket, by its file descriptor. Supported by the epoll engine only. */
export interface ListenerFdOptions extends TcpOptions, ServeOptions {
  /**
   * The file descriptor of a listening stream socket, such as one of `listenFds()` of `@tandem/io/epoll`. The server owns it
   * from now on, and closes it, but does not remove the file of a Unix socket. The socket is made nonblocking. If the call
   * rejects, an argument was wrong, and the descriptor is untouched and still yours.
   */
  fd: Descriptor;
}

/** A listener that exists. */
export type GivenListener = ExistingListenerOptions | ListenerFdOptions;

/** The options of {@linkcode EventLoop.createUnixServer}. */
export interface UnixServerOptions extends StreamOptions, ServeOptions {
  /** The path of the socket. A stale socket file is replaced. */
  path: string;
  /**
   * The maximum number of connections that wait to be accepted. Supported by the epoll engine only.
   *
   * @default {undefined} 511 on the epoll engine
   */
  backlog?: number | undefined;
  /**
   * Remove the socket file when the server closes, unless another file has replaced it.
   *
   * @default {true}
   */
  cleanupSocket?: boolean | undefined;
}

/** The options that cannot be given with `listener`. */
const TCP_ADDRESS = namesOf<Omit<ServerOptions, keyof TcpOptions | keyof ServeOptions>>({
  hostname: true,
  port: true,
  dualStack: true,
  backlog: true,
  reusePort: true,
});
const UNIX_ADDRESS = namesOf<Omit<UnixServerOptions, keyof StreamOptions | keyof ServeOptions>>({
  path: true,
  backlog: true,
  cleanupSocket: true,
});
const SERVE_OPTIONS = namesOf<ServeOptions>({ startServing: true, proxyProtocol: true, limits: true });
const SERVER_OPTIONS: ReadonlySet<string> = new Set([
  ...TCP_ADDRESS,
  "listener",
  "fd",
  ...SERVE_OPTIONS,
  ...TCP_OPTIONS,
]);
const UNIX_OPTIONS: ReadonlySet<string> = new Set([
  ...UNIX_ADDRESS,
  "listener",
  "fd",
  ...SERVE_OPTIONS,
  ...STREAM_OPTIONS,
]);
/** With `listener`, which can be TCP. */
const UNIX_LISTENER_OPTIONS: ReadonlySet<string> = new Set([...UNIX_OPTIONS, ...TCP_OPTIONS]);

/** Does the work of {@linkcode EventLoop.createServer}. */
export async function createServer(
  loop: LoopCore,
  factory: ProtocolFactory<StreamCallbacks>,
  options: ServerOptions | GivenListener,
): Promise<Server> {
  const method = "createServer()";
  checkStreamCall(method, factory, options, SERVER_OPTIONS, "tcp");
  const serving = takeServePlan(method, options);
  if ("fd" in options) return await adoptFd(loop, method, factory, options, TCP_ADDRESS, serving);
  if ("listener" in options) return await adopt(loop, method, factory, options, TCP_ADDRESS, serving);
  const { hostname = "0.0.0.0", port, dualStack, backlog, reusePort = false } = options;
  checkPort(method, "port", port, 0);
  if (Array.isArray(hostname)) hostname.forEach((name, i) => checkHostname(method, `hostname[${i}]`, name));
  else if (hostname !== null) checkHostname(method, "hostname", hostname);
  checkBoolean(method, "dualStack", dualStack);
  checkBacklog(method, backlog);
  checkBoolean(method, "reusePort", reusePort);
  if (Array.isArray(hostname) && hostname.length === 0) {
    throw new RangeError(`${method}: hostname must name at least one address, got an empty array`);
  }
  const plan = await takePlan(loop, method, options);
  const target = { transport: "tcp", dualStack, backlog, ...tcpSettings(options) } as const;
  const listeners = hostname === null
    ? toList(await listen(loop, method, { ...target, hostname, port, reusePort }))
    : await listenOnHosts(Array.isArray(hostname) ? hostname : [hostname], (hostname, bound, anyPort = false) => {
      const where = { hostname, port: anyPort ? 0 : port, bound, reusePort: anyPort ? false : reusePort };
      return listen(loop, method, { ...target, ...where });
    });
  return new Server(loop, method, factory, listeners, plan, serving);
}

/** Does the work of {@linkcode EventLoop.createUnixServer}. */
export async function createUnixServer(
  loop: LoopCore,
  factory: ProtocolFactory<StreamCallbacks>,
  options: UnixServerOptions | GivenListener,
): Promise<Server> {
  const method = "createUnixServer()";
  const given = typeof options === "object" && options !== null && "listener" in options;
  checkStreamCall(method, factory, options, given ? UNIX_LISTENER_OPTIONS : UNIX_OPTIONS, "unix");
  const serving = takeServePlan(method, options);
  if ("fd" in options) return await adoptFd(loop, method, factory, options, UNIX_ADDRESS, serving);
  if ("listener" in options) return await adopt(loop, method, factory, options, UNIX_ADDRESS, serving);
  const { path, backlog, cleanupSocket = true } = options;
  checkPath(method, "path", path);
  checkBacklog(method, backlog);
  checkBoolean(method, "cleanupSocket", cleanupSocket);
  const plan = await takePlan(loop, method, options);
  const listeners = toList(await listen(loop, method, { transport: "unix", path, backlog, cleanupSocket }));
  return new Server(loop, method, factory, listeners, plan, serving);
}

async function adopt(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<StreamCallbacks>,
  options: ExistingListenerOptions,
  address: ReadonlySet<string>,
  serving: ServePlan,
): Promise<Server> {
  checkExisting(method, "listener", options.listener, [...address], options);
  const plan = await takePlan(loop, method, options);
  const listener = loop.engine.adoptListener(options.listener, tcpSettings(options));
  if (serving.proxy !== null && listener.hasTls) {
    throw new TypeError(
      `${method}: proxyProtocol cannot be given with a Deno.TlsListener; give tls with a plain listener`,
    );
  }
  return new Server(loop, method, factory, [listener], plan, serving);
}

async function adoptFd(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<StreamCallbacks>,
  options: ListenerFdOptions,
  address: ReadonlySet<string>,
  serving: ServePlan,
): Promise<Server> {
  checkAlone(method, "fd", ["listener", ...address], options);
  const { fd } = options;
  checkDescriptor(method, fd);
  const plan = await takePlan(loop, method, options);
  const family = address === UNIX_ADDRESS ? "unix" : "any";
  const settings: DescriptorSettings = { ...tcpSettings(options), family, accepted: true };
  const listener = useDescriptors(loop, method, (descriptors) => descriptors.listener(fd, settings));
  return new Server(loop, method, factory, [listener], plan, serving);
}

function checkBacklog(method: string, backlog: number | undefined): void {
  if (backlog !== undefined) checkInteger(method, "backlog", backlog, 1, 2 ** 31 - 1);
}

/** Reads the options once, before anything listens, because a getter may throw. */
function takeServePlan(method: string, options: StreamOptions & ServeOptions): ServePlan {
  const { startServing = true, closeTimeout, proxyProtocol, limits: given, tls } = options;
  checkBoolean(method, "startServing", startServing);
  const limits = planLimits(method, given);
  const hasOwn = typeof tls === "object" && tls !== null && "maxHandshakes" in tls && tls.maxHandshakes !== undefined;
  if (hasOwn && limits?.maxHandshakes !== undefined) {
    throw new TypeError(`${method}: limits.maxHandshakes and tls.maxHandshakes cannot both be given`);
  }
  return { startServing, closeTimeout, proxy: planProxyServer(method, proxyProtocol), limits };
}

/** Listens. Errors name the address. */
async function listen(
  loop: LoopCore,
  method: string,
  target: ListenTarget,
): Promise<ListenHandle | ListenHandle[]> {
  try {
    return await loop.engine.listen(target);
  } catch (error) {
    const hostname = target.transport === "tcp" ? target.hostname ?? undefined : undefined;
    throw nameAddress(error, method, "bind", formatAddress(target), hostname);
  }
}

/** Checks the TLS options, and parses the certificate and key. */
async function takePlan(loop: LoopCore, method: string, { tls }: StreamOptions): Promise<TlsPlan | null> {
  const plan = planTls(method, tls, true);
  await loadTls(loop, plan);
  return plan;
}
