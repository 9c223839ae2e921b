/** Runs many cases, some at once, and insists that nothing gets out of hand: the process, other connections, files. */
import { setImmediate } from "node:timers";
import { captureExceptions } from "../kit.ts";
import { countFiles } from "../open_files.ts";
import { type Case, makeCase } from "./cases.ts";
import { Graveyard } from "./leaks.ts";
import { MemoryConn } from "./memory_conn.ts";
import { runCase } from "./run_case.ts";
import { allChosen, AttackedServer } from "./servers.ts";
import { describeError } from "./victim.ts";

/** The last few connections may be garbage later; each kind of leak keeps far more. */
const MOST_LEFT = 5;

/** How to fuzz. */
export interface FuzzOptions {
  seed: number;
  /** The first case, and how many. */
  from: number;
  count: number;
  /** How many cases run at once. */
  atOnce: number;
  /** Some cases use sockets. */
  sockets: boolean;
  /** Is told of each case that begins. */
  onCase?: (tested: Case) => void;
  /** Is told of each problem. */
  onProblem?: (problem: FuzzProblem) => void;
}

/** What is wrong, and with which case; an uncaught error may be that of any case under way. */
export interface FuzzProblem {
  cases: Case[];
  problem: string;
}

/** What came of it. */
export interface FuzzResult {
  problems: FuzzProblem[];
  handshakes: number;
  /** How often each of them came of a case. */
  outcomes: Map<string, number>;
}

/** How to see a case again. */
export function describeCase({ seed, index }: Case): string {
  return `deno run -A tests/fuzz/main.ts --seed ${seed} --case ${index}`;
}

/** The server for a case; they are made when they are needed. */
class Servers {
  #servers = new Map<string, Promise<AttackedServer>>();

  get(tested: Pick<Case, "mutual" | "alpn" | "sni">, tcp: boolean): Promise<AttackedServer> {
    const { mutual, alpn, sni } = tested;
    const key = `${mutual} ${alpn} ${sni} ${tcp}`;
    let server = this.#servers.get(key);
    if (server === undefined) {
      server = AttackedServer.start({ mutual, alpn, sni }, tcp);
      this.#servers.set(key, server);
    }
    return server;
  }

  /** Before there is a rush: a bystander's handshake must not take too long. */
  async startAll(sockets: boolean): Promise<void> {
    const flags = [false, true];
    for (const mutual of flags) {
      for (const alpn of flags) {
        for (const sni of flags) {
          await this.get({ mutual, alpn, sni }, false);
          if (sockets) await this.get({ mutual, alpn, sni }, true);
        }
      }
    }
  }

  async all(): Promise<AttackedServer[]> {
    return await Promise.all(this.#servers.values());
  }
}

/**
 * Fuzzes.
 *
 * @param options How.
 * @returns What is wrong.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { seed, from, count, atOnce, sockets } = options;
  const result: FuzzResult = { problems: [], handshakes: 0, outcomes: new Map() };
  const underWay = new Set<Case>();
  const tell = (problem: string, cases = [...underWay]) => {
    const entry = { cases, problem };
    result.problems.push(entry);
    options.onProblem?.(entry);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    tell(`an uncaught error: ${describeError(event.error)}`);
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    tell(`an unhandled rejection: ${describeError(event.reason)}`);
  };
  addEventListener("error", onError);
  addEventListener("unhandledrejection", onRejection);
  using captured = captureExceptions();
  const servers = new Servers();
  const graveyard = new Graveyard();
  const files = countFiles() ?? 0;
  if (count > 1) await servers.startAll(sockets);
  let next = from;
  const work = async () => {
    while (next < from + count) {
      const tested = makeCase(seed, next++, sockets);
      underWay.add(tested);
      options.onCase?.(tested);
      const before = captured.contexts.length;
      const { problems, outcome } = await runCase(tested, (tcp) => servers.get(tested, tcp), graveyard);
      for (const problem of problems) tell(problem, [tested]);
      result.handshakes++;
      const kind = `${tested.side} ${outcome}`;
      result.outcomes.set(kind, (result.outcomes.get(kind) ?? 0) + 1);
      for (const { message, error } of captured.contexts.splice(before)) {
        if (!/^TLS handshake /.test(message)) tell(`the handler was told: ${message}: ${describeError(error)}`);
      }
      underWay.delete(tested);
    }
  };
  let over = false;
  const guard = (async () => {
    for (let round = 0; !over; round++) {
      const all = await servers.all();
      const problem = await all[round % all.length]?.canary();
      if (problem) tell(problem);
      await new Promise((resolve) => void setTimeout(resolve, 2));
    }
  })();
  await Promise.all(Array.from({ length: atOnce }, work));
  over = true;
  await guard;
  for (const server of await servers.all()) await server.close();
  await allChosen();
  // Nothing tells when Deno has given the last sockets back.
  for (let i = 0; i < 200 && (countFiles() ?? 0) > files; i++) await new Promise((r) => void setTimeout(r, 5));
  if ((countFiles() ?? 0) > files) tell(`${files} files were open, and are ${countFiles()}`, []);
  await new Promise((resolve) => void setImmediate(resolve));
  if (MemoryConn.open.size > 0) tell(`${MemoryConn.open.size} connections are open`, []);
  const { left, of } = await graveyard.collect(MOST_LEFT);
  if (left > MOST_LEFT) tell(`${left} of ${of} connections are kept though they are over`, []);
  removeEventListener("error", onError);
  removeEventListener("unhandledrejection", onRejection);
  return result;
}
