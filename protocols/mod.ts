/**
 * What bytes mean: the classes that a protocol's author extends.
 *
 * @module
 */
export { BaseProtocol } from "./base_protocol.ts";
export { BufferedProtocol } from "./buffered_protocol.ts";
export { DatagramProtocol } from "./datagram_protocol.ts";
export { Protocol } from "./protocol.ts";
export { SubprocessProtocol } from "./subprocess_protocol.ts";
