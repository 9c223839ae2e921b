/** Where Tandem is meant to differ from asyncio: the one list, which the README explains to users. */

/** A difference that is known and meant. */
export interface Difference {
  /** The scenarios that show it, as `topic: name`. */
  scenarios: string[];
  /** Why it is so. */
  reason: string;
  /** What asyncio's lines, joined by line feeds, contain... */
  asyncio: string | RegExp;
  /** ...and what Tandem's contain instead. */
  tandem: string;
  /** The first version of Python that has no such difference. */
  until?: [major: number, minor: number];
}

/** All of them. Each must show: one that has gone fails the test until it is taken off the list. */
export const differences: Difference[] = [
  {
    scenarios: ["reading: resuming after a true eof_received tells the end no second time"],
    reason: "eofReceived runs at most once. asyncio watches the socket again after resume_reading(), and the end is " +
      "still there.",
    asyncio: "client: eof_received\nclient: eof_received",
    tandem: "client: eof_received",
  },
  {
    scenarios: ["writing: sendfile sends the part asked for and tells how much it was"],
    reason: "Deno has no sendfile(2): the file goes through the write buffer, so flow control sees it.",
    asyncio: "client: connection_made",
    tandem: "client: connection_made\nclient: pause_writing\nclient: resume_writing",
  },
  {
    scenarios: ["buffered: get_buffer is asked for each read"],
    reason: "A Deno read is posted before there is anything to read, so memory for it is needed then; asyncio is told " +
      "first that the socket is readable. Tandem knows a size that suits, asyncio gives no hint.",
    asyncio: /the peer sends\n(.*)get_buffer -1\n(.*)\n(.*)the peer ends\n.*get_buffer -1\n/,
    tandem: "get_buffer 65536\n$1the peer sends\n$2\n$3get_buffer 65536\n$1the peer ends\n",
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
    reason: "asyncio ends the transport twice where resume_writing() closes it with nothing left to flush, and reports " +
      "an AttributeError of its own.",
    asyncio: /\nexception handler: .*AttributeError.*/,
    tandem: "",
  },
];
