import type { Engine } from "../transports/engine.ts";
import type { ExceptionContext, Handle, LoopContext, TimerHandle } from "../transports/loop_context.ts";
import type { ServerState, TransportState } from "../transports/inspection.ts";
import type { BaseTransport } from "../transports/transport.ts";
import type { Clock } from "./clock.ts";
import { Exceptions } from "./exceptions.ts";
import { type Connections, Roster } from "./roster.ts";
import { Scheduler } from "./scheduler.ts";

/** The parts of a loop: engine, scheduler and exceptions. */
export class LoopCore implements LoopContext {
  readonly engine: Engine;
  readonly exceptions: Exceptions;
  readonly scheduler: Scheduler;
  readonly roster: Roster = new Roster();

  constructor(engine: Engine, clock: Clock) {
    this.engine = engine;
    this.exceptions = new Exceptions(clock);
    this.scheduler = new Scheduler(this.exceptions, clock, () => engine.soon());
    engine.start({
      turn: () => this.scheduler.turn(),
      callLater: (delayMs, callback) => this.callLater(delayMs, callback),
      time: () => this.time(),
    });
  }

  get debug(): boolean {
    return this.exceptions.debug;
  }

  time(): number {
    return this.scheduler.time();
  }

  callSoon<A extends unknown[]>(callback: (...args: A) => void, ...args: A): Handle {
    return this.scheduler.callSoon(callback, args);
  }

  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => void, ...args: A): TimerHandle {
    return this.scheduler.callAt(this.time() + delayMs, callback, args, "callLater()");
  }

  report(context: ExceptionContext): void {
    this.exceptions.report(context);
  }

  reportIfSlow(what: string, startedAt: number, context?: Partial<ExceptionContext>): void {
    this.exceptions.reportIfSlow(what, startedAt, context);
  }

  watch(transport: BaseTransport): void {
    this.exceptions.watch(transport);
  }

  unwatch(transport: BaseTransport): void {
    this.exceptions.unwatch(transport);
  }

  enter<T extends object>(
    subject: T,
    describe: (subject: T, now: number) => TransportState | ServerState,
    connectionsOf?: (subject: T) => Connections,
  ): object {
    return this.roster.enter(subject, describe, this.time(), connectionsOf);
  }

  leave(entry: object | undefined): void {
    this.roster.leave(entry);
  }
}
