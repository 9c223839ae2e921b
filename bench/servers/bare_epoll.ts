/**
 * A bare loop over epoll by FFI, as simple as the C server: the most that an engine of this kind can reach on Deno. It has
 * no protocols, no flow control and no rules of ownership, and waits where the kernel takes no more.
 *
 *   bare_epoll.ts echo | idle    [fresh]
 *   bare_epoll.ts pipelined
 *
 * `fresh`: each message is read into memory that is not used again, as for `dataReceived`.
 */
import { setImmediate } from "node:timers";
import { EPOLL_CTL_ADD, EPOLLIN, EPOLLOUT, MSG_SEND, SOCK_FLAGS, SOCK_STREAM } from "../../engines/epoll/constants.ts";
import { openLibc, toSize } from "../../engines/epoll/libc.ts";
import { encodeIp } from "../../engines/epoll/sockaddr.ts";
import { bind, ipNameOf, openSocket, setOption } from "../../engines/epoll/socket_calls.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../../engines/epoll/socket_options.ts";

const [mode = "", kind = ""] = Deno.args;

const EVENTS = 64;
/** So many polls without an event end in a call that waits on a thread. */
const IDLE_POLLS = 4;
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
const DATA = WORDS - 2;
const SLAB = 2 * 1024 * 1024;
const PAGE = 4 * 1024;
const ANSWER = new Uint8Array(64);
const ANSWERS = 16;

const libc = openLibc();
/** One for all connections, as in the C server. */
const buffer = new Uint8Array(256 * 1024);
const change = new Int32Array(WORDS);
const events = new Int32Array(EVENTS * WORDS);
const epoll = libc.epoll_create1(0);

let slab = buffer;
let used = slab.length;
/** The size of the largest message until now, and a page. */
let size = PAGE;

function freshMemory(): Uint8Array {
  if (used + size > slab.length) {
    slab = new Uint8Array(SLAB);
    used = 0;
  }
  return slab.subarray(used, used + size);
}

function watch(operation: number, fd: number, interest: number): void {
  change[0] = interest;
  change[DATA] = fd;
  libc.epoll_ctl(epoll, operation, fd, change);
}

/** Sends all, and waits where the kernel takes no more. */
function sendAll(fd: number, data: Uint8Array, length: number): void {
  for (let sent = 0; sent < length;) {
    const count = libc.send(fd, sent === 0 ? data : data.subarray(sent), toSize(length - sent), MSG_SEND);
    if (count > 0) sent += count;
    else waitFor(fd);
  }
}

/** Waits on an epoll of its own until a socket is writable, as poll(2) would. */
function waitFor(fd: number): void {
  const one = libc.epoll_create1(0);
  change[0] = EPOLLOUT;
  change[DATA] = fd;
  libc.epoll_ctl(one, EPOLL_CTL_ADD, fd, change);
  libc.epoll_wait(one, new Int32Array(WORDS), 1, -1);
  libc.close(one);
}

/** Reads once, and answers. Returns what `recv` has returned. */
function answer(fd: number): number {
  const memory = kind === "fresh" ? freshMemory() : buffer;
  const count = libc.recv(fd, memory, toSize(memory.length), 0);
  if (count <= 0) return count;
  if (mode === "pipelined") {
    // Sixteen writes by a protocol, of which each is a copy.
    for (let i = 0; i < ANSWERS; i++) buffer.set(ANSWER, i * ANSWER.length);
    sendAll(fd, buffer, ANSWERS * ANSWER.length);
  } else if (kind === "fresh") {
    used += count + 7 & ~7;
    size = Math.min(count === memory.length ? 2 * count : Math.max(size, count + PAGE), buffer.length);
    sendAll(fd, memory.subarray(0, count), count);
  } else {
    sendAll(fd, buffer, count);
  }
  return count;
}

function acceptAll(): void {
  for (let fd: number; (fd = libc.accept4(listener, null, null, SOCK_FLAGS)) >= 0;) {
    setOption(libc, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

const address = encodeIp("127.0.0.1", 0);
const listener = openSocket(libc, address.family, SOCK_STREAM, (fd) => {
  bind(libc, fd, address);
  libc.listen(fd, 1024);
  return fd;
});
watch(EPOLL_CTL_ADD, listener, EPOLLIN);
console.log(`listening ${ipNameOf(libc, listener, "tcp").port}`);

for (let idle = 0;;) {
  let count = libc.epoll_wait(epoll, events, EVENTS, 0);
  if (count > 0) idle = 0;
  else if (++idle >= IDLE_POLLS) count = await libc.epoll_park(epoll, events, EVENTS, -1);
  for (let i = 0; i < count; i++) {
    const fd = events[i * WORDS + DATA]!;
    if (fd === listener) acceptAll();
    else if (answer(fd) === 0) libc.close(fd);
  }
  // Deno's timers and sockets have their turn.
  await new Promise<void>((resolve) => setImmediate(resolve));
}
