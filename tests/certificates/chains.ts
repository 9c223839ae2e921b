/** All chains, by topic. */
import type { Chain } from "./chain.ts";
import { constraintChains } from "./chains/constraints.ts";
import { decoyChains } from "./chains/decoys.ts";
import { encodingChains } from "./chains/encodings.ts";
import { nameChains } from "./chains/names.ts";
import { pathChains } from "./chains/paths.ts";
import { purposeChains } from "./chains/purposes.ts";
import { signatureChains } from "./chains/signatures.ts";
import { once } from "./once.ts";

/** Chains as servers show them. */
export const serverChains: () => Chain[] = once(() => [
  ...nameChains(),
  ...pathChains(),
  ...purposeChains(),
  ...constraintChains(),
  ...signatureChains(),
  ...decoyChains(),
  ...encodingChains(),
]);

/** Those that a client may show as well, with what is expected of its server. */
export const clientChains: () => Chain[] = once(() =>
  serverChains()
    .filter(({ asClient }) => asClient !== null)
    // Not a copy, which would make all of them.
    .map((chain) => Object.create(chain, { expected: { value: chain.asClient } }))
);

/** Every so many-th, for those who have no time for all. */
export function some<T>(chains: T[], step: number): T[] {
  return chains.filter((_, i) => i % step === 0);
}
