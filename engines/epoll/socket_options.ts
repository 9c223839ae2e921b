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
/** Allow sending to a broadcast address. */
export const SO_BROADCAST = 6;
/** Probe an idle connection. */
export const SO_KEEPALIVE = 9;
/** Share the port with other sockets. */
export const SO_REUSEPORT = 15;

/** The level of IPv4. */
export const IPPROTO_IP = 0;
/** The time to live of packets to one receiver. */
export const IP_TTL = 2;
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
