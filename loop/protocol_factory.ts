import { checkProtocol } from "../checks.ts";
import { isPromise, settle } from "../promises.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { checkCallbacks, type ProtocolKind } from "../check_protocol.ts";
import type { BaseCallbacks } from "../transports/transport.ts";

/** Creates the protocol of one transport. */
export type ProtocolFactory<P> = () => P;

/** Calls a factory and checks the protocol. */
export function makeProtocol<P extends BaseCallbacks>(
  loop: LoopContext,
  method: string,
  factory: ProtocolFactory<P>,
  kind: ProtocolKind,
): P {
  const protocol = factory();
  if (isPromise(protocol)) settle(protocol, undefined, () => {}); // An async factory is a TypeError, below.
  checkProtocol(method, "what factory returns", protocol);
  checkCallbacks(loop, method, protocol, kind, factory);
  return protocol;
}
