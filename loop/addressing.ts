import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkHostname, checkInteger, checkPort, checkTimeout } from "../checks.ts";
import type { TcpTarget } from "../transports/engine.ts";

/** The options that say from where to connect, and to which addresses of a name. */
export interface Addressing {
  localAddr?: { hostname?: string; port?: number } | undefined;
  autoSelectFamily?: boolean | undefined;
  autoSelectFamilyAttemptDelay?: number | undefined;
  happyEyeballsDelay?: number | undefined;
  interleave?: number | undefined;
}

const LOCAL_ADDR = namesOf<NonNullable<Addressing["localAddr"]>>({ hostname: true, port: true });

/** Checks the options that say from where to connect, and to which addresses of a name. */
export function takeAddressing(method: string, options: Addressing) {
  const { localAddr: given, autoSelectFamily, autoSelectFamilyAttemptDelay: alias, happyEyeballsDelay, interleave } =
    options;
  let localAddr: TcpTarget["localAddr"];
  if (given !== undefined) {
    checkOptions(method, given, LOCAL_ADDR, { prefix: "localAddr.", name: "localAddr", tolerated: ["transport"] });
    const { hostname, port } = given;
    if (hostname !== undefined) checkHostname(method, "localAddr.hostname", hostname);
    if (port !== undefined) checkPort(method, "localAddr.port", port, 0);
    localAddr = { hostname, port };
  }
  checkBoolean(method, "autoSelectFamily", autoSelectFamily);
  checkTimeout(method, "autoSelectFamilyAttemptDelay", alias);
  checkTimeout(method, "happyEyeballsDelay", happyEyeballsDelay);
  if (alias !== undefined && happyEyeballsDelay !== undefined && alias !== happyEyeballsDelay) {
    throw new TypeError(
      `${method}: happyEyeballsDelay and autoSelectFamilyAttemptDelay are the same option, got ${happyEyeballsDelay} and ${alias}`,
    );
  }
  if (interleave !== undefined) checkInteger(method, "interleave", interleave, 0);
  const autoSelectFamilyAttemptDelay = happyEyeballsDelay ?? alias;
  return { localAddr, autoSelectFamily, autoSelectFamilyAttemptDelay, interleave };
}
