/** TLS by Deno's `node:tls`. */
import type { TlsProvider, TlsSettings } from "../../transports/tls_provider.ts";
import { refuseOpensslOptions } from "../openssl_options.ts";
import { reportsUnknownIssuer } from "./canary.ts";
import { DuplexEngine } from "./duplex_engine.ts";
import { NodeContext } from "./node_context.ts";
import { loadNodeTls, type NodeTls } from "./node_tls.ts";
import { parseSettings } from "./parse_settings.ts";
import { WrapEngine } from "./wrap_engine.ts";

/** Node's modules, once something has been loaded. */
let tls: NodeTls | undefined;

const contexts = new WeakMap<TlsSettings, NodeContext>();

/** TLS by Deno's `node:tls`: by the inside of its `TLSSocket` if this Deno has it, and otherwise as documented. */
export const nodeProvider: TlsProvider = {
  get name() {
    if (tls === undefined) return "node:tls";
    const how = tls.hasWrap
      ? "the rustls connection inside its TLSSocket"
      : "a TLSSocket over a Duplex, which is slower";
    return `node:tls, by ${how}`;
  },

  async load(settings, former) {
    refuseOpensslOptions(settings, "node:tls");
    tls = await loadNodeTls();
    if (contexts.has(settings)) return;
    const { sessionTickets } = settings;
    if (sessionTickets === false || typeof sessionTickets === "object") {
      throw new Deno.errors.NotSupported(
        "sessionTickets is not supported with node:tls, only with OpenSSL (EpollEngine)",
      );
    }
    const authorities = parseSettings(tls, settings);
    const before = former && contexts.get(former);
    if (before !== undefined) authorities.inherit(before.authorities);
    contexts.set(settings, new NodeContext(tls, settings, authorities));
  },

  open(sink, side) {
    const context = contexts.get(side.settings);
    if (tls === undefined || context === undefined) throw new TypeError("open(): settings must have been loaded");
    if (!tls.hasWrap) return new DuplexEngine(tls, sink, context, side);
    const verifies = !side.serverSide && side.settings.rejectUnauthorized !== false;
    if (verifies && !reportsUnknownIssuer(tls)) {
      throw new Deno.errors.NotSupported(
        `TLS: Deno ${Deno.version.deno} does not report whether a certificate is valid, so no server can be verified`,
      );
    }
    return new WrapEngine(tls, sink, context, side);
  },
};
