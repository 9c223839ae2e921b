/** Where Tandem differs from others for a reason. */

/** Names of chains, and why they are here. */
export type Reasons = readonly { chains: string | RegExp; why: string }[];

/** Good chains that Tandem refuses. */
export const REFUSED: Reasons = [
  {
    chains: /^constraints: (an email address, permitted|a subject, permitted|a subject, excluded another)$/,
    why: "rustls compares no email addresses and no subjects: a constraint on them is violated by every certificate " +
      "that has one",
  },
];

/** The same over OpenSSL, which decides there. */
export const REFUSED_BY_OPENSSL: Reasons = [
  {
    chains: /^(a twin without key identifiers|cross-signed, both shown)$/,
    why: "there is a good path, and OpenSSL looks at one alone",
  },
];

/** Chains that Tandem accepts, and others refuse. */
export const LAXER: Reasons = [
  {
    chains: /^(a twin without key identifiers|cross-signed, both shown)$/,
    why: "there is a good path, and OpenSSL looks at one alone",
  },
  {
    chains: /^name: "(\*\.)?leaf\.test" for (a\.)?leaf\.test\.$/,
    why: "the dot of the root ends a name that is complete, and is no part of it (RFC 1034, 3.1)",
  },
  {
    chains: /^below a root with an unknown signature algorithm$/,
    why: "an authority is trusted for its name and key; a signature of its own says nothing (RFC 5280, 6.1.1)",
  },
];
