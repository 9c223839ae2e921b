/**
 * The guided tour: transport and protocol pairs at work on real sockets, pipes and files, with a line for each
 * callback. It checks what it shows, and ends with 0 only if everything was as promised.
 *
 *     deno run --allow-net --allow-read --allow-write --allow-run=sort examples/demo.ts
 */
import { getRunningLoop } from "../mod.ts";
import * as bufferedProtocol from "./demo/buffered_protocol.ts";
import * as childProcess from "./demo/child_process.ts";
import * as flowControl from "./demo/flow_control.ts";
import * as halfClose from "./demo/half_close.ts";
import * as sendfile from "./demo/sendfile.ts";
import { Story } from "./demo/story.ts";
import * as startTls from "./demo/start_tls.ts";
import * as tcpEcho from "./demo/tcp_echo.ts";
import * as tls from "./demo/tls.ts";
import * as udp from "./demo/udp.ts";
import * as unixSocket from "./demo/unix_socket.ts";

const chapters = [
  tcpEcho,
  bufferedProtocol,
  halfClose,
  flowControl,
  unixSocket,
  udp,
  childProcess,
  sendfile,
  tls,
  startTls,
];

const loop = getRunningLoop();
const story = new Story();
loop.setExceptionHandler(({ message, error }) => {
  story.check(`the exception handler has nothing to do, but: ${message} ${error ?? ""}`, false);
});

console.log("Tandem: transports and protocols at work. Lines name who saw which callback with what;");
console.log("a line with > is a call that somebody made, a line with ok is a promise that was kept.");
for (const chapter of chapters) await story.tell(chapter, loop);

if (story.broken.length === 0) {
  console.log(`\nAll ${story.promises} promises were kept.`);
} else {
  console.log(`\n${story.broken.length} of ${story.promises} promises were not kept:`);
  for (const promise of story.broken) console.log(`   ${promise}`);
  Deno.exit(1);
}

// With everything closed, nothing keeps the process; a timer that does not either sees to it.
Deno.unrefTimer(setTimeout(() => {
  console.log("Something still keeps the process.");
  Deno.exit(1);
}, 2000));
