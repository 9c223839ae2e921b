/**
 * Upgrading a connection to TLS halfway.
 *
 * @module
 */
import { checkProtocol } from "../checks.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { describe, DrainInterrupted, toError } from "../errors.ts";
import { isBuffered } from "../transports/stream_receiver.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { NodeTls } from "../tls/node/node_tls.ts";
import { handshakeTimedOut, type TlsHandle } from "../tls/tls_handle.ts";
import type { ExtraInfo, StreamCallbacks, Transport } from "../transports/transport.ts";
import { handshake, loadTls, makeTlsHandle } from "./make_stream.ts";
import { planTls, type TlsOptions } from "../tls/tls_options.ts";

/** How to upgrade a connection. */
export interface StartTlsOptions extends TlsOptions {
  /**
   * Be the server in the handshake, whoever has dialled.
   *
   * @default {false}
   */
  serverSide?: boolean | undefined;
}

/** {@inheritDoc EventLoop.startTls} */
export async function startTls(
  loop: LoopContext,
  transport: Transport,
  protocol: StreamCallbacks,
  options: StartTlsOptions,
): Promise<Transport> {
  if (!(transport instanceof StreamTransport) || !transport.readable || !transport.writable) {
    throw new TypeError(`transport must be a byte stream in both directions, got ${describe(transport)}`);
  }
  checkProtocol(protocol, "protocol");
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options must be an object, got ${describe(options)}`);
  }
  // Asked here alone, for a getter may throw: then nothing has happened.
  const buffered = isBuffered(protocol);
  const plan = planTls(options, options.serverSide ?? false)!;
  // From here on, before anything is awaited, what arrives belongs to TLS.
  const giveBack = transport.beginUpgrade();
  // A peer that asks for TLS and then reads nothing must not hold the connection for ever.
  const calledAt = performance.now();
  const timer = setTimeout(() => transport.fail(handshakeTimedOut(plan.handshakeTimeout)), plan.handshakeTimeout);
  let tls: NodeTls;
  try {
    tls = await loadTls(loop, plan);
    // Plain bytes that were written before leave before.
    await transport.drained(0);
  } catch (error) {
    if (error instanceof DrainInterrupted) throw error.error ?? gone();
    giveBack();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  if (transport.isClosing()) throw gone();
  let handle!: TlsHandle;
  let extra!: Partial<ExtraInfo>;
  const upgraded = transport.giveUp((lower, inherited) => {
    handle = makeTlsHandle(tls, lower, plan);
    extra = inherited.extra;
    return [new StreamTransport(loop, handle, protocol, { ...inherited, buffered }), handle.lowerSink];
  });
  try {
    Object.assign(extra, await handshake(handle, plan, performance.now() - calledAt));
  } catch (error) {
    // The protocol's connection is made already, hence it is told.
    upgraded.fail(toError(error));
    throw error;
  }
  // In the next turn, so that whoever awaits this call is there before the first bytes are.
  loop.callSoon(() => upgraded.startReading());
  return upgraded;
}

function gone(): Error {
  return new Deno.errors.ConnectionAborted("startTls(): the transport was closed before the handshake");
}
