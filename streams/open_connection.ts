import { checkFunction } from "../checks.ts";
import {
  type ConnectionOptions,
  getRunningLoop,
  type GivenConn,
  type GivenListener,
  type Server,
  type ServerOptions,
  type UnixConnectionOptions,
  type UnixServerOptions,
} from "../loop/mod.ts";
import { wrongArgument } from "./errors.ts";
import type { StreamPair } from "./stream_pair.ts";
import { checkStreamsOptions, type StreamHandler, type StreamsOptions, toStreams } from "./to_streams.ts";

/** The options of {@linkcode openConnection}: an address or a connection, and those of pairs. */
export type OpenConnectionOptions = (ConnectionOptions | UnixConnectionOptions | GivenConn) & StreamsOptions;

/** The options of {@linkcode startServer}: an address or a listener, and those of pairs. */
export type StartServerOptions = (ServerOptions | UnixServerOptions | GivenListener) & StreamsOptions;

/**
 * Connects over TCP, TLS or a Unix socket, or takes a connection that exists.
 *
 * @param options The options of `createConnection()`, or with `path` of `createUnixConnection()`, and those of pairs.
 * @returns The pair.
 * @throws {Deno.errors.ConnectionRefused} If no server listens at the address.
 *
 * @example Ask for one line
 * ```ts
 * import { openConnection } from "@tandem/io/streams";
 *
 * await using pair = await openConnection({ hostname: "127.0.0.1", port: 6379 });
 * pair.writer.write(new TextEncoder().encode("PING\r\n"));
 * console.log(new TextDecoder().decode(await pair.reader.readLine()));
 * ```
 */
export async function openConnection(options: OpenConnectionOptions): Promise<StreamPair> {
  const [own, rest] = split("openConnection()", options);
  const { loop = getRunningLoop() } = own;
  try {
    const [, { pair }] = "path" in rest
      ? await loop.createUnixConnection(toStreams(own), rest as UnixConnectionOptions)
      : await loop.createConnection(toStreams(own), rest as ConnectionOptions);
    return pair;
  } catch (error) {
    throw rename(error, "openConnection()");
  }
}

/**
 * Serves TCP, TLS or a Unix socket, and calls a handler for each connection.
 *
 * @param handler Called with the pair of each connection. What it throws goes to the exception handler and closes that
 * connection alone. When it returns, the connection stays open; write `using` to close it.
 * @param options The options of `createServer()`, or with `path` of `createUnixServer()`, and those of pairs.
 * @returns The server.
 * @throws {Deno.errors.AddrInUse} If one of the addresses is taken.
 *
 * @example An echo server
 * ```ts
 * import { startServer, type StreamPair } from "@tandem/io/streams";
 *
 * const server = await startServer(async (pair: StreamPair) => {
 *   await using _ = pair;
 *   for await (const line of pair.reader.lines()) {
 *     pair.writer.write(line);
 *     await pair.writer.drain();
 *   }
 * }, { hostname: "127.0.0.1", port: 8000 });
 * await server.serveForever();
 * ```
 */
export async function startServer(handler: StreamHandler, options: StartServerOptions): Promise<Server> {
  checkFunction("startServer()", "handler", handler, "a function that takes a pair");
  const [own, rest] = split("startServer()", options);
  const { loop = getRunningLoop() } = own;
  const factory = toStreams({ ...own, handler });
  try {
    return "path" in rest
      ? await loop.createUnixServer(factory, rest as UnixServerOptions)
      : await loop.createServer(factory, rest as ServerOptions);
  } catch (error) {
    throw rename(error, "startServer()");
  }
}

/** Makes an error of the loop name the method that was called. */
function rename(error: unknown, method: string): unknown {
  if (!(error instanceof Error)) return error;
  const before = error.message;
  const after = before.replace(/^create(Unix)?(Connection|Server)\(\)(?=: )/, method);
  if (after !== before) {
    error.message = after;
    if (error.stack !== undefined) error.stack = error.stack.replace(before, () => after);
  }
  return error;
}

/** Separates the options of pairs from those of the loop. */
function split<O extends StreamsOptions>(method: string, options: O): [StreamsOptions, Omit<O, keyof StreamsOptions>] {
  if (typeof options !== "object" || options === null) {
    throw wrongArgument(method, "options", "a plain object", options);
  }
  const { limit, loop, ...rest } = options;
  checkStreamsOptions(method, { limit, loop });
  return [{ limit, loop }, rest];
}
