/**
 * The guided tour: transports and protocols on real sockets, pipes and files. Prints a line for each callback, checks the
 * results, and exits with 0 only if all checks pass.
 *
 *     deno run --allow-net --allow-read --allow-write --allow-run=sort examples/demo.ts
 *
 * With `--engine epoll` at the end, the tour runs over the epoll engine, which also needs `--allow-ffi`. If that engine
 * cannot be used here, the tour exits with 3; with 2 for wrong arguments.
 */
import { getRunningLoop } from "../mod.ts";
import * as bufferedProtocol from "./demo/buffered_protocol.ts";
import * as childProcess from "./demo/child_process.ts";
import { chooseEngine } from "./demo/choose_engine.ts";
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

const engine = chooseEngine();
const loop = getRunningLoop();
const story = new Story();
loop.setExceptionHandler(({ message, error }) => {
  story.check(`the exception handler was called: ${message} ${error ?? ""}`, false);
});

console.log(`Tandem: transports and protocols at work, over the engine "${engine}".`);
console.log("Each line is a callback, with its protocol and arguments.");
console.log("A line with > is a call of the program. A line with ok is a check that has passed.");
for (const chapter of chapters) await story.tell(chapter, loop);

if (story.broken.length === 0) {
  console.log(`\nAll ${story.promises} checks have passed.`);
} else {
  console.log(`\n${story.broken.length} of ${story.promises} checks have failed:`);
  for (const promise of story.broken) console.log(`   ${promise}`);
  Deno.exit(1);
}

// Everything is closed, so the process ends here. The timer, which does not keep it alive, checks that.
Deno.unrefTimer(setTimeout(() => {
  console.log("Something still keeps the process alive.");
  Deno.exit(1);
}, 2000));
