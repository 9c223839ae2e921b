/** A chain of certificates that a peer shows, and what to expect of its verifiers. */
import type { KeyObject } from "node:crypto";
import { authority, type Entity, HOST_NAME } from "./certificate.ts";
import { once } from "./once.ts";
import type { Shown } from "./tls13.ts";

/**
 * `good`: RFC 5280 and 9525 accept it. `bad`: they refuse it. `open`: they leave it open, or verifiers are known to
 * differ; Tandem must still not be laxer than any of them.
 */
export type Expected = "good" | "bad" | "open";

/** A chain, and what its peer is asked for. */
export interface Chain extends Shown {
  name: string;
  /** The trusted certificates, DER. */
  roots: Uint8Array[];
  /** What the server is dialled by. */
  host: string;
  /** When a server shows it. */
  expected: Expected;
  /** When a client shows it; `null` where only a server's differs from another chain. */
  asClient: Expected | null;
}

/** The root that everything leads to if nothing else is asked for. */
export const root = once(() => authority());
/** One below it. */
export const sub = once(() => authority({ issuer: root() }));
/** One that is not trusted. */
export const rogue = once(() => authority());

/** What a chain may have of its own. */
export interface ChainOptions {
  /** What is shown behind the leaf. */
  rest?: readonly Entity[];
  roots?: readonly Entity[];
  host?: string;
  key?: () => KeyObject;
  sign?: Shown["sign"];
  asClient?: Expected | null;
}

/** Makes a chain; the root is trusted, and the leaf's key signs. */
export function chain(name: string, expected: Expected, leaf: Entity, options: ChainOptions = {}): Chain {
  const { rest = [], roots = [root()], host = HOST_NAME, key, sign, asClient = expected } = options;
  return {
    name,
    expected,
    asClient,
    host,
    sign,
    // Made when first looked at: see `ecKeys()`.
    get chain() {
      return [leaf, ...rest].map(({ der }) => der);
    },
    get roots() {
      return roots.map(({ der }) => der);
    },
    get key() {
      return key?.() ?? leaf.keys.privateKey;
    },
  };
}
