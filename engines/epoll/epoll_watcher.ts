import { codeOf, InvalidStateError, withMessage } from "../../errors.ts";
import type { Watcher } from "../../transports/watcher.ts";
import { EPOLLIN, EPOLLOUT } from "./constants.ts";
import { Lane } from "./lane.ts";
import type { Reactor } from "./reactor.ts";
import { Source } from "./source.ts";

type Direction = "read" | "write";

/** A descriptor that the engine does not own. */
class WatchSource extends Source {
  read: (() => void) | null = null;
  write: (() => void) | null = null;

  constructor(reactor: Reactor, fd: number) {
    super(reactor, new Lane(), fd, false);
  }

  ready(events: number): void {
    // Once in a turn: a callback that does not read would otherwise be called again at once.
    this.reactor.spend();
    if ((events & EPOLLIN) !== 0) this.read?.();
    if ((events & EPOLLOUT) !== 0) this.write?.();
  }
}

/** Watches descriptors of the program. */
export class EpollWatcher implements Watcher {
  #reactor: Reactor;
  #sources = new Map<number, WatchSource>();

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
  }

  watch(fd: number, direction: Direction, ready: () => void): void {
    this.#requireFree(fd, direction === "read" ? "addReader()" : "addWriter()");
    let source = this.#find(fd);
    if (source === undefined) this.#sources.set(fd, source = new WatchSource(this.#reactor, fd));
    source[direction] = ready;
    try {
      this.#update(source);
    } catch (error) {
      this.#sources.delete(fd);
      throw clearer(error as Error, fd, direction);
    }
  }

  unwatch(fd: number, direction: Direction): boolean {
    this.#requireFree(fd, direction === "read" ? "removeReader()" : "removeWriter()");
    const source = this.#find(fd);
    if (source === undefined || source[direction] === null) return false;
    source[direction] = null;
    try {
      this.#update(source);
    } catch {
      // The program has closed the descriptor: then nothing is watched.
      this.#sources.delete(fd);
    }
    return true;
  }

  /** Watches for what there are callbacks for. */
  #update(source: WatchSource): void {
    // Anew, because the program may have closed the descriptor, and opened another one of the same number.
    this.#reactor.forget(source);
    const interest = (source.read === null ? 0 : EPOLLIN) | (source.write === null ? 0 : EPOLLOUT);
    if (interest === 0) this.#sources.delete(source.fd);
    else this.#reactor.setInterest(source, interest);
  }

  /** Returns what is watched of a descriptor. If a transport has had its number meanwhile, that was an earlier one. */
  #find(fd: number): WatchSource | undefined {
    const source = this.#sources.get(fd);
    return source?.interest === 0 ? undefined : source;
  }

  #requireFree(fd: number, method: string): void {
    if (this.#reactor.owned[fd] === undefined) return;
    throw new InvalidStateError(`${method}: file descriptor ${fd} is used by a transport`);
  }
}

function clearer(error: Error, fd: number, direction: Direction): Error {
  const method = direction === "read" ? "addReader()" : "addWriter()";
  const code = codeOf(error);
  const what = code === "EPERM"
    ? "is a regular file or a folder, which is always ready and cannot be watched"
    : code === "EBADF"
    ? "is not open"
    : `cannot be watched: ${error.message}`;
  return withMessage(error, `${method}: file descriptor ${fd} ${what}`);
}
