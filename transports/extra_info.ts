/**
 * What is known about a transport, kept by key so that it outlives it.
 *
 * @module
 */
import type { ExtraInfo } from "./transport.ts";

/**
 * Looks a key up.
 *
 * @param info What the transport knows.
 * @param name The key.
 * @param defaultValue What to return where it knows nothing of the kind.
 * @returns The value, or `defaultValue`.
 */
export function lookUpExtraInfo(info: Partial<ExtraInfo>, name: string, defaultValue: unknown): unknown {
  return Object.hasOwn(info, name) ? info[name as keyof ExtraInfo] : defaultValue;
}
