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

/** Chains that Tandem accepts, and others refuse. */
export const LAXER: Reasons = [
  {
    chains: /^(a twin without key identifiers|cross-signed, both shown)$/,
    why: "there is a good path, and OpenSSL looks at one alone",
  },
];
