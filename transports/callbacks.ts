import type { LoopContext } from "./loop_context.ts";
import { toError } from "../errors.ts";
import { isPromise, settle } from "../promises.ts";
import type { BaseCallbacks, BaseTransport } from "./transport.ts";

/** The names of a protocol's callbacks. */
type Callback<P> = { [K in keyof P]-?: NonNullable<P[K]> extends (...args: never[]) => unknown ? K : never }[keyof P];
type Arguments<P, K extends keyof P> = NonNullable<P[K]> extends (...args: infer A) => unknown ? A : never;

/** Calls a callback, if the protocol has it. An exception goes to the exception handler, and does not close the transport. */
export function callProtocol<P extends BaseCallbacks, K extends Callback<P> & string>(
  loop: LoopContext,
  transport: BaseTransport,
  protocol: P,
  name: K,
  ...args: Arguments<P, K>
): void {
  const startedAt = loop.debug ? loop.time() : -1;
  try {
    // Inside the try, because a getter may throw.
    const callback = protocol[name] as ((...args: unknown[]) => unknown) | undefined;
    if (callback === undefined) return;
    const result = callback.apply(protocol, args);
    if (result !== undefined) adoptPromise(loop, result, name, transport, protocol);
  } catch (error) {
    loop.report({ message: `Exception in protocol.${name}()`, error: toError(error), transport, protocol });
  }
  if (startedAt !== -1) loop.reportIfSlow(`protocol.${name}()`, startedAt, { transport, protocol });
}

/** Handles the rejection of a promise that a callback returned. Without this it would end the process. */
export function adoptPromise(
  loop: LoopContext,
  result: unknown,
  name: string,
  transport: BaseTransport,
  protocol: BaseCallbacks,
): void {
  if (!isPromise(result)) return;
  settle(result, undefined, (error) => {
    const message = `protocol.${name}() is async and rejected`;
    loop.report({ message, error: toError(error), transport, protocol });
  });
}
