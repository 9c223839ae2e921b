/**
 * Constants of the Linux system interface, from its header files. They are the same on x86-64 and arm64: `socket.h`, `in.h`,
 * `tcp.h`, `eventpoll.h` and `errno.h` of `include/uapi`.
 */

/** Unix sockets, of `socket.h`. */
export const AF_UNIX = 1;
/** IPv4. */
export const AF_INET = 2;
/** IPv6. */
export const AF_INET6 = 10;

/** A byte stream. */
export const SOCK_STREAM = 1;
/** Datagrams. */
export const SOCK_DGRAM = 2;
/** Calls return EAGAIN instead of waiting. */
const SOCK_NONBLOCK = 0o4000;
/** Children do not inherit the descriptor. */
export const SOCK_CLOEXEC = 0o2000000;
/** The flags of every descriptor of the engine. */
export const SOCK_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC;

/** The flag of `send` that returns EPIPE instead of sending SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;
/** The flag of `recv` that leaves the datagram in the queue. */
export const MSG_PEEK = 2;
/** The flag of `recv` that returns the length of the whole datagram, also if the memory is shorter. */
export const MSG_TRUNC = 0x20;
/** The flag of `recv` that reads the queue of errors, which is empty unless a socket option asks for them. */
export const MSG_ERRQUEUE = 0x2000;
/** The flag of `recv` and `send` that returns EAGAIN instead of waiting, whatever the flags of the descriptor. */
export const MSG_DONTWAIT = 0x40;
/**
 * The flags of every `send`. O_NONBLOCK is not enough: it belongs to the open socket, which another process may share, as it
 * does with a standard stream or LISTEN_FDS, and may clear. Then one call would stop the loop.
 */
export const MSG_SEND: number = MSG_NOSIGNAL | MSG_DONTWAIT;

/** Duplicates a descriptor to a number of at least the argument, of `fcntl`. */
export const F_DUPFD_CLOEXEC = 1030;
/** Sets the flags of a descriptor. */
export const F_SETFD = 2;
/** Reads the flags of a file description. */
export const F_GETFL = 3;
/** Sets the flags of a file description. */
export const F_SETFL = 4;
/** The flag that children do not inherit the descriptor. */
export const FD_CLOEXEC = 1;

/** Open for reading. */
export const O_RDONLY = 0;
/** Open for writing. */
export const O_WRONLY = 1;
/** The part of the flags that says how a file is open. */
export const O_ACCMODE = 3;
/** A terminal does not become the controlling one. */
export const O_NOCTTY = 0o400;
/** Calls return EAGAIN instead of waiting. */
export const O_NONBLOCK = 0o4000;
/** Children do not inherit the descriptor. */
export const O_CLOEXEC = 0o2000000;
/** The current directory, of `openat`. */
export const AT_FDCWD = -100;

/** Ends the writing half, of `shutdown`. */
export const SHUT_WR = 1;

/** From the current position, of `lseek`. */
export const SEEK_CUR = 1;

/** Readable. */
export const EPOLLIN = 1;
/** Writable. */
export const EPOLLOUT = 4;
/** An error is pending. Comes without interest. */
export const EPOLLERR = 8;
/** Both halves have ended. Comes without interest. */
export const EPOLLHUP = 16;

/** Adds a descriptor, of `epoll_ctl`. */
export const EPOLL_CTL_ADD = 1;
/** Removes a descriptor. */
export const EPOLL_CTL_DEL = 2;
/** Changes the interest in a descriptor. */
export const EPOLL_CTL_MOD = 3;

/** The errors that the engine handles; see `errors.ts` for all others. */
export const EINTR = 4;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const EINVAL = 22;
export const ESPIPE = 29;
export const EPIPE = 32;
export const ENOSYS = 38;
export const ENOTSOCK = 88;
export const EOPNOTSUPP = 95;
export const ENOTCONN = 107;
export const ECONNREFUSED = 111;
export const EINPROGRESS = 115;
