/** How victims come to speak TLS. */
import { type AddressInfo, connect as connectNode, createServer as createNodeServer } from "node:net";
import { setImmediate } from "node:timers";
import type { Transport } from "../../mod.ts";
import { bytes, loop } from "../kit.ts";
import { HOST } from "../tls/kit.ts";
import type { Case } from "./cases.ts";
import { asConn } from "./memory_conn.ts";
import { type AttackedServer, clientOptions, serverOptions } from "./servers.ts";
import { BufferedVictim, Victim, type Watch } from "./victim.ts";
import { MemoryWire, SocketWire, TlsWire, type Wire } from "./wires.ts";

/** What came of the attempt to connect. */
export type Outcome = { transport: Transport } | { error: unknown };

/** What a way has to work with. */
export interface Stage {
  readonly tested: Case;
  readonly watch: Watch;
  /** Finds the server that is attacked. */
  server(tcp: boolean): Promise<AttackedServer>;
  /** Takes what the victim says. */
  readonly hear: (data: Uint8Array) => void;
  /** So many bytes of what the victim says are not for its peer. */
  skip(count: number): void;
  /** The victim's connection has been closed. */
  readonly onClosed: () => void;
  /** Makes the genuine other side, if there is none yet. */
  makePeer(): void;
  /** From now on the victim is told things, and what has waited first. */
  open(wire: Wire): void;
  /** The wire, before it is open. */
  plain(wire: Wire): void;
}

/** A command, after which TLS begins. */
const COMMAND = bytes("go\n");

/** Brings the victim of a case to speak TLS. */
export function connectVictim(stage: Stage): Promise<Outcome> {
  const { way, side } = stage.tested;
  if (way === "tcp") return overTcp(stage);
  if (way === "dial") return dial(stage);
  if (way === "startTls" || way === "nested") return upgrade(stage);
  return side === "server" ? serve(stage) : connect(stage);
}

function makeVictim({ tested, watch }: Stage): Victim | BufferedVictim {
  return tested.buffered ? new BufferedVictim(watch) : new Victim(watch);
}

function makeWire({ tested, hear, onClosed }: Stage): MemoryWire {
  const wire = new MemoryWire(hear, onClosed);
  wire.conn.joins = tested.joins;
  wire.conn.takes = tested.takes ?? Infinity;
  return wire;
}

async function connect(stage: Stage): Promise<Outcome> {
  const wire = makeWire(stage);
  stage.open(wire);
  const options = { conn: asConn(wire.conn), tls: clientOptions(stage.tested) };
  const connecting = outcomeOf(loop.createConnection(() => makeVictim(stage), options));
  stage.makePeer();
  return await connecting;
}

async function serve(stage: Stage): Promise<Outcome> {
  const { tested } = stage;
  const { conn } = stage.tested.way === "accepted" ? acceptedWire(stage) : await listenedWire(stage);
  if (tested.way === "accepted") {
    const options = { tls: serverOptions(tested) };
    const connecting = outcomeOf(loop.connectAcceptedSocket(() => makeVictim(stage), asConn(conn), options));
    stage.makePeer();
    return await connecting;
  }
  const server = await stage.server(false);
  const settled = accepted(stage, server, conn.remoteAddr.port, () => conn.closed);
  server.accept(conn);
  stage.makePeer();
  return await settled;
}

function acceptedWire(stage: Stage): MemoryWire {
  const wire = makeWire(stage);
  stage.open(wire);
  return wire;
}

async function listenedWire(stage: Stage): Promise<MemoryWire> {
  await stage.server(false);
  return acceptedWire(stage);
}

/** Waits until a server has made a protocol, or has given up. */
async function accepted(stage: Stage, server: AttackedServer, port: number, isClosed: () => boolean): Promise<Outcome> {
  const { watch, tested } = stage;
  const made = Promise.withResolvers<Outcome>();
  const { onMade } = watch;
  watch.onMade = (transport) => {
    onMade?.(transport);
    made.resolve({ transport });
  };
  server.victims.set(port, { watch, buffered: tested.buffered });
  let over = false;
  const gone = (async (): Promise<Outcome> => {
    while (!isClosed() && !over) await new Promise((resolve) => void setTimeout(resolve, 2));
    return { error: new Deno.errors.ConnectionAborted("closed by the server") };
  })();
  const outcome = await Promise.race([made.promise, gone]);
  over = true;
  await gone;
  server.victims.delete(port);
  return outcome;
}

