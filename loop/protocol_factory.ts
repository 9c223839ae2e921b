/**
 * Making the protocol of a connection.
 *
 * @module
 */
import { checkProtocol } from "../checks.ts";
import { isPromise, settle } from "../promises.ts";

/** Makes the protocol of one connection. */
export type ProtocolFactory<P> = () => P;

/**
 * Makes a protocol.
 *
 * @typeParam P The protocol's type.
 * @param factory The factory.
 * @returns The protocol.
 * @throws {TypeError} If the factory returns something else than an object.
 */
export function makeProtocol<P>(factory: ProtocolFactory<P>): P {
  const protocol = factory();
  if (isPromise(protocol)) settle(protocol, undefined, () => {}); // An async factory: the error below says so.
  checkProtocol(protocol, "what factory returns");
  return protocol;
}
