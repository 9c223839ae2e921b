/** The oldest Deno that works. In 2.8.3, `close()` on a `Deno.Conn` with a pending read loses the end of the stream. */
const OLDEST = [2, 9, 0] as const;

/** Throws if this Deno is too old. */
export function checkDenoVersion(version: string = Deno.version.deno): void {
  const found = /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  // The first number that differs.
  const at = OLDEST.findIndex((number, i) => found?.[i] !== number);
  if (found === undefined || at === -1 || found[at]! > OLDEST[at]!) return;
  throw new Deno.errors.NotSupported(
    `Tandem needs Deno ${OLDEST.join(".")} or later, and this is Deno ${version}: run deno upgrade`,
  );
}