async function overTcp(stage: Stage): Promise<Outcome> {
  const server = await stage.server(true);
  const socket = connectNode({ port: server.port, host: HOST, allowHalfOpen: true, noDelay: true });
  const wire = new SocketWire(socket, stage.hear);
  await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
  const settled = accepted(stage, server, socket.localPort!, () => socket.readableEnded || socket.destroyed);
  stage.open(wire);
  stage.makePeer();
  return await settled;
}

async function dial(stage: Stage): Promise<Outcome> {
  stage.makePeer();
  const listener = createNodeServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    stage.open(new SocketWire(socket, stage.hear));
  });
  await new Promise<void>((resolve) => void listener.listen(0, HOST, resolve));
  const { port } = listener.address() as AddressInfo;
  const options = { hostname: HOST, port, tls: clientOptions(stage.tested) };
  const outcome = await outcomeOf(loop.createConnection(() => makeVictim(stage), options));
  listener.close();
  return outcome;
}

async function upgrade(stage: Stage): Promise<Outcome> {
  const { tested, watch } = stage;
  const { side, upgrade } = tested;
  watch.phase = upgrade === "at once" ? "upgrading" : "plain";
  const victim = upgrade === "exactly" ? new BufferedVictim(watch) : makeVictim(stage);
  const { onMade } = watch;
  watch.onMade = null;
  const upgraded = Promise.withResolvers<Outcome>();
  const begin = (transport: Transport) => {
    if (transport.isClosing()) return upgraded.resolve({ error: new Deno.errors.ConnectionAborted("too late") });
    watch.phase = "upgrading";
    const options = side === "server" ? { ...serverOptions(tested), serverSide: true } : clientOptions(tested);
    const upgrading = loop.startTls(transport, victim, options).then((upgraded): [Transport] => {
      watch.transport = upgraded;
      watch.phase = "secure";
      onMade?.(upgraded);
      return [upgraded];
    });
    outcomeOf(upgrading).then(upgraded.resolve);
    stage.makePeer();
  };
  watch.onCommand = () => {
    watch.onCommand = null;
    const { transport } = watch;
    if (upgrade === "paused") transport.pauseReading();
    if (upgrade === "undrained") {
      const { conn } = wire;
      conn?.hold();
      setImmediate(() => setImmediate(() => conn?.release()));
      stage.skip(100_000);
      transport.write(new Uint8Array(100_000));
    }
    if (upgrade === "later" || upgrade === "paused") setImmediate(() => begin(transport));
    else begin(transport);
  };
  watch.lost.promise.then(() => {
    if (watch.phase === "plain") upgraded.resolve({ error: new Deno.errors.ConnectionAborted("lost before") });
  });
  const [wire, transport] = await plainVictim(stage, victim);
  if (upgrade === "at once") {
    stage.open(wire);
    begin(transport);
  } else {
    stage.plain(wire);
    wire.tell(COMMAND);
    // What is sent behind the command, before it has been obeyed.
    stage.open(wire);
  }
  return await upgraded.promise;
}

/** Connects a victim that does not speak TLS yet, at least not the TLS that is attacked. */
async function plainVictim(stage: Stage, victim: Victim | BufferedVictim): Promise<[Wire, Transport]> {
  const { side, way } = stage.tested;
  if (way === "nested") {
    const wire = await TlsWire.connect(side, victim, stage.hear);
    return [wire, stage.watch.transport];
  }
  const wire = makeWire(stage);
  const conn = asConn(wire.conn);
  const [transport] = side === "server"
    ? await loop.connectAcceptedSocket(() => victim, conn)
    : await loop.createConnection(() => victim, { conn });
  return [wire, transport];
}

async function outcomeOf(connecting: Promise<[Transport, ...unknown[]]>): Promise<Outcome> {
  try {
    const [transport] = await connecting;
    return { transport };
  } catch (error) {
    return { error };
  }
}
