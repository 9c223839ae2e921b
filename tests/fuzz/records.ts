/** TLS's records, and all that can be done to one on its way. */
import { bytes, concat } from "../kit.ts";
import type { Dice } from "./dice.ts";

/** The header of a record has its type, its version and its length. */
const HEADER = 5;

/** What goes down the wire to the victim. */
export type Piece = Uint8Array | "end" | "reset";

/** Cuts a stream into records. */
export class RecordSplitter {
  #rest: Uint8Array = new Uint8Array();

  /** Takes bytes and gives the records that are complete. */
  push(data: Uint8Array): Uint8Array[] {
    let rest = this.#rest.length === 0 ? data : concat([this.#rest, data]);
    const records: Uint8Array[] = [];
    while (rest.length >= HEADER) {
      const size = HEADER + rest[3]! * 256 + rest[4]!;
      if (rest.length < size) break;
      records.push(rest.slice(0, size));
      rest = rest.slice(size);
    }
    this.#rest = rest;
    return records;
  }
}

/** Makes a record. */
export function makeRecord(type: number, body: Uint8Array, version = 0x303): Uint8Array {
  return concat([new Uint8Array([type, version >> 8, version & 255, body.length >> 8, body.length & 255]), body]);
}

const CHANGE_CIPHER_SPEC = makeRecord(20, new Uint8Array([1]));
const HELLO_REQUEST = makeRecord(22, new Uint8Array([0, 0, 0, 0]));
const KEY_UPDATE = makeRecord(22, new Uint8Array([24, 0, 0, 1, 1]));
const FINISHED = makeRecord(22, concat([new Uint8Array([20, 0, 0, 32]), new Uint8Array(32)]));
/** Of the kind that RFC 8879 compresses. */
const COMPRESSED_CERTIFICATE = makeRecord(22, new Uint8Array([25, 0, 0, 9, 0, 1, 255, 255, 255, 0, 0, 1, 0]));
const HEARTBEAT = makeRecord(24, new Uint8Array([1, 64, 0, 1, 2, 3]));
const SSL2_HELLO = concat([new Uint8Array([128, 46, 1, 0, 2, 0, 21, 0, 0, 0, 16]), new Uint8Array(37).fill(5)]);
const HTTP = bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
/** Descriptions of alerts; 0 is close_notify, 90 user_canceled, 100 no_renegotiation, 255 none. */
const ALERTS = [
  0,
  10,
  20,
  21,
  22,
  30,
  40,
  42,
  46,
  47,
  48,
  50,
  51,
  70,
  71,
  80,
  86,
  90,
  100,
  109,
  110,
  112,
  116,
  120,
  255,
];
const LENGTHS = [0, 1, 2, 4, 16_384, 16_385, 16_640, 16_641, 18_432, 65_535];

/** A plain alert. */
function alert(dice: Dice): Uint8Array {
  return makeRecord(21, new Uint8Array([dice.pick([1, 2, 2, 0, 255]), dice.pick(ALERTS)]));
}

function changed(record: Uint8Array, at: number, value: number): Uint8Array {
  const copy = record.slice();
  if (at < copy.length) copy[at] = value;
  return copy;
}

function repeat(piece: Uint8Array, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => piece);
}

/** Where inside a record: its body mostly. */
function place(record: Uint8Array, dice: Dice): number {
  return dice.once(6) || record.length <= HEADER
    ? dice.below(record.length)
    : HEADER + dice.below(record.length - HEADER);
}

/** What a harm can look at, apart from the record. */
interface Past {
  /** The records that went before. */
  readonly records: Uint8Array[];
}

type Harm = (record: Uint8Array, dice: Dice, past: Past) => Piece[];

