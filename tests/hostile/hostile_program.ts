/**
 * A program whose every callback returns a promise that rejects, in all the disguises of kit.ts. It prints what
 * the exception handler was given for each, as JSON, and then "alive".
 *
 * @module
 */
import { type ExceptionContext, getRunningLoop, type StreamCallbacks, type Transport } from "../../mod.ts";
import type { DatagramCallbacks, SubprocessCallbacks } from "../../mod.ts";
import { DISGUISES, SEALED } from "./kit.ts";

const loop = getRunningLoop();
const LOCAL = { hostname: "127.0.0.1", port: 0 };
const BYTE = new Uint8Array(1);

let reported: string[] = [];

function report({ message, error }: ExceptionContext): void {
  note(`${message}: ${error?.message}`);
}

/** Notes what was reported, but for what differs from one run to the next. */
function note(line: string): void {
  reported.push(line.replace(/, got .*/, "").replace(/ with .* failed/, " failed"));
}

/** Waits until everything that is at hand has been done, in this turn and the next. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Makes what a callback returns. */
type Hostile = () => never;

/** A protocol of any kind. */
type Callbacks = StreamCallbacks & DatagramCallbacks & SubprocessCallbacks;

/** A protocol with these callbacks, each of which may do something first; and a promise of its end. */
function protocolOf(
  hostile: Hostile,
  names: string[],
  first: Record<string, (argument: never) => void> = {},
): { protocol: Callbacks; over: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const callbacks = names.map((name) => [name, (argument: unknown) => {
    first[name]?.(argument as never);
    if (name === "connectionLost") setTimeout(resolve, 0);
    return hostile();
  }]);
  return { protocol: Object.fromEntries(callbacks), over: promise };
}

function writeUnderPressure(transport: Transport): void {
  transport.setWriteBufferLimits({ high: 0 });
  transport.write(BYTE);
}

async function streams(hostile: Hostile): Promise<void> {
  const names = ["connectionMade", "dataReceived", "eofReceived", "pauseWriting", "resumeWriting", "connectionLost"];
  const near = protocolOf(hostile, names);
  const far = protocolOf(hostile, names, { connectionMade: writeUnderPressure });
  const server = await loop.createServer(() => far.protocol, LOCAL);
  const { port } = server.addresses[0] as Deno.NetAddr;
  const [transport] = await loop.createConnection(() => near.protocol, { port });
  writeUnderPressure(transport);
  transport.writeEof();
  await Promise.all([near.over, far.over]);
  server.close();
  await server.waitClosed();
}

async function buffers(hostile: Hostile): Promise<void> {
  const good = protocolOf(hostile, ["bufferUpdated", "connectionLost"]);
  good.protocol.getBuffer = () => new Uint8Array(10);
  const bad = protocolOf(hostile, ["getBuffer", "connectionLost"]);
  bad.protocol.bufferUpdated = () => {};
  for (const { protocol, over } of [good, bad]) {
    using listener = Deno.listen(LOCAL);
    await loop.createConnection(() => protocol, { port: listener.addr.port });
    using conn = await listener.accept();
    await conn.write(BYTE);
    await conn.closeWrite().catch(() => {}); // It may have been closed already.
    await over;
  }
}

async function datagrams(hostile: Hostile): Promise<void> {
  const { protocol, over } = protocolOf(hostile, [
    "connectionMade",
    "datagramReceived",
    "errorReceived",
    "pauseWriting",
    "resumeWriting",
    "connectionLost",
  ], { datagramReceived: () => transport.close() });
  const [transport] = await loop.createDatagramEndpoint(() => protocol, { localAddr: LOCAL });
  const here = transport.getExtraInfo("sockname") as Deno.NetAddr;
  transport.setWriteBufferLimits({ high: 0 });
  transport.sendto(BYTE, { ...here, port: 0 }); // The system refuses that.
  transport.sendto(BYTE, here);
  await over;
}

async function processes(hostile: Hostile): Promise<void> {
  const names = ["connectionMade", "pipeDataReceived", "pipeConnectionLost", "processExited", "connectionLost"];
  const { protocol, over } = protocolOf(hostile, names);
  await loop.subprocessExec(() => protocol, "echo", { args: ["x"], stdin: "null", stderr: "null" });
  await over;
}

async function factories(hostile: Hostile): Promise<void> {
  const server = await loop.createServer(hostile, LOCAL);
  const { port } = server.addresses[0] as Deno.NetAddr;
  using conn = await Deno.connect({ port });
  await conn.read(new Uint8Array(1));
  const attempts = [
    loop.createConnection(hostile, { port }),
    loop.createDatagramEndpoint(hostile),
    loop.subprocessExec(hostile, "true"),
    loop.connectReadPipe(hostile, new ReadableStream()),
  ];
  for (const attempt of await Promise.allSettled(attempts)) {
    if (attempt.status === "rejected") note(`rejects: ${attempt.reason}`);
  }
  server.close();
  await server.waitClosed();
}

async function scheduling(hostile: Hostile): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const count = () => {
    // In whatever order they come on a machine under load.
    if (++calls === 4) setTimeout(resolve, 1);
    return hostile();
  };
  loop.callSoon(count);
  loop.callLater(0, count);
  loop.callAt(loop.time(), count);
  loop.addSignalHandler("SIGUSR2", count);
  Deno.kill(Deno.pid, "SIGUSR2");
  await promise;
  loop.removeSignalHandler("SIGUSR2");
}

async function handlers(hostile: Hostile): Promise<void> {
  const { error } = console;
  console.error = (...parts) => note(String(parts[1]).split("\n")[0]!);
  loop.setExceptionHandler(hostile);
  loop.callExceptionHandler({ message: "something" });
  await turn();
  loop.setExceptionHandler(report);
  console.error = error;
}

async function names(hostile: Hostile): Promise<void> {
  const read = (name: string) => Deno.readTextFile(new URL(`../../examples/certs/${name}`, import.meta.url));
  const tls = { cert: await read("server.pem"), key: await read("server.key"), sni: hostile };
  const server = await loop.createServer(() => ({}), { ...LOCAL, tls });
  const { port } = server.addresses[0] as Deno.NetAddr;
  const client = { port, tls: { caCerts: [await read("ca.pem")], serverHostname: "localhost" } };
  await loop.createConnection(() => ({}), client).catch((error) => note(`rejects: ${error.name}`));
  server.close();
  await server.waitClosed();
}

loop.setExceptionHandler(report);
const scenarios = { streams, buffers, datagrams, processes, factories, scheduling, handlers, names };
const results: Record<string, Record<string, string[]>> = {};
for (const [scenario, run] of Object.entries(scenarios)) {
  if (Deno.args.length > 0 && !Deno.args.includes(scenario)) continue;
  const result: Record<string, string[]> = results[scenario] = {};
  for (const [disguise, hide] of Object.entries({ ...DISGUISES, ...SEALED })) {
    reported = [];
    await run(() => hide(Promise.reject(new Error("hidden"))) as never);
    await turn();
    result[disguise] = reported.toSorted();
  }
}
console.log(JSON.stringify(results));
console.log("alive");
