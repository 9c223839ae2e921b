import type { TlsEngineSink } from "../transports/tls_provider.ts";

/** Drops everything: the sink of an engine that has ended, or whose place another has taken. */
export const NO_SINK: TlsEngineSink = {
  ciphertext: () => {},
  cleartext: () => {},
  ended: () => {},
  choosing: () => {},
  ready: () => {},
  failed: () => {},
  report: () => {},
};
