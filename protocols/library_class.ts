/**
 * Marks the classes that authors extend, so that a check of an author's class knows where it ends.
 *
 * @module
 */

/** A name of its own, for a program may have two copies of the package, and transports/ names no class of protocols/. */
const LIBRARY = Symbol.for("@tandem/io library class");

/**
 * Marks a class as the package's own.
 *
 * @param Class The class.
 */
export function markLibraryClass(Class: { prototype: object }): void {
  Object.defineProperty(Class.prototype, LIBRARY, { value: true });
}
