/** The state of a TCP connection as the kernel sees it: `struct tcp_info` of `linux/tcp.h`. */

/** The state of a TCP connection. */
export type TcpState =
  | "unknown"
  | "established"
  | "syn sent"
  | "syn received"
  | "fin wait 1"
  | "fin wait 2"
  | "time wait"
  | "close"
  | "close wait"
  | "last ack"
  | "listen"
  | "closing";

/** The states, by the kernel's numbers. */
const STATES: readonly TcpState[] = [
  "unknown",
  "established",
  "syn sent",
  "syn received",
  "fin wait 1",
  "fin wait 2",
  "time wait",
  "close",
  "close wait",
  "last ack",
  "listen",
  "closing",
];

/**
 * What the kernel knows of a TCP connection. Times are milliseconds, sizes are bytes. A field that the kernel is too old for
 * is missing.
 */
export interface TcpInfo {
  /** The state. */
  state: TcpState;
  /** The smoothed round-trip time. */
  rtt: number;
  /** The variation of the round-trip time. */
  rttVar: number;
  /** The lowest round-trip time. */
  minRtt?: number;
  /** The retransmission timeout. */
  rto: number;
  /** The number of retransmissions since the last acknowledgement. */
  retransmits: number;
  /** The number of segments that were retransmitted, over the whole connection. */
  totalRetransmits: number;
  /** The number of unanswered keep-alive or zero-window probes. */
  probes: number;
  /** The maximum segment size for sending. */
  mss: number;
  /** The maximum segment size for receiving. */
  receiveMss: number;
  /** The largest packet that the path takes. */
  pathMtu: number;
  /** The congestion window, in segments. */
  sndCwnd: number;
  /** The slow start threshold, in segments. */
  sndSsthresh: number;
  /** The number of segments that are not acknowledged. */
  unacked: number;
  /** The number of segments that are lost, as far as the kernel can tell. */
  lost: number;
  /** The time since data was last sent. */
  lastDataSent: number;
  /** The time since data was last received. */
  lastDataReceived: number;
  /** The time since an acknowledgement was last received. */
  lastAckReceived: number;
  /** The number of bytes that the peer has acknowledged; one more on the side that has connected, for its SYN. */
  bytesAcked?: number;
  /** The number of bytes that were received. */
  bytesReceived?: number;
  /** The number of bytes that were sent, retransmissions included. */
  bytesSent?: number;
  /** The number of bytes that were retransmitted. */
  bytesRetransmitted?: number;
  /** The number of bytes in the send buffer that were not sent yet. */
  notSentBytes?: number;
  /** The number of segments that were sent. */
  segmentsSent?: number;
  /** The number of segments that were received. */
  segmentsReceived?: number;
  /** The rate at which data was delivered last, in bytes per second. */
  deliveryRate?: number;
}

/** Decodes the bytes that the kernel has returned for `TCP_INFO`. Older kernels return fewer. */
export function decodeTcpInfo(bytes: Uint8Array<ArrayBuffer>): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // Both processors are little-endian.
  const word = (at: number) => view.getUint32(at, true);
  const info: TcpInfo = {
    state: STATES[bytes[0]!] ?? "unknown",
    rtt: word(68) / 1000,
    rttVar: word(72) / 1000,
    rto: word(8) / 1000,
    retransmits: bytes[2]!,
    totalRetransmits: word(100),
    probes: bytes[3]!,
    mss: word(16),
    receiveMss: word(20),
    pathMtu: word(60),
    sndCwnd: word(80),
    sndSsthresh: word(76),
    unacked: word(24),
    lost: word(32),
    lastDataSent: word(44),
    lastDataReceived: word(52),
    lastAckReceived: word(56),
  };
  const long = (at: number) => Number(view.getBigUint64(at, true));
  const later: [name: keyof TcpInfo, at: number, size: 4 | 8, read: () => number][] = [
    ["bytesAcked", 120, 8, () => long(120)],
    ["bytesReceived", 128, 8, () => long(128)],
    ["segmentsSent", 136, 4, () => word(136)],
    ["segmentsReceived", 140, 4, () => word(140)],
    ["notSentBytes", 144, 4, () => word(144)],
    ["minRtt", 148, 4, () => word(148) / 1000],
    ["deliveryRate", 160, 8, () => long(160)],
    ["bytesSent", 200, 8, () => long(200)],
    ["bytesRetransmitted", 208, 8, () => long(208)],
  ];
  for (const [name, at, size, read] of later) {
    if (at + size <= bytes.length) Object.assign(info, { [name]: read() });
  }
  return info;
}

/** The size of `struct tcp_info` up to its last field that is decoded, and of the part that every supported kernel has. */
export const TCP_INFO_SIZE = 216;
export const TCP_INFO_LEAST = 104;
