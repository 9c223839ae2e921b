/**
 * The levels and names of socket options, for {@linkcode Socket.getOption} and {@linkcode Socket.setOption}. The values are
 * Linux's on x86-64 and arm64, from `socket.h`, `in.h`, `in6.h` and `tcp.h` of its `include/uapi`.
 */

/** The level of all sockets. */
export const SOL_SOCKET = 1;
/** Bind an address that another socket has used. */
export const SO_REUSEADDR = 2;
/** The pending error. */
export const SO_ERROR = 4;
/** Probe an idle connection. */
export const SO_KEEPALIVE = 9;
/** Share the port with other sockets. */
export const SO_REUSEPORT = 15;

/** The level of TCP. */
export const IPPROTO_TCP = 6;
/** Send small segments at once. */
export const TCP_NODELAY = 1;

/** The level of IPv4. */
export const IPPROTO_IP = 0;
/** Choose the port of a bound socket when it connects. */
export const IP_BIND_ADDRESS_NO_PORT = 24;

/** The level of IPv6. */
export const IPPROTO_IPV6 = 41;
/** Do not accept IPv4 on an IPv6 socket. */
export const IPV6_V6ONLY = 26;
