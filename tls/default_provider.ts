import type { TlsProvider } from "../transports/tls_provider.ts";
import { nodeProvider } from "./node/node_provider.ts";

/** The TLS of loops whose engine brings none: Deno's `node:tls`. Nothing else outside `tls/node/` names it. */
export const defaultProvider: TlsProvider = nodeProvider;

export { denoTrusts, loadDenoTrust } from "./node/deno_trust.ts";
