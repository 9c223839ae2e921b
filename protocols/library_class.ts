/** Registered, because a program can load two copies of the package, and because transports/ imports nothing from here. */
const LIBRARY = Symbol.for("@tandem/io library class");

/**
 * Marks a class as this package's own: checks of an author's class stop at its prototype. `callbacks` are those that the
 * class calls itself.
 */
export function markLibraryClass(Class: { prototype: object }, callbacks: readonly string[] = []): void {
  Object.defineProperty(Class.prototype, LIBRARY, { value: callbacks });
}
