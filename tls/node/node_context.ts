/** What `node:tls` makes of settings. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { mayReadAuthorities } from "../may_read_authorities.ts";
import { TlsError } from "../tls_error.ts";
import type { Authorities, Root } from "./authorities.ts";
import type { NodeTls, SecureContext } from "./node_tls.ts";
import { CLIENT_PURPOSE, type Purpose, SERVER_PURPOSE } from "../purpose.ts";

/** What a connection is made with. */
export interface Credentials {
  /** What `node:tls` has made of `options`. */
  secureContext: SecureContext;
  /** The options of `tls.createSecureContext()`. */
  options: object;
}

/** Settings that have been loaded, for any number of connections. */
export class NodeContext {
  /** The settings. */
  readonly settings: TlsSettings;
  /** The CAs of `caCerts`. */
  readonly authorities: Authorities;
  #tls: NodeTls;
  /** The credentials of each side, and the CAs that were valid when they were made. */
  #made: Partial<Record<"client" | "server", { credentials: Credentials; roots: Root[] }>> = {};

  /** Whether the CAs of `node:tls` were foreign when the credentials of a client were made. */
  #hadForeign = false;

  constructor(tls: NodeTls, settings: TlsSettings, authorities: Authorities) {
    this.#tls = tls;
    this.settings = settings;
    this.authorities = authorities;
  }

  /** Returns the credentials of a client. */
  client(): Credentials {
    const areForeign = hasForeignDefaults(this.#tls);
    if (this.#hadForeign !== areForeign) delete this.#made.client;
    this.#hadForeign = areForeign;
    return this.#cached("client", SERVER_PURPOSE, (roots) => {
      return makeClientCredentials(this.#tls, identityOf(this.settings), roots.map(({ pem }) => pem));
    });
  }

  /** Returns the credentials of a server. */
  server(): Credentials {
    return this.#cached("server", CLIENT_PURPOSE, () => this.choose(this.settings));
  }

  /**
   * Makes the credentials of one connection of a server for which `sni` has selected other settings. They have the
   * certificate and the key of those settings, and the CAs of these.
   */
  choose(chosen: TlsSettings): Credentials {
    const { requestCert, minVersion, maxVersion } = this.settings;
    const { minVersion: lowest = minVersion, maxVersion: highest = maxVersion } = chosen;
    if (lowest !== undefined && highest !== undefined && lowest > highest) {
      // Deno would report nothing, and not go on.
      throw new TlsError(
        "NO_SHARED_VERSION",
        `TLS: minVersion ${lowest} is newer than maxVersion ${highest}; one is the server's, one its sni has selected`,
      );
    }
    const identity = identityOf({ ...chosen, minVersion: lowest, maxVersion: highest });
    // Only if they are needed: node:tls sends `ca` to every client, after the server's own certificate.
    const roots = requestCert ? this.authorities.usable(CLIENT_PURPOSE) : [];
    return makeCredentials(this.#tls, { ...identity, ...requestCert && { ca: roots.map(({ pem }) => pem) } });
  }

  /** Makes the credentials again if a CA has expired, or has become valid, since. */
  #cached(side: "client" | "server", purpose: Purpose, make: (roots: Root[]) => Credentials): Credentials {
    const roots = this.authorities.usable(purpose);
    const made = this.#made[side];
    const isCurrent = made?.roots.length === roots.length && roots.every((root, i) => root === made.roots[i]);
    if (isCurrent) return made.credentials;
    const credentials = make(roots);
    this.#made[side] = { credentials, roots };
    return credentials;
  }
}

/** The certificate, the key and the versions, named as in `node:tls`. */
function identityOf({ cert, key, minVersion = "TLSv1.2", maxVersion = "TLSv1.3" }: TlsSettings): object {
  return { minVersion, maxVersion, ...cert !== undefined && { cert }, ...key !== undefined && { key } };
}

function makeCredentials(tls: NodeTls, options: object): Credentials {
  return { secureContext: tls.createSecureContext(options), options };
}

function makeClientCredentials(tls: NodeTls, identity: object, caCerts: string[]): Credentials {
  const made = makeCredentials(tls, identity);
  const { context } = made.secureContext;
  if (context.addCACert === undefined || hasForeignDefaults(tls)) {
    // The documented way: `ca` replaces Deno's own CAs, so they are passed, too. That takes milliseconds a connection.
    return makeCredentials(tls, { ...identity, ca: [...tls.getCACertificates("bundled"), ...caCerts] });
  }
  // CAs that are added one by one come on top of Deno's own. The first adds nothing, but keeps Deno from resuming a
  // session that other code in this process has begun with the same server, perhaps without verifying it
  // (`is_default_path` in its ext/node/ops/tls_wrap.rs).
  for (const pem of ["none", ...caCerts]) context.addCACert(pem);
  return made;
}

/** The list of CAs that `hasForeignDefaults` has seen last, and its result. */
let defaults: { list: string[]; areForeign: boolean } | null = null;

/**
 * Reports whether code in this process has made `node:tls` trust a CA that Deno does not trust, by
 * `tls.setDefaultCACertificates()`. Clients of Tandem do not trust it. Takes 15 ms, once, and again after a change. The
 * list can be read only with permissions.
 */
function hasForeignDefaults(tls: NodeTls): boolean {
  if (!mayReadAuthorities()) return false;
  const list = tls.getCACertificates("default");
  if (defaults?.list !== list) {
    const known = new Set([...tls.getCACertificates("bundled"), ...tls.getCACertificates("extra")]);
    let areForeign = list.some((pem) => !known.has(pem));
    if (areForeign) {
      for (const pem of tls.getCACertificates("system")) known.add(pem);
      areForeign = list.some((pem) => !known.has(pem));
    }
    defaults = { list, areForeign };
  }
  return defaults.areForeign;
}
