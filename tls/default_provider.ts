/**
 * The TLS of loops whose engine brings none, and the only file that names an implementation.
 *
 * @module
 */
import type { TlsProvider } from "../transports/tls_provider.ts";
import { nodeProvider } from "./node/node_provider.ts";

/** The TLS of loops whose engine brings none: Deno's `node:tls`. */
export const defaultProvider: TlsProvider = nodeProvider;
