/** Connects to one of several addresses: Happy Eyeballs, RFC 8305. */
import { toError } from "../../errors.ts";
import { combineFailures, type Failure } from "./connect_error.ts";

/** Calls a function later, by the clock of the loop. */
export interface CallLater {
  (delayMs: number, callback: () => void): { cancel(): void };
}

/** How to connect to one of several addresses. */
export interface RaceOptions<T> {
  /** The time before the next attempt begins, in milliseconds; infinite to make one attempt after the other. */
  delay: number;
  callLater: CallLater;
  signal: AbortSignal | undefined;
  /** Makes one attempt. If `signal` aborts, it must reject soon. */
  attempt(address: string, signal: AbortSignal | undefined): Promise<T>;
  /** Closes a connection that was made too late. */
  discard(connection: T): void;
}

/**
 * Connects to the first address that accepts. The next attempt begins after the delay, or at once when an attempt fails.
 * Settles after all other attempts have been closed.
 *
 * @throws The reason of the signal, a NotCapable of an attempt, or one error for all attempts.
 */
export async function connectToOne<T>(addresses: readonly string[], options: RaceOptions<T>): Promise<T> {
  const { delay, callLater, signal, attempt, discard } = options;
  const result = Promise.withResolvers<T>();
  const losing = new AbortController();
  const attempts: Promise<void>[] = [];
  const failures: Failure[] = [];
  let timer: { cancel(): void } | undefined;
  let isOver = false;

  const end = (settle: () => void) => {
    isOver = true;
    timer?.cancel();
    losing.abort(signal?.reason);
    settle();
  };
  const begin = () => {
    timer?.cancel();
    const address = addresses[attempts.length]!;
    attempts.push(attempt(address, losing.signal).then(won, (error) => lost(address, toError(error))));
    if (!isOver && attempts.length < addresses.length && delay !== Infinity) timer = callLater(delay, begin);
  };
  const won = (connection: T) => {
    if (isOver) discard(connection);
    else end(() => result.resolve(connection));
  };
  const lost = (address: string, error: Error) => {
    if (isOver) return;
    failures.push({ address, error });
    if (error instanceof Deno.errors.NotCapable) end(() => result.reject(error));
    else if (attempts.length < addresses.length) begin();
    else if (failures.length === addresses.length) end(() => result.reject(combineFailures(failures)));
  };
  const abort = () => end(() => result.reject(signal!.reason));

  signal?.addEventListener("abort", abort, { once: true });
  begin();
  try {
    return await result.promise;
  } finally {
    signal?.removeEventListener("abort", abort);
    await Promise.all(attempts);
  }
}

/**
 * Alternates between the families of addresses, as RFC 8305 does. The first family stays first.
 *
 * @param first How many addresses of the first family come before the others; 0 keeps the order.
 */
export function interleave(addresses: readonly string[], first: number): readonly string[] {
  if (first === 0) return addresses;
  const isIpv6 = (address: string) => address.includes(":");
  const leading = addresses.filter((address) => isIpv6(address) === isIpv6(addresses[0]!));
  const others = addresses.filter((address) => !leading.includes(address));
  const ordered = leading.splice(0, first - 1);
  while (leading.length > 0 || others.length > 0) ordered.push(...leading.splice(0, 1), ...others.splice(0, 1));
  return ordered;
}
