/** A compiled program has no inspector, so Deno starts no thread. Starting it would undo an ignored SIGHUP. */
let started = Deno.build.os === "windows" || Deno.build.standalone;

/**
 * Makes Deno start its signal thread now, while file descriptors are left. Otherwise Deno starts it half a second after
 * the program, for its inspector's SIGUSR1, and panics if it cannot open two descriptors. A flood of connections in that
 * half second is enough. Takes 1 ms once, and no permission.
 *
 * The effects of signals do not change: SIGURG is ignored by default, and for other signals the thread does what the
 * system would have done.
 */
export function startSignalThread(): void {
  if (started) return;
  started = true;
  const listener = () => {};
  try {
    Deno.addSignalListener("SIGURG", listener);
    Deno.removeSignalListener("SIGURG", listener);
  } catch {
    // Without this signal, Deno has no such thread.
  }
}
