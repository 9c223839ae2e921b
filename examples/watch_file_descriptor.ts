/**
 * Watch a file descriptor: a callback reads from a socket that the program owns, without a transport and a protocol.
 *
 *     deno run --allow-ffi examples/watch_file_descriptor.ts [message]
 */
import { getRunningLoop } from "../mod.ts";
import { install, socketPair } from "../engines/epoll/mod.ts";

install();
const [message = "abc"] = Deno.args;
const loop = getRunningLoop();

// Two connected sockets.
const [near, far] = socketPair();

loop.addReader(near, () => {
  const buffer = new Uint8Array(100);
  const count = near.recv(buffer) ?? 0;
  console.log(`received ${JSON.stringify(new TextDecoder().decode(buffer.subarray(0, count)))}`);
  // Before the socket is closed. With nothing left to watch, the program ends.
  loop.removeReader(near);
  near.close();
  far.close();
});

// Simulates data from elsewhere.
loop.callSoon(() => far.send(new TextEncoder().encode(message)));
