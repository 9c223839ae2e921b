/**
 * Deno's thread for signals, which must be there before strangers can use descriptors up.
 *
 * Deno starts it half a second after the program, for its inspector's SIGUSR1, and ends the process by a panic if there
 * are no two descriptors left for it then. A flood of connections in that half second is enough.
 *
 * @module
 */

/** A compiled program has no inspector to wait for: starting the thread there would only undo an ignored SIGHUP. */
let started = Deno.build.os === "windows" || Deno.build.standalone;

/**
 * Has Deno start the thread now, where it would start it anyway. It takes no permission and some 1 ms, once.
 *
 * What signals do stays as it is: of SIGURG nothing comes unless one asks for it, and the thread does for the others
 * what the system would have done.
 */
export function startSignalThread(): void {
  if (started) return;
  started = true;
  const listener = () => {};
  try {
    Deno.addSignalListener("SIGURG", listener);
    Deno.removeSignalListener("SIGURG", listener);
  } catch {
    // A Deno that has no such thing does not fall over it either.
  }
}
