/**
 * Making servers.
 *
 * @module
 */
import { checkExisting, checkHostname, checkPath, checkPort, checkStreamCall } from "../checks.ts";
import { describe } from "../errors.ts";
import { planTls, type TlsPlan } from "../tls/tls_options.ts";
import type { DenoListener } from "../transports/engine.ts";
import type { StreamCallbacks } from "../transports/transport.ts";
import { type StreamOptions, type TcpOptions, tcpSettings } from "./connect.ts";
import { listenOnHosts } from "./listen_on_hosts.ts";
import type { LoopCore } from "./loop_core.ts";
import type { ProtocolFactory } from "./protocol_factory.ts";
import { type ServeOptions, Server } from "./server.ts";

/** Where to serve TCP. */
export interface ServerOptions extends TcpOptions, ServeOptions {
  /**
   * One address or name, or several. An address that is named more than once is bound once.
   *
   * @default {"0.0.0.0"}
   */
  hostname?: string | string[] | undefined;
  /** 0 to 65535; 0 lets the system choose one for each hostname. See {@linkcode Server.addresses}. */
  port: number;
  /**
   * How many connections may wait to be accepted.
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

/** A listener that exists already. */
export interface ExistingListenerOptions extends TcpOptions, ServeOptions {
  /**
   * The listener. Nothing else may accept from it: the server owns it from now on. If the call rejects, which happens
   * for its arguments alone, the listener is untouched and still yours.
   *
   * A `Deno.TlsListener` brings Deno's own TLS, which is faster for small messages; `tls` would put a second TLS inside
   * it. Deno's TLS has no `requestCert`, `rejectUnauthorized`, `minVersion`, `maxVersion`, `ciphers`, `sni`, `reload()`
   * and `getExtraInfo("cipher")`, and its timeouts are the defaults of `tls`. `TCP_NODELAY` cannot be set: a message of
   * more than 16 KiB, or in several writes, may wait 40 ms for the peer's acknowledgement. `abort()` looks like a clean
   * end to the peer. The socket of a handshake that has timed out stays open until the peer closes its end.
   */
  listener: DenoListener;
}

/** Where to serve a Unix socket. */
export interface UnixServerOptions extends StreamOptions, ServeOptions {
  /** The path of the socket. A stale socket file there is replaced. */
  path: string;
  /**
   * Remove the socket file when the server closes, unless it is somebody else's by then.
   *
   * @default {true}
   */
  cleanupSocket?: boolean | undefined;
}

/** Does the work of {@linkcode EventLoop.createServer}. */
export async function createServer(
  loop: LoopCore,
  factory: ProtocolFactory<StreamCallbacks>,
  options: ServerOptions | ExistingListenerOptions,
): Promise<Server> {
  checkStreamCall(factory, options);
  if ("listener" in options) return await adopt(loop, factory, options, "port");
  checkPort(options.port, 0);
  const { hostname = "0.0.0.0", port, backlog, reusePort = false } = options;
  const hostnames = Array.isArray(hostname) ? hostname : [hostname];
  hostnames.forEach((hostname) => checkHostname(hostname));
  if (backlog !== undefined && !(Number.isInteger(backlog) && backlog > 0 && backlog < 2 ** 31)) {
    throw new RangeError(`backlog must be a whole number from 1 to ${2 ** 31 - 1}, got ${describe(backlog)}`);
  }
  if (hostnames.length === 0) throw new RangeError("hostname must name at least one address, got []");
  const plan = await takePlan(options);
  const settings = tcpSettings(options);
  const listeners = await listenOnHosts(hostnames, (hostname, anyPort = false) => {
    return loop.engine.listen({
      transport: "tcp",
      hostname,
      port: anyPort ? 0 : port,
      backlog,
      reusePort: anyPort ? false : reusePort,
      ...settings,
    });
  });
  return new Server(loop, factory, listeners, options, plan);
}

/** Does the work of {@linkcode EventLoop.createUnixServer}. */
export async function createUnixServer(
  loop: LoopCore,
  factory: ProtocolFactory<StreamCallbacks>,
  options: UnixServerOptions | ExistingListenerOptions,
): Promise<Server> {
  checkStreamCall(factory, options);
  if ("listener" in options) return await adopt(loop, factory, options, "path");
  const { path, cleanupSocket = true } = options;
  checkPath(path);
  const plan = await takePlan(options);
  const listener = await loop.engine.listen({ transport: "unix", path, cleanupSocket });
  return new Server(loop, factory, [listener], options, plan);
}

async function adopt(
  loop: LoopCore,
  factory: ProtocolFactory<StreamCallbacks>,
  options: ExistingListenerOptions,
  rival: "port" | "path",
): Promise<Server> {
  checkExisting("listener", options.listener, rival, options);
  const plan = await takePlan(options);
  const listener = loop.engine.adoptListener(options.listener, tcpSettings(options));
  return new Server(loop, factory, [listener], options, plan);
}

/** Checks what TLS is asked for. */
async function takePlan({ tls }: StreamOptions): Promise<TlsPlan | null> {
  const plan = planTls(tls, true);
  await plan?.context.load();
  return plan;
}
