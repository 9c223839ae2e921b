/**
 * What is known about a transport, kept by key so that it outlives it.
 *
 * @module
 */
import type { ExtraInfo } from "./transport.ts";

/** Looks a key up. */
export function lookUpExtraInfo(info: Partial<ExtraInfo>, name: string, defaultValue: unknown): unknown {
  return Object.hasOwn(info, name) ? info[name as keyof ExtraInfo] : defaultValue;
}
