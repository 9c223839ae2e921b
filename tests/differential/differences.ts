/** Where Tandem is meant to differ from asyncio: the one list. docs/asyncio.md explains it to users. */

import type { Version } from "./python.ts";
import { scenarios as start_tls } from "./scenarios/start_tls.ts";
import { scenarios as tls } from "./scenarios/tls.ts";

/** The engines that Tandem runs over. */
export type EngineName = "deno" | "epoll";

/** A difference that is known and meant. */
export interface Difference {
  /** The scenarios that show it, as `topic: name`. */
  scenarios: string[];
  /** The only engine that has it. */
  engine?: EngineName;
  /** Why it is so. */
  reason: string;
  /** What asyncio's lines, joined by line feeds, contain... */
  asyncio: string | RegExp;
  /** ...and what Tandem's contain instead. */
  tandem: string;
  /** The first version of Python that has no such difference. */
  until?: Version;
}

const TOLD_BY_TRANSPORT = "The exception handler is told the protocol's callback, the transport and the protocol. " +
  "asyncio runs these callbacks as callbacks of the loop and tells their handle.";

/** Scenarios that versions of asyncio before a certain one got wrong: there they are skipped. 3.11.2 still did. */
export const FIXED_IN: { version: Version; bug: string; scenarios: string[] }[] = [
  {
    version: [3, 11, 7],
    bug: "pause_reading() inside connection_made was lost",
    scenarios: [
      "reading: pause_reading() inside connection_made holds everything until resume_reading()",
      "reading: pause_reading() right after resume_reading() lets nothing through",
      "reading: data and the end that arrive while paused are told in order after resume_reading()",
      "reading: a reset that arrives while paused is told after resume_reading()",
      "reading: close() while paused drops what is held",
      "buffered: pause_reading() inside connection_made holds everything until resume_reading()",
      "pipes: pausing and resuming",
    ],
  },
  {
    version: [3, 11, 7],
    bug: "the transports of a child's pipes did not tell whether they were reading",
    scenarios: ["processes: a paused pipe holds its data and its end until it is resumed"],
  },
  {
    version: [3, 11, 0],
    bug: "TLS did not send close_notify, and had no half-close",
    scenarios: [
      ...Object.keys(tls).map((name) => `tls: ${name}`),
      ...Object.keys(start_tls).map((name) => `start_tls: ${name}`),
    ],
  },
];

const OWN_CLOSE = "No data or end is told after close(). asyncio calls eof_received() when the other side's " +
  "close_notify comes, which is the answer to its own.";

const TRUNCATED = "A connection that ends without close_notify may have lost its last bytes, so it is an error. " +
  "asyncio takes it for an end.";

const HANDSHAKE_REPORTED =
  "A failed handshake on a server reaches the exception handler. asyncio tells it in debug mode only.";

