/**
 * Making the protocol of a connection.
 *
 * @module
 */
import { checkProtocol } from "../checks.ts";
import { isPromise, settle } from "../promises.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { checkCallbacks, type ProtocolKind } from "../transports/protocol_check.ts";
import type { BaseCallbacks } from "../transports/transport.ts";

/** Makes the protocol of one connection. */
export type ProtocolFactory<P> = () => P;

/** Makes a protocol, and checks that its callbacks can be meant. */
export function makeProtocol<P extends BaseCallbacks>(
  loop: LoopContext,
  method: string,
  factory: ProtocolFactory<P>,
  kind: ProtocolKind,
): P {
  const protocol = factory();
  if (isPromise(protocol)) settle(protocol, undefined, () => {}); // An async factory: the error below says so.
  checkProtocol(method, "what factory returns", protocol);
  checkCallbacks(loop, method, protocol, kind, factory);
  return protocol;
}
