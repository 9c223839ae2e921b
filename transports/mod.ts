/**
 * What moves bytes: the interfaces of all transports, and the callbacks that they make.
 *
 * @module
 */
export type {
  BaseCallbacks,
  BaseTransport,
  DatagramCallbacks,
  DatagramTarget,
  DatagramTransport,
  ExtraInfo,
  ReadTransport,
  StreamCallbacks,
  StreamExtraInfo,
  SubprocessCallbacks,
  SubprocessTransport,
  TlsInfoKey,
  Transport,
  WriteBuffer,
  WriteBufferLimits,
  WriteTransport,
} from "./transport.ts";
export type { StreamHandle, StreamSink } from "./stream_handle.ts";
export { InvalidStateError, ProcessLookupError, SendfileError, TimeoutError } from "./errors.ts";