/** All of them. Each must show: one that has gone fails the test until it is taken off the list. */
export const DIFFERENCES: Difference[] = [
  {
    scenarios: ["reading: resuming after a true eof_received tells the end no second time"],
    reason: "eofReceived runs at most once. asyncio watches the socket again after resume_reading(), and the end is " +
      "still there.",
    asyncio: "client: eof_received\nclient: eof_received",
    tandem: "client: eof_received",
  },
  {
    scenarios: ["connections: abort() right after a write: what the kernel takes at once arrives"],
    reason:
      "Writes leave at the end of the callback, so abort() in the same callback drops them. asyncio has tried the " +
      "kernel inside write().",
    asyncio: 'received "last words"',
    tandem: 'received ""',
  },
  {
    scenarios: ["writing: sendfile sends the part asked for and tells how much it was"],
    engine: "deno",
    reason: "Deno has no sendfile(2): the file goes through the write buffer, so flow control sees it.",
    asyncio: "client: connection_made",
    tandem: "client: connection_made\nclient: pause_writing\nclient: resume_writing",
  },
  {
    scenarios: ["buffered: get_buffer is asked for each read"],
    engine: "deno",
    reason:
      "A Deno read is posted before there is anything to read, so memory for it is needed then; asyncio is told " +
      "first that the socket is readable.",
    asyncio: /the peer sends\n(.*)get_buffer -1\n(.*)\n(.*)the peer ends\n.*get_buffer -1\n/,
    tandem: "get_buffer -1\n$1the peer sends\n$2\n$3get_buffer -1\n$1the peer ends\n",
  },
  {
    scenarios: ["buffered: get_buffer is asked for each read"],
    reason: "Tandem knows a size that suits, asyncio gives no hint.",
    asyncio: /get_buffer -1/g,
    tandem: "get_buffer 65536",
  },
  {
    scenarios: ["buffered: an empty buffer is fatal"],
    reason: "An empty buffer is a RangeError; asyncio's RuntimeError is an InvalidStateError everywhere else.",
    asyncio: /InvalidStateError/g,
    tandem: "RangeError",
  },
  {
    scenarios: ["buffered: close() inside get_buffer"],
    reason: "close() stops reading at once, also inside getBuffer. asyncio reads once more.",
    asyncio: 'client: buffer_updated "hello"\n',
    tandem: "",
  },
  {
    scenarios: ["flow_control: a write that the kernel takes whole"],
    reason: "Writes leave at the end of the callback, joined, so flow control counts them first. asyncio tries the " +
      "kernel inside write(), and counts what it did not take.",
    asyncio: "client: get_write_buffer_size: 0\n",
    tandem: "client: pause_writing\nclient: get_write_buffer_size: 100\nclient: resume_writing\n",
  },
  {
    scenarios: ["flow_control: close() inside resume_writing"],
    reason:
      "asyncio ends the transport twice where resume_writing() closes it with nothing left to flush, and reports " +
      "an AttributeError of its own.",
    asyncio: /\nexception handler: .*AttributeError.*/,
    tandem: "",
  },
  {
    scenarios: [
      "errors: an exception in connection_made of a client leaves the connection alone",
      "errors: an exception in connection_made of a server leaves the connection alone",
      "errors: an exception in connection_lost is told, and the socket is closed",
      "errors: an exception in datagram_received leaves the endpoint alone",
      "errors: an exception in connection_made, process_exited or connection_lost leaves the process alone",
      "errors: an exception in pipe_data_received or pipe_connection_lost leaves the process alone",
    ],
    reason: TOLD_BY_TRANSPORT,
    asyncio: /\[error handle\]/g,
    tandem: "[error protocol transport]",
  },
  {
    scenarios: [
      "errors: an exception in connection_lost is told, and the socket is closed",
      "errors: an exception in connection_made, process_exited or connection_lost leaves the process alone",
    ],
    reason: TOLD_BY_TRANSPORT,
    asyncio: "failed _call_connection_lost",
    tandem: "failed connection_lost",
  },
  {
    scenarios: ["errors: an exception in datagram_received leaves the endpoint alone"],
    reason: TOLD_BY_TRANSPORT,
    asyncio: /failed _read_ready/g,
    tandem: "failed datagram_received",
  },
  {
    scenarios: ["servers: a client of a server that does not serve yet"],
    reason: "Deno.listen() binds and listens in one, so clients wait in the backlog from the beginning. asyncio only " +
      "binds until the server serves.",
    asyncio: "connect: ConnectionRefused",
    tandem: "connect: null",
  },
  {
    scenarios: ["servers: wait_closed() waits for the last connection"],
    reason: "Before 3.12 wait_closed() did not wait for anything once close() had been called, which was a bug.",
    asyncio: /server: wait_closed\n(.*)/s,
    tandem: "$1\nserver: wait_closed",
    until: [3, 12, 0],
  },
  {
    scenarios: ["servers: start_serving() on a closed server"],
    reason: "It is an InvalidStateError. asyncio stumbles over its missing sockets.",
    asyncio: "TypeError",
    tandem: "InvalidStateError",
  },
  {
    scenarios: ["servers: serve_forever() starts to serve, once at a time, until close()"],
    reason: "Promises have no cancellation: serveForever() resolves when the server closes, by close() or its signal.",
    asyncio: "serve_forever: CancelledError",
    tandem: "serve_forever: null",
  },
  {
    scenarios: ["servers: a factory that throws costs its connection, and the next is served"],
    reason: "The exception handler is told. asyncio tells it in debug mode only.",
    asyncio: /^/,
    tandem: `exception handler: exception handler: "Exception in a server's protocol factory", Boom [error]\n`,
  },
  {
    scenarios: ["servers: a Unix server's socket file, when it closes"],
    reason: "Tandem removes it, as asyncio does from 3.13 on (cleanup_socket).",
    asyncio: /there: true$/,
    tandem: "there: false",
    until: [3, 13, 0],
  },
  {
    scenarios: ["servers: a Unix server in place of a stale socket file, a live one and a regular file"],
    reason: "The file of a live socket is not replaced. asyncio replaces any socket file.",
    asyncio: "live: replaced",
    tandem: "live: AddrInUse",
  },
  {
    scenarios: ["datagrams: an endpoint without a remote address needs one to send to"],
    reason: "A missing address is the caller's TypeError, at once. asyncio treats it as a fatal error of the endpoint.",
    asyncio: /exception handler.*\nclient: sendto: null\nclient: connection_lost TypeError\nclient: is_closing: true/,
    tandem: "sendto: TypeError\nclient: is_closing: false",
  },
  {
    scenarios: ["datagrams: an empty datagram that is sent"],
    reason: "Empty datagrams are sent, as by asyncio from 3.13 on.",
    asyncio: 'server: datagram_received "the next"',
    tandem: 'server: datagram_received ""\nserver: datagram_received "the next"',
    until: [3, 13, 0],
  },
  {
    scenarios: ["datagrams: sendto() after close() of an endpoint without a remote address"],
    reason: "What is sent after close() is dropped, as on every transport. asyncio still sends it where no remote " +
      "address is set.",
    asyncio: 'server: datagram_received "too late"\n',
    tandem: "",
  },
  {
    scenarios: ["datagrams: no socket at the remote address"],
    engine: "deno",
    reason: "Deno cannot connect a datagram socket, so the system does not report that no socket is there.",
    asyncio: "client: error_received ConnectionRefused\n",
    tandem: "",
  },
  {
    scenarios: ["processes: a child that closes its standard input", "pipes: a reader that goes while nothing waits"],
    reason:
      "Deno does not tell that the reader of a pipe has gone until the next write, which is then a broken pipe. " +
      "asyncio watches the pipe.",
    asyncio: /(pipe_connection_lost 0|writer: connection_lost) null/,
    tandem: "$1 BrokenPipe",
  },
  {
    scenarios: ["processes: a grandchild that reads the standard input and holds no other pipe"],
    reason:
      "Deno does not tell whether anybody reads a pipe. So the standard input of a child that has ended is closed " +
      "when no other pipe is open and nothing waits in it. asyncio leaves it open as long as a grandchild reads it.",
    asyncio: "process: is_closing: false\nprocess: connection_lost null",
    tandem: "process: connection_lost null\nprocess: is_closing: true",
  },
  {
    scenarios: ["pipes: an exception in data_received of a pipe"],
    reason: "An exception in dataReceived is fatal on every transport. asyncio's pipes read on after it.",
    asyncio: /failed _read_ready, Boom \[error handle\]\nreader: eof_received\nreader: connection_lost null/,
    tandem: "fatal in data_received, Boom [error protocol transport]\nreader: connection_lost Boom",
  },
  {
    scenarios: ["pipes: a write after write_eof() of a pipe"],
    reason: "A write after writeEof() is an InvalidStateError on every transport. asyncio's pipes drop it.",
    asyncio: "write: null",
    tandem: "write: InvalidStateError",
  },
  {
    scenarios: ["scheduling: timers of the same time"],
    reason: "Timers of the same time run in the order of calling. asyncio leaves their order open.",
    asyncio: /order [0-5 ]+/,
    tandem: "order 0 1 2 3 4 5",
  },
  {
    scenarios: ["scheduling: a future wakes its waiter"],
    reason: "A promise wakes its waiter in a microtask, before any callback of the loop.",
    asyncio: "loop: scheduled before set_result()\nloop: waiter: result",
    tandem: "loop: waiter: result\nloop: scheduled before set_result()",
  },
  {
    scenarios: [
      "tls: an echo, and close() by the client",
      "tls: close() on both sides at once",
      "tls: a true eof_received keeps nothing open",
      "tls: write() after close()",
      "tls: over a Unix socket",
      "start_tls: plain, then TLS on both sides, and close() by the client",
    ],
    reason: OWN_CLOSE,
    asyncio: "client: eof_received\n",
    tandem: "",
  },
  {
    scenarios: [
      "tls: data and close() by the server",
      "tls: close() on both sides at once",
      "tls: the end that arrives while paused is told after resume_reading()",
      "tls: a buffered protocol",
      "start_tls: close() by the server",
      "start_tls: another protocol takes over",
      "start_tls: a buffered protocol takes over",
    ],
    reason: OWN_CLOSE,
    asyncio: "server: eof_received\n",
    tandem: "",
  },
  {
    scenarios: ["tls: write() inside eof_received"],
    reason:
      "What comes after close() is dropped, TLS or not. asyncio takes data in place of close_notify for an error.",
    asyncio: "client: connection_lost TlsError",
    tandem: "client: connection_lost null",
  },
  {
    scenarios: [
      "tls: abort() tells its own protocol null",
      "tls: an exception in data_received",
      "start_tls: abort() by the client",
      "start_tls: the old transport afterwards",
    ],
    reason: TRUNCATED,
    asyncio: "server: eof_received\nserver: connection_lost null",
    tandem: "server: connection_lost UnexpectedEof",
  },
  {
    scenarios: ["tls: an exception in data_received"],
    reason:
      "The exception handler is told which callback it was, as on every transport. asyncio says only that it is TLS.",
    asyncio: '"Fatal error on SSL protocol"',
    tandem: "fatal in data_received",
  },
  {
    scenarios: ["tls: a handshake that fails: an unknown issuer", "tls: a handshake that fails: another name"],
    reason: HANDSHAKE_REPORTED,
    asyncio: /$/,
    tandem: "\nexception handler: exception handler: a TLS handshake, TlsError [error peername]",
  },
  {
    scenarios: ["tls: a client that speaks in the clear costs its connection, and the next is served"],
    reason: HANDSHAKE_REPORTED,
    asyncio: "server: connection_made",
    tandem: "exception handler: exception handler: a TLS handshake, TlsError [error peername]\nserver: connection_made",
  },
  {
    scenarios: ["tls: a handshake that fails: the server says nothing"],
    reason: "What takes too long is a TimeoutError everywhere.",
    asyncio: "ConnectionAborted",
    tandem: "TimeoutError",
  },
  {
    scenarios: [
      "tls: a handshake that fails: the server closes",
      "start_tls: a handshake that fails: the other side closes",
    ],
    reason:
      "A connection that ends during the handshake is an UnexpectedEof, as in Deno's own TLS. The peer has not reset it.",
    asyncio: /ConnectionReset/g,
    tandem: "UnexpectedEof",
  },
  {
    scenarios: ["tls: a connection that is given, with no name to verify"],
    reason: "A missing option is a TypeError.",
    asyncio: "RangeError",
    tandem: "TypeError",
  },
  {
    scenarios: ["start_tls: a handshake that fails: an unknown issuer"],
    reason: "An alert tells the other side why. asyncio closes before it has left.",
    asyncio: /ConnectionReset/g,
    tandem: "TlsError",
  },
  {
    scenarios: ["start_tls: a handshake that fails: it takes too long"],
    reason:
      "What takes too long is a TimeoutError everywhere, and a protocol whose connection_made() has run is told " +
      "of its end. asyncio tells it nothing.",
    asyncio: "server: start_tls: ConnectionAborted",
    tandem: "server: start_tls: TimeoutError\nserver: connection_lost TimeoutError",
  },
  {
    scenarios: ["start_tls: abort() during the handshake"],
    reason: "startTls() without a connection is an error, and the protocol is told of its end. asyncio's start_tls() " +
      "returns None, and tells it nothing.",
    asyncio: "server: start_tls: null",
    tandem: "server: connection_lost null\nserver: start_tls: ConnectionAborted",
  },
  {
    scenarios: ["start_tls: what was written before leaves before, in the clear"],
    reason: "startTls() without a connection is an error. asyncio's start_tls() returns None.",
    asyncio: "start_tls: null",
    tandem: "start_tls: ConnectionAborted",
  },
  {
    scenarios: ["start_tls: a transport that is closing"],
    reason: "It is an InvalidStateError, at once. asyncio's start_tls() returns None when the transport is closed.",
    asyncio: "server: connection_lost null\nserver: start_tls: null",
    tandem: "server: start_tls: InvalidStateError\nserver: connection_lost null",
  },
  {
    scenarios: ["start_tls: the old transport afterwards"],
    reason: "The old transport is dead and says so. asyncio's still takes bytes, and sends them in the clear.",
    asyncio: "is_closing of the old one: false",
    tandem: "is_closing of the old one: true",
  },
];
