/** What becomes of exceptions: which end a transport, and what the exception handler is told. */
import type { ExceptionHandler } from "../../../mod.ts";
import { bytes, loop, pattern } from "../../kit.ts";
import { Boom, boom, errorName } from "../log.ts";
import type { ProcessRecorder } from "../recorders.ts";
import type { Scenarios } from "../stage.ts";

async function runShell(child: ProcessRecorder, stdout: "piped" | "null"): Promise<void> {
  const args = ["-c", "echo hello"];
  await loop.subprocessExec(() => child, "/bin/sh", { args, stdin: "null", stdout, stderr: "null" });
}

export const scenarios: Scenarios = {
  "an exception in connection_made of a client leaves the connection alone": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", { connectionMade: boom });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.received(5);
    await peer.end();
    await client.untilLost();
  },

  "an exception in connection_made of a server leaves the connection alone": async (t) => {
    t.exceptionsTo("server");
    const recorder = t.recorder("server", { connectionMade: boom });
    const server = await t.serve(() => recorder);
    const peer = await t.knock(server);
    await peer.send("hello");
    await recorder.received(5);
    await peer.end();
    await recorder.untilLost();
  },

  "an exception in data_received is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", { dataReceived: boom });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
    await peer.receiveAll();
  },

  "an exception in data_received after close() is told, and is not connection_lost's": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", {
      dataReceived(p) {
        p.transport.close();
        boom();
      },
    });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "an exception in data_received after a write: what the kernel takes at once arrives": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", {
      dataReceived(p) {
        p.transport.write(bytes("partial answer"));
        boom();
      },
    });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
    await peer.receiveAll();
  },

  "an exception in buffer_updated is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.buffered("client", { bufferUpdated: boom });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "an exception in get_buffer is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.buffered("client", { getBuffer: boom });
    const peer = await t.dial(client);
    await peer.send("hello");
    await client.untilLost();
  },

  "an exception in eof_received is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", { eofReceived: boom });
    const peer = await t.dial(client);
    await peer.end();
    await client.untilLost();
  },

  "an exception in eof_received of a buffered protocol is fatal": async (t) => {
    t.exceptionsTo("client");
    const client = t.buffered("client", { eofReceived: boom });
    const peer = await t.dial(client);
    await peer.end();
    await client.untilLost();
  },

  "an exception in pause_writing and resume_writing leaves the connection alone": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", { pauseWriting: boom, resumeWriting: boom });
    const peer = await t.dial(client);
    client.log("writing");
    client.transport.write(pattern(16_000_000));
    client.log("written");
    await peer.receive(16_000_000);
    await client.until("exception handler", 2);
    client.transport.write(bytes("alive"));
    await peer.receive(5);
  },

  "an exception in connection_lost is told, and the socket is closed": async (t) => {
    t.exceptionsTo("client");
    const client = t.recorder("client", { connectionLost: boom });
    const peer = await t.dial(client);
    client.transport.close();
    await peer.receiveAll();
    await client.until("exception handler");
  },

  "an exception in datagram_received leaves the endpoint alone": async (t) => {
    t.exceptionsTo("receiver");
    const receiver = t.datagrams("receiver", { datagramReceived: boom });
    await t.endpoint(receiver);
    const sender = t.datagrams("sender");
    await t.endpoint(sender, { remote: receiver });
    sender.transport.sendto(bytes("one"));
    await receiver.until("exception handler");
    sender.transport.sendto(bytes("two"));
    await receiver.until("exception handler", 2);
  },

  "an exception in connection_made, process_exited or connection_lost leaves the process alone": async (t) => {
    t.exceptionsTo("process");
    const child = t.child({ connectionMade: boom, processExited: boom, connectionLost: boom });
    await runShell(child, "null");
    await child.until("exception handler", 3);
  },

  "an exception in pipe_data_received or pipe_connection_lost leaves the process alone": async (t) => {
    t.exceptionsTo("pipe 1");
    const child = t.child({ pipeDataReceived: boom, pipeConnectionLost: boom });
    await runShell(child, "piped");
    await child.untilLost();
  },

  "an exception in a scheduled callback is told, and the next one runs": async (t) => {
    loop.callSoon(boom);
    loop.callSoon(() => t.log("exception handler", "next"));
    await t.turns();
    loop.callLater(1, boom);
    loop.callLater(2, () => t.log("exception handler", "last"));
    await t.until("exception handler", "last");
  },

  "an exception handler that throws stops nothing": async (t) => {
    const told: unknown[] = [];
    const { error } = console;
    t.defer(() => void (console.error = error));
    console.error = (...line) => void told.push(line);
    loop.setExceptionHandler(() => {
      t.log("loop", "handler");
      boom();
    });
    loop.callSoon(boom);
    loop.callSoon(() => t.log("loop", "next"));
    await t.turns(2);
    t.log("loop", `told by default: ${told.length > 0}`);
  },

  "call_exception_handler hands its context on": (t) => {
    loop.setExceptionHandler((context) => {
      const keys = Object.keys(context).sort();
      t.log("loop", `${context.message}: ${errorName(context.error ?? null)} [${keys.join(" ")}]`);
    });
    loop.callExceptionHandler({ message: "bare" });
    loop.callExceptionHandler({ message: "with an error", error: new Boom("boom") });
  },

  "set_exception_handler takes a function or null": (t) => {
    const handler: ExceptionHandler = () => {};
    t.attempt("loop", "a number", () => loop.setExceptionHandler(7 as unknown as ExceptionHandler));
    t.attempt("loop", "a function", () => loop.setExceptionHandler(handler));
    t.attempt("loop", "it is kept", () => loop.getExceptionHandler() === handler);
    t.attempt("loop", "null", () => loop.setExceptionHandler(null));
    t.attempt("loop", "get_exception_handler", () => loop.getExceptionHandler());
  },
};
