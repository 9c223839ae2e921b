"""Child processes and the pipes to them."""

import os
import signal
from subprocess import DEVNULL, PIPE, STDOUT

from log import boom, pattern, show
from registry import Scenarios

scenarios = Scenarios()


async def shell(t, child, script, stdin=PIPE, stdout=PIPE, stderr=PIPE, **options):
    program = ["/bin/sh", "-c", script]
    await t.loop.subprocess_exec(lambda: child, *program, stdin=stdin, stdout=stdout, stderr=stderr, **options)


@scenarios("output, errors and the exit code; connection_lost comes last")
async def _(t):
    events = []
    child = t.child(
        pipe_connection_lost=lambda p, fd, error: events.append("pipe"),
        process_exited=lambda p: events.append("exit"),
        connection_lost=lambda p, error: p.log(f"before it: {' '.join(sorted(events))}"),
    )
    await shell(t, child, "echo output; echo error >&2; exit 3")
    await child.until_lost()
    t.attempt("process", "get_returncode", child.transport.get_returncode)


@scenarios("no pipes at all")
async def _(t):
    child = t.child()
    await shell(t, child, "exit 0", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    for fd in range(3):
        t.log("pipes", f"{fd}: {show(child.transport.get_pipe_transport(fd))}")
    await child.until_lost()


@scenarios("a child that runs: its getters")
async def _(t):
    child = t.child()
    await shell(t, child, "read line; exit 0", stderr=DEVNULL)
    transport = child.transport
    child.log(f"process id: {show(transport.get_pid() > 0)}")
    child.log(f"return code: {show(transport.get_returncode())}")
    for fd in range(4):
        child.log(f"pipe {fd} is there: {show(transport.get_pipe_transport(fd) is not None)}")
    child.log(f"subprocess is there: {show(transport.get_extra_info('subprocess') is not None)}")
    child.log(f"closing: {show(transport.is_closing())}")
    transport.get_pipe_transport(0).close()
    await child.until_lost()
    child.log(f"process id: {show(transport.get_pid() > 0)}")
    child.log(f"return code: {show(transport.get_returncode())}")


@scenarios("what a shell runs")
async def _(t):
    child = t.child()
    await t.loop.subprocess_shell(lambda: child, "echo $((40 + 2)) | tr 4 5; exit 5", stdin=DEVNULL, stderr=DEVNULL)
    await child.until_lost()


@scenarios("close() of the standard input gives the child the end")
async def _(t):
    child = t.child()
    await t.loop.subprocess_exec(lambda: child, "cat", stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    stdin.write(b"hello ")
    await child.received(6)
    stdin.writelines([b"and ", b"goodbye"])
    stdin.close()
    await child.until_lost()


@scenarios("write_eof() of the standard input gives the child the end")
async def _(t):
    child = t.child()
    await t.loop.subprocess_exec(lambda: child, "cat", stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    t.attempt("process", "can_write_eof", stdin.can_write_eof)
    stdin.write(b"hello")
    t.attempt("process", "write_eof", stdin.write_eof)
    t.attempt("process", "is_closing", stdin.is_closing)
    await child.until_lost()


@scenarios("a megabyte through cat, with flow control")
async def _(t):
    child = t.child()
    await t.loop.subprocess_exec(lambda: child, "cat", stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    child.log("writing")
    stdin.write(pattern(1_000_000))
    child.log("written")
    await child.until("resume_writing")
    await child.received(1_000_000)
    stdin.close()
    await child.until_lost()


@scenarios("much output and many errors at a time")
async def _(t):
    child = t.child()
    await shell(t, child, "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2", stdin=DEVNULL)
    await child.until_lost()


@scenarios("errors merged into the output keep their order")
async def _(t):
    child = t.child()
    await shell(t, child, "echo one; echo two >&2; echo three", stdin=DEVNULL, stderr=STDOUT)
    t.log("pipe 2", f"transport {show(child.transport.get_pipe_transport(2))}")
    await child.until_lost()


@scenarios("output that comes after the exit")
async def _(t):
    child = t.child(pipe_connection_lost=lambda p, fd, error: p.log(f"pipe {fd} is lost"))
    # The grandchild waits for the standard input's end.
    await shell(t, child, "exec 3<&0; (read line <&3; echo late) & exit 0", stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    await child.until("process_exited")
    if not stdin.is_closing():
        stdin.close()
    await child.until_lost()


@scenarios("a grandchild that reads the standard input after the exit, and answers")
async def _(t):
    child = t.child()
    await shell(t, child, "exec 3<&0; cat <&3 & exit 0", stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    await child.until("process_exited")
    await t.settle()
    t.attempt("process", "is_closing", stdin.is_closing)
    stdin.write(b"late ")
    await child.received(5)
    await t.settle()
    stdin.write(b"later")
    await child.received(10)
    stdin.close()
    await child.until_lost()


@scenarios("a grandchild that ends after it has read the standard input")
async def _(t):
    events = []

    def lost(p, fd, error):
        events.append(fd)
        if len(events) == 2:
            p.log(f"lost: {sorted(events)}")

    child = t.child(pipe_connection_lost=lost)
    await shell(t, child, "exec 3<&0; head -c 5 <&3 & exit 0", stderr=DEVNULL)
    await child.until("process_exited")
    child.transport.get_pipe_transport(0).write(b"hello")
    await child.until_lost()


@scenarios("a grandchild that reads the standard input and holds no other pipe")
async def _(t):
    child = t.child()
    await shell(t, child, "exec 3<&0; cat <&3 >/dev/null & exit 0", stdout=DEVNULL, stderr=DEVNULL)
    stdin = child.transport.get_pipe_transport(0)
    await child.until("process_exited")
    await t.settle()
    t.attempt("process", "is_closing", stdin.is_closing)
    stdin.close()
    await child.until_lost()


@scenarios("kill()")
async def _(t):
    child = t.child()
    await t.loop.subprocess_exec(lambda: child, "sleep", "60", stdin=DEVNULL, stderr=DEVNULL)
    t.attempt("process", "kill", child.transport.kill)
    await child.until_lost()
    t.attempt("process", "get_returncode", child.transport.get_returncode)


@scenarios("terminate()")
async def _(t):
    child = t.child()
    await t.loop.subprocess_exec(lambda: child, "sleep", "60", stdin=DEVNULL, stderr=DEVNULL)
    t.attempt("process", "terminate", child.transport.terminate)
    await child.until_lost()


@scenarios("send_signal() to a child that catches it, and to one that does not")
async def _(t):
    child = t.child()
    await shell(t, child, "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done", stdin=DEVNULL)
    await child.received(6)
    t.attempt("process", "send_signal", child.transport.send_signal, signal.SIGUSR1)
    await child.until_lost()
    second = t.child()
    await t.loop.subprocess_exec(lambda: second, "sleep", "60", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    t.attempt("process", "send_signal", second.transport.send_signal, signal.SIGUSR1)
    await second.until_lost()


@scenarios("a child that kills itself")
async def _(t):
    child = t.child()
    await shell(t, child, "kill -ABRT $$", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    await child.until_lost()


@scenarios("an exit code above 128 is no signal")
async def _(t):
    child = t.child()
    await shell(t, child, "exit 137", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    await child.until_lost()


@scenarios("a signal to a child that has ended is a ProcessLookupError")
async def _(t):
    child = t.child()
    await shell(t, child, "exit 0", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    await child.until_lost()
    await t.turns()
    t.attempt("process", "send_signal", child.transport.send_signal, signal.SIGTERM)
    t.attempt("process", "terminate", child.transport.terminate)
    t.attempt("process", "kill", child.transport.kill)
    t.attempt("process", "close", child.transport.close)


@scenarios("a signal from process_exited to connection_lost does nothing")
async def _(t):
    def send(when):
        t.attempt("process", f"{when}: send_signal", child.transport.send_signal, signal.SIGTERM)
        t.attempt("process", f"{when}: terminate", child.transport.terminate)
        t.attempt("process", f"{when}: kill", child.transport.kill)

    child = t.child(
        process_exited=lambda p: send("in process_exited"),
        connection_lost=lambda p, error: send("in connection_lost"),
    )
    await shell(t, child, "exit 0", stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    await child.until_lost()


@scenarios("close() kills a child that runs")
async def _(t):
    child = t.child()
    await shell(t, child, "exec sleep 60")
    t.attempt("process", "is_closing", child.transport.is_closing)
    t.attempt("process", "close", child.transport.close)
    t.attempt("process", "is_closing", child.transport.is_closing)
    t.attempt("process", "close", child.transport.close)
    await child.until_lost()


@scenarios("a child that closes its standard input")
async def _(t):
    child = t.child()
    await shell(t, child, "exec 0<&-; echo closed; exec sleep 60", stderr=DEVNULL)
    await child.received(7)
    await t.settle()
    stdin = child.transport.get_pipe_transport(0)
    stdin.write(b"anybody there?")
    await t.until("pipe 0", "pipe_connection_lost")
    t.attempt("process", "write", stdin.write, b"dropped")
    child.transport.kill()
    await child.until_lost()


@scenarios("a paused pipe holds its data and its end until it is resumed")
async def _(t):
    child = t.child()
    await shell(t, child, "read line; echo hello", stderr=DEVNULL)
    stdout = child.transport.get_pipe_transport(1)
    t.attempt("pipe 1", "is_reading", stdout.is_reading)
    stdout.pause_reading()
    t.attempt("pipe 1", "is_reading", stdout.is_reading)
    child.transport.get_pipe_transport(0).write(b"go\n")
    await child.until("process_exited")
    await t.settle()
    t.log("pipe 1", "resuming")
    stdout.resume_reading()
    await child.until_lost()


@scenarios("a directory and an environment")
async def _(t):
    path = t.temp_path("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("found\n")
    child = t.child()
    environment = dict(os.environ, SCENARIO="set")
    options = {"cwd": os.path.dirname(path), "env": environment}
    await shell(t, child, 'cat file; echo "$SCENARIO"', stdin=DEVNULL, stderr=DEVNULL, **options)
    await child.until_lost()


@scenarios("a program that is not there, or may not run, or a factory that throws")
async def _(t):
    def start(program, factory):
        return t.loop.subprocess_exec(factory, program)

    path = t.temp_path("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("text")
    await t.attempt_async("process", "not there", start(path + ".not", lambda: t.child()))
    await t.attempt_async("process", "not there, by name", start("no-such-program-anywhere", lambda: t.child()))
    await t.attempt_async("process", "may not run", start(path, lambda: t.child()))
    await t.attempt_async("process", "factory throws", start("/bin/sh", boom))


@scenarios("set_protocol() gives the rest to the new protocol")
async def _(t):
    second = t.child()
    first = t.child(connection_made=lambda p: p.hand_over(second))
    await shell(t, first, "read line; echo hello", stderr=DEVNULL)
    second.transport.get_pipe_transport(0).write(b"go\n")
    await second.until_lost()
    second.log(f"got {second.data.decode().strip()}")
