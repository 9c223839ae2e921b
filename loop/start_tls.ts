import { checkBytes, checkProtocol } from "../checks.ts";
import { describe, DrainInterrupted, toError } from "../errors.ts";
import { handshake, loadTls, makeTlsHandle } from "../tls/secure_stream.ts";
import { handshakeTimedOut, type TlsHandle } from "../tls/tls_handle.ts";
import { planUpgrade, type TlsOptions, type TlsPlan } from "../tls/tls_options.ts";
import { checkCallbacks } from "../check_protocol.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import { isBuffered } from "../transports/stream_receiver.ts";
import { connectionOf, extraOf, StreamTransport } from "../transports/stream_transport.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { takeUnread, type UnreadBytes } from "../unread_bytes.ts";
import type { LoopCore } from "./loop_core.ts";

/** The options of {@linkcode EventLoop.startTls}. */
export interface StartTlsOptions extends TlsOptions {
  /**
   * Be the server in the TLS handshake.
   *
   * @default {false}
   */
  serverSide?: boolean | undefined;
  /**
   * Bytes that the protocol has received before the call, and that belong to TLS: what arrived behind the plain command. The
   * bytes are yours again when the call returns. Protocols of `@tandem/io/framing` and `@tandem/io/streams` need not pass
   * them: what they have received and not delivered goes to TLS.
   *
   * @default {undefined} none
   */
  readAhead?: Uint8Array | undefined;
}

const METHOD = "startTls()";

/**
 * Does the work of {@linkcode EventLoop.startTls}. If `connectionLost` is called with the same error, an unhandled
 * rejection does not end the process.
 */
export function startTls(
  loop: LoopCore,
  transport: Transport,
  protocol: StreamCallbacks,
  options: StartTlsOptions,
): Promise<Transport> {
  const { promise, resolve, reject } = Promise.withResolvers<Transport>();
  try {
    const connection = connectionOf(transport);
    if (!connection?.readable || !connection.writable) {
      throw new TypeError(`${METHOD}: transport must be a byte stream in both directions, got ${describe(transport)}`);
    }
    checkProtocol(METHOD, "protocol", protocol);
    checkCallbacks(loop, METHOD, protocol, "stream");
    // Checked before anything changes, because a getter may throw.
    const buffered = isBuffered(protocol);
    const plan = planUpgrade(METHOD, options);
    const { readAhead } = options;
    if (readAhead !== undefined) checkBytes(METHOD, "readAhead", readAhead);
    const ahead = readAhead?.slice() ?? null;
    // Before any `await`: bytes that arrive from now on are TLS.
    const giveBack = connection.beginUpgrade(transport);
    const unread = takeOrGiveBack(connection.protocol, giveBack);
    const early = join(ahead, unread?.bytes);
    let isLost = true;
    const keep = () => {
      isLost = false;
      unread?.putBack();
      giveBack();
    };
    upgrade(loop, transport, connection, protocol, buffered, plan, early, keep).then(resolve, (error) => {
      if (isLost) promise.catch(() => {});
      reject(error);
    });
  } catch (error) {
    reject(error);
  }
  return promise;
}

/** Performs the upgrade. If it rejects, the connection is lost, unless `giveBack` was called. */
async function upgrade(
  loop: LoopCore,
  transport: Transport,
  connection: StreamConnection,
  protocol: StreamCallbacks,
  buffered: boolean,
  plan: TlsPlan,
  early: Uint8Array | null,
  giveBack: () => void,
): Promise<Transport> {
  // Also limits the time for the plain bytes: a peer that asks for TLS and then reads nothing must not block the upgrade.
  const calledAt = loop.time();
  const { handshakeTimeout } = plan;
  const timer = loop.callLater(handshakeTimeout, () => connection.fail(handshakeTimedOut(handshakeTimeout)));
  timer.unref(); // The socket keeps the process alive, unless the program has let go of it.
  try {
    await loadTls(loop, plan);
    // Bytes that were written before the call are sent unencrypted.
    await connection.sender.drained(0);
  } catch (error) {
    if (error instanceof DrainInterrupted) throw error.error ?? gone();
    giveBack();
    throw error;
  } finally {
    timer.cancel();
  }
  if (connection.isClosing) throw gone();
  let handle!: TlsHandle;
  const extra = { ...extraOf(transport as StreamTransport) };
  connection.upgrade(
    (lower) => {
      handle = makeTlsHandle(loop, lower, plan, extra.peername);
      return [handle, handle.lowerSink];
    },
    protocol,
    buffered,
    () => new StreamTransport(connection, { extra }),
    early,
  );
  let direct: StreamHandle | null;
  try {
    Object.assign(extra, await handshake(handle, plan, loop.time() - calledAt));
    direct = connection.isClosing ? null : handle.direct();
  } catch (error) {
    // Calls connectionLost(), because connectionMade() was called.
    connection.fail(toError(error));
    throw error;
  }
  connection.startReadingSoon(direct);
  return connection.transport;
}

/** Takes what a protocol of this package has received and not passed on: it is not plain text any more. */
function takeOrGiveBack(protocol: StreamCallbacks, giveBack: () => void): UnreadBytes | null {
  try {
    return takeUnread(protocol);
  } catch (error) {
    giveBack();
    throw error;
  }
}

function join(first: Uint8Array | null, second: Uint8Array | undefined): Uint8Array | null {
  if (first === null || second === undefined) return first ?? second ?? null;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function gone(): Error {
  return new Deno.errors.ConnectionAborted("startTls(): the transport was closed before the handshake");
}
