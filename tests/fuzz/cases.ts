/** The cases: who is attacked, how it came to speak TLS, what is done to what it is told, and what it does meanwhile. */
import { type DeliveryPlan, MOMENTS, PORTIONS } from "./delivery.ts";
import { Dice } from "./dice.ts";
import { type HarmName, HARMS, type Tampering } from "./records.ts";

/** How a server comes to speak TLS; "nested" is startTls() over TLS. */
export const SERVER_WAYS = ["listener", "tcp", "accepted", "startTls", "nested"] as const;
/** How a client does. */
export const CLIENT_WAYS = ["conn", "dial", "startTls", "nested"] as const;
/** When `startTls()` is called; exactly means that the bytes behind the command are left unread. */
export const UPGRADES = ["in the callback", "exactly", "paused", "undrained", "later", "at once"] as const;
/** What a victim does. */
export const ACTIONS = [
  "write",
  "write much",
  "writeOwned",
  "writelines",
  "close",
  "abort",
  "pause",
  "resume",
  "hold writes",
  "release writes",
] as const;
/** How it all ends, if nothing has ended it before. */
export const ENDINGS = ["leave", "leave and end", "end", "reset", "alert", "close", "abort", "wait"] as const;
/** What a client asks for: see `chooseContext` in servers.ts. */
export const NAMES = [
  "localhost",
  "second.test",
  "later.test",
  "slow.test",
  "throws.test",
  "rejects.test",
  "wrong.test",
  "never.test",
] as const;

/** What a peer shows: its own certificate, with nonsense behind it, with bytes changed in it, or with many behind it. */
export const IDENTITIES = ["good", "nonsense behind", "changed", "many"] as const;

/** What a victim does. */
export type Action = typeof ACTIONS[number];

/** A case. */
export interface Case {
  seed: number;
  index: number;
  side: "server" | "client";
  way: typeof SERVER_WAYS[number] | typeof CLIENT_WAYS[number];
  upgrade: typeof UPGRADES[number];
  buffered: boolean;
  version: "TLSv1.2" | "TLSv1.3";
  /** The other side lies itself. */
  hostile: boolean;
  mutual: boolean;
  alpn: boolean;
  sni: boolean;
  name: typeof NAMES[number];
  /** Client: insists on a certificate that it can verify. */
  trusting: boolean;
  /** What certificates the peer shows, if any. */
  identity: typeof IDENTITIES[number];
  /** Bytes wait before there is a victim. */
  early: boolean;
  /** A read takes all that has come. */
  joins: boolean;
  /** The most that a write takes at once, or `null`. */
  takes: number | null;
  tampering: Tampering[];
  delivery: DeliveryPlan;
  inMade: Action | null;
  inData: Action | null;
  /** What the victim and its genuine peer do in each turn, once they are connected. */
  turns: { victim: Action | null; peer: number }[];
  ending: typeof ENDINGS[number];
}

const HARM_NAMES: HarmName[] = [...Object.keys(HARMS) as HarmName[], "swap with the next"];

/**
 * Makes a case.
 *
 * @param seed The run.
 * @param index Which case of it.
 * @param sockets Whether real ones are used.
 * @returns The same case for the same arguments.
 */
export function makeCase(seed: number, index: number, sockets = true): Case {
  const dice = new Dice(seed, index);
  const side = dice.pick(["server", "client"] as const);
  const ways = side === "server" ? SERVER_WAYS : CLIENT_WAYS;
  let way = dice.pick(ways);
  // Sockets are slow.
  if ((way === "tcp" || way === "dial") && !(sockets && dice.once(3))) way = side === "server" ? "listener" : "conn";
  if (way === "nested" && !dice.once(2)) way = "startTls";
  const action = (chance: number) => dice.once(chance) ? dice.pick(ACTIONS) : null;
  const hostile = dice.once(3);
  const tampering: Tampering[] = [];
  if (!dice.once(hostile ? 1 : 20)) {
    // Mostly one harm: behind the first one little else is looked at.
    do tampering.push({ at: dice.below(dice.pick([1, 3, 6, 12])), harm: dice.pick(HARM_NAMES) }); while (dice.once(4));
  }
  const sni = side === "server" && dice.once(3);
  return {
    seed,
    index,
    side,
    way,
    upgrade: dice.pick(UPGRADES),
    buffered: dice.once(3),
    version: hostile ? "TLSv1.3" : dice.pick(["TLSv1.2", "TLSv1.3"]),
    hostile,
    mutual: dice.once(3),
    alpn: dice.once(3),
    sni,
    name: sni ? dice.pick(NAMES) : "localhost",
    trusting: !dice.once(4),
    identity: dice.once(6) ? dice.pick(IDENTITIES) : "good",
    early: dice.once(2),
    joins: dice.once(2),
    takes: dice.once(6) ? dice.pick([200, 700, 3000]) - dice.below(100) : null,
    tampering,
    delivery: { moment: dice.pick(MOMENTS), portions: dice.pick(PORTIONS) },
    inMade: action(4),
    inData: action(6),
    turns: Array.from({ length: dice.below(8) }, () => ({
      victim: action(3),
      peer: dice.once(2) ? dice.pick([1, 100, 3000, 40_000]) : 0,
    })),
    ending: dice.pick(ENDINGS),
  };
}
