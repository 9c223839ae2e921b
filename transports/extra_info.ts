import type { ExtraInfo } from "./transport.ts";

/** Returns the value of a key, or the default value. */
export function lookUpExtraInfo(info: Partial<ExtraInfo>, name: string, defaultValue: unknown): unknown {
  return Object.hasOwn(info, name) ? info[name as keyof ExtraInfo] : defaultValue;
}