/** Each way to harm a record, by name. */
export const HARMS = {
  none: (record) => [record],
  "flip a bit": (record, dice) => {
    const at = place(record, dice);
    return [changed(record, at, record[at]! ^ (1 << dice.below(8)))];
  },
  "change a byte": (record, dice) => [changed(record, place(record, dice), dice.below(256))],
  "change many bytes": (record, dice) => {
    const copy = record.slice();
    for (let i = dice.below(20); i >= 0; i--) copy[place(record, dice)] = dice.below(256);
    return [copy];
  },
  "cut the end off": (record, dice) => [record.subarray(0, dice.below(record.length))],
  "cut the end off, with the right length": (record, dice) => [
    makeRecord(record[0]!, record.subarray(HEADER, HEADER + dice.below(record.length - HEADER + 1))),
  ],
  "cut the beginning off": (record, dice) => [record.subarray(dice.below(record.length))],
  double: (record) => [record, record],
  drop: () => [],
  "replay another": (record, dice, { records }) => [dice.pick([record, ...records]), record],
  "put an alert before": (record, dice) => [alert(dice), record],
  "put an alert behind": (record, dice) => [record, alert(dice)],
  "put alerts in its place": (record, dice) => [...repeat(alert(dice), 1 + dice.below(40)), record],
  "put garbage before": (record, dice) => [dice.garbage(1 + dice.below(200)), record],
  "put garbage behind": (record, dice) => [record, dice.garbage(1 + dice.below(dice.pick([8, 100, 5000, 40_000])))],
  "put garbage in its place": (_, dice) => [dice.garbage(1 + dice.below(3000))],
  "change the type": (record, dice) => [changed(record, 0, dice.pick([0, 20, 21, 22, 23, 24, 25, 128, 255]))],
  "change the version": (record, dice) => [changed(record, 1 + dice.below(2), dice.pick([0, 1, 2, 3, 4, 127, 255]))],
  "change the length": (record, dice) => {
    const length = dice.once(2) ? dice.pick(LENGTHS) : record.length - HEADER + dice.pick([-2, -1, 1, 2]);
    return [changed(changed(record, 3, (length >> 8) & 255), 4, length & 255)];
  },
  "change the handshake's type": (record, dice) => [
    changed(record, HEADER, dice.pick([0, 1, 2, 3, 4, 5, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 24, 25, 67, 254, 255])),
  ],
  "change the handshake's length": (record, dice) => [
    changed(record, HEADER + 1 + dice.below(3), dice.pick([0, 1, 64, 127, 255])),
  ],
  "make it long": (record, dice) => [
    makeRecord(record[0]!, concat([record.subarray(HEADER), dice.garbage(dice.pick([1, 100, 16_000, 18_000]))])),
  ],
  "make records of one byte each": (record) =>
    Array.from(record.subarray(HEADER), (byte) => makeRecord(record[0]!, new Uint8Array([byte]))),
  "make two records": (record, dice) => {
    const at = HEADER + dice.below(record.length - HEADER + 1);
    return [makeRecord(record[0]!, record.subarray(HEADER, at)), makeRecord(record[0]!, record.subarray(at))];
  },
  "put empty records before": (record, dice) => [
    ...repeat(makeRecord(dice.pick([20, 21, 22, 23]), new Uint8Array()), 1 + dice.below(100)),
    record,
  ],
  "put change_cipher_spec before": (record, dice) => [...repeat(CHANGE_CIPHER_SPEC, dice.pick([1, 2, 100])), record],
  "put hello_request before": (record, dice) => [...repeat(HELLO_REQUEST, dice.pick([1, 2, 100])), record],
  "put key_update before": (record, dice) => [...repeat(KEY_UPDATE, dice.pick([1, 2, 100])), record],
  "put finished before": (record) => [FINISHED, record],
  "put a compressed certificate before": (record) => [COMPRESSED_CERTIFICATE, record],
  "put a heartbeat before": (record) => [HEARTBEAT, record],
  "put data before": (record, dice) => [makeRecord(23, dice.garbage(dice.below(300))), record],
  "put data behind": (record, dice) => [record, makeRecord(23, dice.garbage(17 + dice.below(300)))],
  "put HTTP in its place": () => [HTTP],
  "put HTTP behind": (record) => [record, HTTP],
  "put SSLv2 in its place": () => [SSL2_HELLO],
  "end before": () => ["end"],
  "end behind": (record) => [record, "end"],
  "end within": (record, dice) => [record.subarray(0, 1 + dice.below(record.length)), "end"],
  "reset before": () => ["reset"],
  "reset behind": (record) => [record, "reset"],
  "reset within": (record, dice) => [record.subarray(0, 1 + dice.below(record.length)), "reset"],
  "alert, then end": (_, dice) => [alert(dice), "end"],
  "alert, then reset": (_, dice) => [alert(dice), "reset"],
  "garbage, then reset": (_, dice) => [dice.garbage(1 + dice.below(300)), "reset"],
} satisfies Record<string, Harm>;

/** The name of one. */
export type HarmName = keyof typeof HARMS | "swap with the next";

/** What is done, and to which record. */
export interface Tampering {
  at: number;
  harm: HarmName;
}

/** Does what it is told to the records that it is shown. */
export class Tamperer {
  #splitter = new RecordSplitter();
  #records: Uint8Array[] = [];
  #plan: readonly Tampering[];
  #dice: Dice;
  #held: Uint8Array | null = null;

  constructor(plan: readonly Tampering[], dice: Dice) {
    this.#plan = plan;
    this.#dice = dice;
  }

  /** How many records have come by. */
  get count(): number {
    return this.#records.length;
  }

  /** Takes what the genuine side says, and gives what the victim is told instead. */
  push(data: Uint8Array): Piece[] {
    return this.#splitter.push(data).flatMap((record) => this.#tamper(record));
  }

  #tamper(record: Uint8Array): Piece[] {
    const tampering = this.#plan.find(({ at }) => at === this.#records.length);
    let pieces: Piece[] = [record];
    if (tampering?.harm === "swap with the next" && this.#held === null) {
      this.#held = record;
      pieces = [];
    } else {
      if (tampering !== undefined && tampering.harm !== "swap with the next") {
        pieces = (HARMS[tampering.harm] as Harm)(record, this.#dice, { records: this.#records });
      }
      if (this.#held !== null) pieces = [...pieces, this.#held];
      this.#held = null;
    }
    this.#records.push(record);
    return pieces;
  }
}
