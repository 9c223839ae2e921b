/**
 * The levels and names of socket options, for {@linkcode Socket.getOption} and {@linkcode Socket.setOption}. The values are
 * Linux's on x86-64 and arm64, from `socket.h`, `in.h`, `in6.h` and `tcp.h` of its `include/uapi`. socket(7), tcp(7), ip(7)
 * and ipv6(7) describe them.
 */

/** The level of all sockets. */
export const SOL_SOCKET = 1;
/** Bind an address that another socket has used. */
export const SO_REUSEADDR = 2;
/** The type, such as 1 for a stream. Read only. */
export const SO_TYPE = 3;
/** The pending error. Reading clears it. */
export const SO_ERROR = 4;
/** Allow sending to a broadcast address. */
export const SO_BROADCAST = 6;
/** The size of the send buffer, in bytes. The kernel doubles the value. */
export const SO_SNDBUF = 7;
/** The size of the receive buffer, in bytes. The kernel doubles the value. */
export const SO_RCVBUF = 8;
/** Probe an idle connection. */
export const SO_KEEPALIVE = 9;
/** The priority of outgoing packets. */
export const SO_PRIORITY = 12;
/** What closing does with unsent data: two 32-bit numbers, on or off, and seconds. */
export const SO_LINGER = 13;
/** Share the port with other sockets. */
export const SO_REUSEPORT = 15;
/** The process at the other end of a Unix socket: see {@linkcode Socket.peerCredentials}. Read only. */
export const SO_PEERCRED = 17;
/** The name of the network interface to use: its bytes. */
export const SO_BINDTODEVICE = 25;
/** Whether the socket listens. Read only. */
export const SO_ACCEPTCONN = 30;
/** The mark of outgoing packets. Privileged. */
export const SO_MARK = 36;
/** The protocol, such as 6 for TCP. Read only. */
export const SO_PROTOCOL = 38;
/** The family, such as 1 for Unix, 2 for IPv4, 10 for IPv6. Read only. */
export const SO_DOMAIN = 39;
/** The highest rate of sending, in bytes per second. */
export const SO_MAX_PACING_RATE = 47;

/** The level of IPv4. */
export const IPPROTO_IP = 0;
/** The type of service of outgoing packets. */
export const IP_TOS = 1;
/** The time to live of packets to one receiver. */
export const IP_TTL = 2;
/** Choose the port of a bound socket when it connects. */
export const IP_BIND_ADDRESS_NO_PORT = 24;
/** The interface that multicast packets leave by. */
export const IP_MULTICAST_IF = 32;
/** The time to live of multicast packets. */
export const IP_MULTICAST_TTL = 33;
/** Deliver multicast packets to receivers on this machine, too. */
export const IP_MULTICAST_LOOP = 34;
/** Join a multicast group. */
export const IP_ADD_MEMBERSHIP = 35;
/** Leave a multicast group. */
export const IP_DROP_MEMBERSHIP = 36;

/** The level of IPv6. */
export const IPPROTO_IPV6 = 41;
/** The hop limit of packets to one receiver. */
export const IPV6_UNICAST_HOPS = 16;
/** The interface that multicast packets leave by. */
export const IPV6_MULTICAST_IF = 17;
/** The hop limit of multicast packets. */
export const IPV6_MULTICAST_HOPS = 18;
/** Deliver multicast packets to receivers on this machine, too. */
export const IPV6_MULTICAST_LOOP = 19;
/** Join a multicast group. */
export const IPV6_JOIN_GROUP = 20;
/** Leave a multicast group. */
export const IPV6_LEAVE_GROUP = 21;
/** Do not accept IPv4 on an IPv6 socket. */
export const IPV6_V6ONLY = 26;
/** The traffic class of outgoing packets. */
export const IPV6_TCLASS = 67;

/** The level of TCP. */
export const IPPROTO_TCP = 6;
/** Send small segments at once. */
export const TCP_NODELAY = 1;
/** The largest segment, in bytes. */
export const TCP_MAXSEG = 2;
/** Send full segments only, until the option is cleared. */
export const TCP_CORK = 3;
/** The idle time before the first keep-alive probe, in seconds. */
export const TCP_KEEPIDLE = 4;
/** The time between keep-alive probes, in seconds. */
export const TCP_KEEPINTVL = 5;
/** The number of unanswered keep-alive probes that end the connection. */
export const TCP_KEEPCNT = 6;
/** The number of attempts to connect. */
export const TCP_SYNCNT = 7;
/** The lifetime of a closed connection that waits for the peer's end, in seconds. */
export const TCP_LINGER2 = 8;
/** Accept a connection only once data has arrived, within this time in seconds. */
export const TCP_DEFER_ACCEPT = 9;
/** The largest advertised window, in bytes. */
export const TCP_WINDOW_CLAMP = 10;
/** The state of the connection: see {@linkcode Socket.tcpInfo}. Read only. */
export const TCP_INFO = 11;
/** Acknowledge at once. The kernel may clear the option. */
export const TCP_QUICKACK = 12;
/** The name of the congestion control algorithm: its bytes. */
export const TCP_CONGESTION = 13;
/** How long sent data may stay unacknowledged before the connection ends, in milliseconds. */
export const TCP_USER_TIMEOUT = 18;
/** The number of pending connections with data in the SYN, of a listener. */
export const TCP_FASTOPEN = 23;
/** Report the socket as writable only below this many unsent bytes. */
export const TCP_NOTSENT_LOWAT = 25;
