/** Child processes and the pipes to them. */
import type { SubprocessOptions } from "../../../mod.ts";
import { bytes, loop, pattern, text } from "../../kit.ts";
import { boom } from "../log.ts";
import type { ProcessRecorder } from "../recorders.ts";
import type { Scenarios } from "../stage.ts";

async function shell(child: ProcessRecorder, script: string, options: SubprocessOptions = {}): Promise<void> {
  await loop.subprocessExec(() => child, "/bin/sh", { args: ["-c", script], ...options });
}

const NO_PIPES = { stdin: "null", stdout: "null", stderr: "null" } as const;

export const scenarios: Scenarios = {
  "output, errors and the exit code; connection_lost comes last": async (t) => {
    const events: string[] = [];
    const child = t.child({
      pipeConnectionLost: () => void events.push("pipe"),
      processExited: () => void events.push("exit"),
      connectionLost: (p) => p.log(`before it: ${events.sort().join(" ")}`),
    });
    await shell(child, "echo output; echo error >&2; exit 3");
    await child.untilLost();
    t.attempt("process", "get_returncode", () => child.transport.getReturncode());
  },

  "no pipes at all": async (t) => {
    const child = t.child();
    await shell(child, "exit 0", NO_PIPES);
    for (const fd of [0, 1, 2]) t.log("pipes", `${fd}: ${child.transport.getPipeTransport(fd)}`);
    await child.untilLost();
  },

  "a child that runs: its getters": async (t) => {
    const child = t.child();
    await shell(child, "read line; exit 0", { stderr: "null" });
    const { transport } = child;
    child.log(`process id: ${transport.getPid() > 0}`);
    child.log(`return code: ${transport.getReturncode()}`);
    for (const fd of [0, 1, 2, 3]) child.log(`pipe ${fd} is there: ${transport.getPipeTransport(fd) !== null}`);
    child.log(`subprocess is there: ${transport.getExtraInfo("subprocess") !== null}`);
    child.log(`closing: ${transport.isClosing()}`);
    transport.getPipeTransport(0)!.close();
    await child.untilLost();
    child.log(`process id: ${transport.getPid() > 0}`);
    child.log(`return code: ${transport.getReturncode()}`);
  },

  "what a shell runs": async (t) => {
    const child = t.child();
    const command = "echo $((40 + 2)) | tr 4 5; exit 5";
    await loop.subprocessShell(() => child, command, { stdin: "null", stderr: "null" });
    await child.untilLost();
  },

  "close() of the standard input gives the child the end": async (t) => {
    const child = t.child();
    await loop.subprocessExec(() => child, "cat", { stderr: "null" });
    const stdin = child.transport.getPipeTransport(0)!;
    stdin.write(bytes("hello "));
    await child.received(6);
    stdin.writelines([bytes("and "), bytes("goodbye")]);
    stdin.close();
    await child.untilLost();
  },

  "write_eof() of the standard input gives the child the end": async (t) => {
    const child = t.child();
    await loop.subprocessExec(() => child, "cat", { stderr: "null" });
    const stdin = child.transport.getPipeTransport(0)!;
    t.attempt("process", "can_write_eof", () => stdin.canWriteEof());
    stdin.write(bytes("hello"));
    t.attempt("process", "write_eof", () => stdin.writeEof());
    t.attempt("process", "is_closing", () => stdin.isClosing());
    await child.untilLost();
  },

  "a megabyte through cat, with flow control": async (t) => {
    const child = t.child();
    await loop.subprocessExec(() => child, "cat", { stderr: "null" });
    const stdin = child.transport.getPipeTransport(0)!;
    child.log("writing");
    stdin.write(pattern(1_000_000));
    child.log("written");
    await child.until("resume_writing");
    await child.received(1_000_000);
    stdin.close();
    await child.untilLost();
  },

  "much output and many errors at a time": async (t) => {
    const child = t.child();
    await shell(child, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", { stdin: "null" });
    await child.untilLost();
  },

  "errors merged into the output keep their order": async (t) => {
    const child = t.child();
    await shell(child, "echo one; echo two >&2; echo three", { stdin: "null", stderr: "stdout" });
    t.log("pipe 2", `transport ${child.transport.getPipeTransport(2)}`);
    await child.untilLost();
  },

  "output that comes after the exit": async (t) => {
    const child = t.child({ pipeConnectionLost: (p, fd) => p.log(`pipe ${fd} is lost`) });
    // The grandchild waits for the standard input's end.
    await shell(child, "exec 3<&0; (read line <&3; echo late) & exit 0", { stderr: "null" });
    const stdin = child.transport.getPipeTransport(0)!;
    await child.until("process_exited");
    if (!stdin.isClosing()) stdin.close();
    await child.untilLost();
  },

  "a grandchild that reads the standard input after the exit, and answers": async (t) => {
    const child = t.child();
    await shell(child, "exec 3<&0; cat <&3 & exit 0", { stderr: "null" });
    const stdin = child.transport.getPipeTransport(0)!;
    await child.until("process_exited");
    await t.settle();
    t.attempt("process", "is_closing", () => stdin.isClosing());
    stdin.write(bytes("late "));
    await child.received(5);
    await t.settle();
    stdin.write(bytes("later"));
    await child.received(10);
    stdin.close();
    await child.untilLost();
  },

  "a grandchild that ends after it has read the standard input": async (t) => {
    const events: number[] = [];
    const child = t.child({
      pipeConnectionLost: (p, fd) => {
        events.push(fd);
        if (events.length === 2) p.log(`lost: [${events.sort().join(", ")}]`);
      },
    });
    await shell(child, "exec 3<&0; head -c 5 <&3 & exit 0", { stderr: "null" });
    await child.until("process_exited");
    child.transport.getPipeTransport(0)!.write(bytes("hello"));
    await child.untilLost();
  },

  "a grandchild that reads the standard input and holds no other pipe": async (t) => {
    const child = t.child();
    const options = { stdout: "null", stderr: "null" } as const;
    await shell(child, "exec 3<&0; cat <&3 >/dev/null & exit 0", options);
    const stdin = child.transport.getPipeTransport(0)!;
    await child.until("process_exited");
    await t.settle();
    t.attempt("process", "is_closing", () => stdin.isClosing());
    stdin.close();
    await child.untilLost();
  },

  "kill()": async (t) => {
    const child = t.child();
    await loop.subprocessExec(() => child, "sleep", { args: ["60"], stdin: "null", stderr: "null" });
    t.attempt("process", "kill", () => child.transport.kill());
    await child.untilLost();
    t.attempt("process", "get_returncode", () => child.transport.getReturncode());
  },

  "terminate()": async (t) => {
    const child = t.child();
    await loop.subprocessExec(() => child, "sleep", { args: ["60"], stdin: "null", stderr: "null" });
    t.attempt("process", "terminate", () => child.transport.terminate());
    await child.untilLost();
  },

  "send_signal() to a child that catches it, and to one that does not": async (t) => {
    const child = t.child();
    await shell(child, "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done", { stdin: "null" });
    await child.received(6);
    t.attempt("process", "send_signal", () => child.transport.sendSignal("SIGUSR1"));
    await child.untilLost();
    const second = t.child();
    await loop.subprocessExec(() => second, "sleep", { args: ["60"], ...NO_PIPES });
    t.attempt("process", "send_signal", () => second.transport.sendSignal("SIGUSR1"));
    await second.untilLost();
  },

  "a child that kills itself": async (t) => {
    const child = t.child();
    await shell(child, "kill -ABRT $$", NO_PIPES);
    await child.untilLost();
  },

  "an exit code above 128 is no signal": async (t) => {
    const child = t.child();
    await shell(child, "exit 137", NO_PIPES);
    await child.untilLost();
  },

  "a signal to a child that has ended is a ProcessLookupError": async (t) => {
    const child = t.child();
    await shell(child, "exit 0", NO_PIPES);
    await child.untilLost();
    t.attempt("process", "send_signal", () => child.transport.sendSignal("SIGTERM"));
    t.attempt("process", "terminate", () => child.transport.terminate());
    t.attempt("process", "kill", () => child.transport.kill());
    t.attempt("process", "close", () => child.transport.close());
  },

  "a signal from process_exited to connection_lost does nothing": async (t) => {
    const signal = (when: string) => {
      t.attempt("process", `${when}: send_signal`, () => child.transport.sendSignal("SIGTERM"));
      t.attempt("process", `${when}: terminate`, () => child.transport.terminate());
      t.attempt("process", `${when}: kill`, () => child.transport.kill());
    };
    const child = t.child({
      processExited: () => signal("in process_exited"),
      connectionLost: () => signal("in connection_lost"),
    });
    await shell(child, "exit 0", NO_PIPES);
    await child.untilLost();
  },

  "close() kills a child that runs": async (t) => {
    const child = t.child();
    await shell(child, "exec sleep 60");
    t.attempt("process", "is_closing", () => child.transport.isClosing());
    t.attempt("process", "close", () => child.transport.close());
    t.attempt("process", "is_closing", () => child.transport.isClosing());
    t.attempt("process", "close", () => child.transport.close());
    await child.untilLost();
  },

  "a child that closes its standard input": async (t) => {
    const child = t.child();
    await shell(child, "exec 0<&-; echo closed; exec sleep 60", { stderr: "null" });
    await child.received(7);
    await t.settle();
    const stdin = child.transport.getPipeTransport(0)!;
    stdin.write(bytes("anybody there?"));
    await t.until("pipe 0", "pipe_connection_lost");
    t.attempt("process", "write", () => stdin.write(bytes("dropped")));
    child.transport.kill();
    await child.untilLost();
  },

  "a paused pipe holds its data and its end until it is resumed": async (t) => {
    const child = t.child();
    await shell(child, "read line; echo hello", { stderr: "null" });
    const stdout = child.transport.getPipeTransport(1)!;
    t.attempt("pipe 1", "is_reading", () => stdout.isReading());
    stdout.pauseReading();
    t.attempt("pipe 1", "is_reading", () => stdout.isReading());
    child.transport.getPipeTransport(0)!.write(bytes("go\n"));
    await child.until("process_exited");
    await t.settle();
    t.log("pipe 1", "resuming");
    stdout.resumeReading();
    await child.untilLost();
  },

  "a directory and an environment": async (t) => {
    const path = t.tempPath("file");
    await Deno.writeTextFile(path, "found\n");
    const child = t.child();
    const options = { cwd: path.replace(/\/file$/, ""), env: { SCENARIO: "set" } };
    await shell(child, 'cat file; echo "$SCENARIO"', { stdin: "null", stderr: "null", ...options });
    await child.untilLost();
  },

  "a program that is not there, or may not run, or a factory that throws": async (t) => {
    const start = (program: string, factory = () => t.child()) => loop.subprocessExec(factory, program);
    const path = t.tempPath("file");
    await Deno.writeTextFile(path, "text", { mode: 0o644 });
    await t.attemptAsync("process", "not there", start(`${path}.not`));
    await t.attemptAsync("process", "not there, by name", start("no-such-program-anywhere"));
    await t.attemptAsync("process", "may not run", start(path));
    await t.attemptAsync("process", "factory throws", start("/bin/sh", boom));
  },

  "set_protocol() gives the rest to the new protocol": async (t) => {
    const second = t.child();
    const first = t.child({ connectionMade: (p) => p.handOver(second) });
    await shell(first, "read line; echo hello", { stderr: "null" });
    second.transport.getPipeTransport(0)!.write(bytes("go\n"));
    await second.untilLost();
    second.log(`got ${text(second.data).trim()}`);
  },
};
