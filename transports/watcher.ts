/** The seam of `addReader()` and `addWriter()`: events of descriptors that no transport owns. */

/** A file descriptor, or an object that has one. */
export type FileDescriptor = number | { readonly fd: number };

/** Reports when descriptors can be read or written, without owning them. */
export interface Watcher {
  /**
   * Calls `ready` in each turn in which the descriptor can be read or written, or has failed. Replaces an earlier call for
   * the same descriptor and direction. Keeps the process alive until `unwatch()`.
   *
   * @throws {InvalidStateError} If a transport uses the descriptor.
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {Deno.errors.PermissionDenied} If it is of a kind that cannot be watched, such as a regular file.
   */
  watch(fd: number, direction: "read" | "write", ready: () => void): void;
  /**
   * Ends `watch()`, and reports whether there was one. The descriptor may have been closed before.
   *
   * @throws {InvalidStateError} If a transport uses the descriptor.
   */
  unwatch(fd: number, direction: "read" | "write"): boolean;
}
