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
  PeerCertificate,
  ReadTransport,
  StreamCallbacks,
  StreamExtraInfo,
  SubprocessCallbacks,
  SubprocessTransport,
  TlsCipher,
  TlsContextLike,
  TlsInfo,
  Transport,
  WriteBuffer,
  WriteBufferLimits,
  WriteTransport,
} from "./transport.ts";
export { TlsContext, type TlsContextOptions, type TlsVersion } from "../tls/tls_context.ts";
export { TlsError, type TlsErrorCode } from "../tls/tls_error.ts";
export type { StreamHandle, StreamSink } from "./stream_handle.ts";
export { InvalidStateError, ProcessLookupError, SendfileError, TimeoutError } from "../errors.ts";
