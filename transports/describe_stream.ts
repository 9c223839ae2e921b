import { describe } from "../errors.ts";
import type { TrafficInfo, TransportState } from "./inspection.ts";
import type { StreamReceiver } from "./stream_receiver.ts";
import type { StreamSender } from "./stream_sender.ts";
import type { StreamCallbacks, Transport } from "./transport.ts";

/** The parts of a connection that are described. */
interface Described {
  readonly transport: Transport;
  readonly protocol: StreamCallbacks;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly isClosing: boolean;
  readonly upgrading: boolean;
  readonly receiver: StreamReceiver;
  readonly currentSender: StreamSender | null;
  readonly sent: number;
  readonly unsent: number;
}

/** Describes the bytes of a connection at a time, for `loop.inspect()`. */
export function describeTraffic(connection: Described, now: number): TrafficInfo {
  const { receiver, currentSender: sender, isClosing, upgrading } = connection;
  let readingPaused: TrafficInfo["readingPaused"] = null;
  if (isClosing) readingPaused = null;
  else if (receiver.paused) {
    readingPaused = { by: upgrading ? "startTls" : "program", for: now - receiver.pausedAt };
  } else if (receiver.halted) readingPaused = { by: "writes", for: null };
  return {
    bytesReceived: receiver.received,
    bytesSent: connection.sent,
    writeBufferSize: connection.unsent,
    closing: isClosing,
    readingPaused,
    writingPaused: sender?.paused ? { by: "peer", for: now - sender.pausedAt } : null,
  };
}

/** Describes a connection at a time, for `loop.inspect()`. */
export function describeStream(connection: Described, now: number): TransportState {
  const { transport, protocol, readable, writable } = connection;
  const isPipe = !readable || !writable || transport.getExtraInfo("pipe") !== null;
  return {
    kind: isPipe ? "pipe" : "stream",
    protocol: describe(protocol),
    peername: copyAddress(transport.getExtraInfo("peername")),
    sockname: copyAddress(transport.getExtraInfo("sockname")),
    tls: transport.getExtraInfo("cipher") !== null,
    ...describeTraffic(connection, now),
    pid: null,
    pipes: [],
  };
}

/** Returns an address that the program can change. */
export function copyAddress(address: Deno.Addr | null | undefined): Deno.Addr | null {
  return address ? { ...address } : null;
}
