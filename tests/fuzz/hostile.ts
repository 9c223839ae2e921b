/** An other side that has keys of its own, and lies inside of the encryption, where no tampering on the way gets to. */
import { createPrivateKey, sign } from "node:crypto";
import { bytes, concat, pattern } from "../kit.ts";
import { CLIENT, SERVER } from "../tls/kit.ts";
import type { Dice } from "./dice.ts";
import { extension, makeClientHello, makeServerHello, readClientHello, readServerHello } from "./hello.ts";
import { type OtherSide, type PeerOptions, VICTIM } from "./peer.ts";
import { makeRecord, RecordSplitter } from "./records.ts";
import { Keys, message, numberOf, vector } from "./tls13.ts";

/** As much as a record may hold. */
const MAX_CONTENT = 16_384;

function derOf(pem: string): Uint8Array {
  return Uint8Array.from(atob(pem.replace(/-----[^-]*-----|\s/g, "")), (char) => char.charCodeAt(0));
}

/** One side of TLS 1.3. */
export class Hostile implements OtherSide {
  said = 0;
  heard = 0;
  misheard = false;
  #options: PeerOptions;
  #dice: Dice;
  #keys: Keys;
  #splitter = new RecordSplitter();
  #send: (data: Uint8Array) => void;
  /** Handshake bytes that are no whole message yet. */
  #partial: Uint8Array = new Uint8Array();
  /** The keys for data. */
  #next: Pick<Keys, "sending" | "receiving"> | null = null;
  #asked = false;
  #open = false;
  #over = false;
  /** It lies once at most in what must be right for anything else to be looked at. */
  #lies: number;

  constructor(options: PeerOptions, dice: Dice, send: (data: Uint8Array) => void) {
    this.#options = options;
    this.#dice = dice;
    this.#send = send;
    this.#keys = new Keys(options.serverSide);
    this.#lies = dice.below(3);
    if (!options.serverSide) queueMicrotask(() => this.#greet());
  }

  receive(data: Uint8Array): void {
    if (this.#over) return;
    for (const record of this.#splitter.push(data)) this.#take(record);
  }

  say(length: number): void {
    if (!this.#open || this.#over) return;
    const data = pattern(length, this.#options.tag + 7 * (this.said % 251));
    this.said += length;
    for (let at = 0; at < length; at += MAX_CONTENT) {
      if (this.#dice.once(3)) this.#interrupt();
      const padding = this.#dice.once(8) && length - at < 10_000 ? this.#dice.below(3000) : 0;
      this.#send(this.#keys.record(23, data.subarray(at, at + MAX_CONTENT), padding));
    }
  }

  end(): void {
    if (!this.#over && this.#open) this.#send(this.#keys.record(21, new Uint8Array([1, 0])));
    this.#over = true;
  }

  destroy(): void {
    this.#over = true;
  }

  #greet(): void {
    const hello = makeClientHello(this.#dice, this.#keys.share, this.#options.alpn.length > 0);
    this.#say([this.#lie([hello])].flat());
  }

  #take(record: Uint8Array): void {
    const type = record[0]!;
    if (type === 20) return;
    const { receiving } = this.#keys;
    const opened = receiving === null || type !== 23 ? { type, content: record.subarray(5) } : receiving.open(record);
    if (opened === null || opened.type === 21) {
      this.#over ||= opened !== null;
      return;
    }
    if (opened.type === 23) this.#hear(opened.content);
    else if (opened.type === 22) this.#read(opened.content);
  }

  #hear(data: Uint8Array): void {
    const expected = pattern(data.length, this.#options.tag + VICTIM + 7 * (this.heard % 251));
    if (data.some((byte, i) => byte !== expected[i])) this.misheard = true;
    this.heard += data.length;
  }

  #read(data: Uint8Array): void {
    let rest = concat([this.#partial, data]);
    while (rest.length >= 4) {
      const size = 4 + rest[1]! * 65_536 + rest[2]! * 256 + rest[3]!;
      if (rest.length < size) break;
      this.#answer(rest.slice(0, size));
      rest = rest.slice(size);
    }
    this.#partial = rest;
  }

  #answer(heard: Uint8Array): void {
    const [type] = heard;
    if (this.#open) {
      if (type === 24) this.#keys.receiving!.update();
      return;
    }
    if (this.#options.serverSide && type === 1) this.#serve(heard);
    else if (this.#options.serverSide && type === 20 && this.#next !== null) this.#begin();
    else if (!this.#options.serverSide) this.#dial(heard);
  }

  #serve(hello: Uint8Array): void {
    const { session, share, alpn } = readClientHello(hello);
    if (share === null) return;
    const keys = this.#keys;
    keys.heard(hello);
    this.#say([makeServerHello(this.#dice, session, keys.share)]);
    keys.agree(share);
    const once = (chance: number) => this.#dice.once(chance);
    const protocol = once(8) ? this.#dice.garbage(this.#dice.below(5)) : bytes("fuzz");
    const flight = [
      message(
        8,
        vector(
          2,
          ...alpn && !once(8) ? [extension(16, vector(2, vector(1, protocol)))] : [],
          ...once(15) ? [extension(this.#dice.below(60), this.#dice.garbage(this.#dice.below(20)))] : [],
        ),
      ),
    ];
    if (this.#options.mutual) {
      const algorithms = extension(13, vector(2, numberOf(0x0403, 2)));
      flight.push(message(13, vector(1), vector(2, algorithms)));
    }
    flight.push(this.#certificate(SERVER.cert, true));
    // Said one after the other, for each speaks of all before it.
    this.#say(this.#lie(flight));
    this.#say(this.#lie([this.#verify(SERVER.key)]));
    this.#say(this.#lie([keys.finished()]));
    this.#next = keys.advance();
    keys.sending = this.#next.sending;
    // A server may speak before it has heard all.
    if (once(4)) {
      this.#open = true;
      this.say(50);
      this.#open = false;
    }
  }

  /** The client's turn: what the server says up to its Finished, then what answers it. */
  #dial(heard: Uint8Array): void {
    const keys = this.#keys;
    const [type] = heard;
    keys.heard(heard);
    if (type === 2) {
      const { share } = readServerHello(heard);
      if (share !== null) keys.agree(share);
    }
    if (type === 13) this.#asked = true;
    if (type !== 20) return;
    this.#next = keys.advance();
    if (this.#asked) {
      this.#say(this.#lie([this.#certificate(CLIENT.cert, false)]));
      this.#say(this.#lie([this.#verify(CLIENT.key)]));
    }
    this.#say(this.#lie([keys.finished()]));
    this.#begin();
  }

  #begin(): void {
    this.#keys.sending = this.#next!.sending;
    this.#keys.receiving = this.#next!.receiving;
    this.#open = true;
  }

  #certificate(pem: string, withContext: boolean): Uint8Array {
    const dice = this.#dice;
    const own = derOf(pem);
    if (dice.once(6)) own[dice.below(own.length)] = dice.below(256);
    const more = dice.once(6) ? dice.pick([1, 3, 1000]) : 0;
    const entry = (der: Uint8Array, ...extensions: Uint8Array[]) => concat([vector(3, der), vector(2, ...extensions)]);
    const staple = dice.once(10) ? [extension(5, new Uint8Array([1]), vector(3, dice.garbage(30)))] : [];
    const entries = [entry(own, ...staple)];
    for (let i = 0; i < more; i++) entries.push(entry(dice.garbage(dice.below(40))));
    const context = dice.once(20) && withContext ? dice.garbage(4) : new Uint8Array();
    return message(11, vector(1, context), vector(3, ...dice.once(20) ? [] : entries));
  }

  #verify(key: string): Uint8Array {
    const who = this.#options.serverSide ? "server" : "client";
    const spaces = new Uint8Array(64).fill(32);
    const context = bytes(`TLS 1.3, ${who} CertificateVerify\0`);
    const signed = sign("sha256", concat([spaces, context, this.#keys.transcriptHash]), createPrivateKey(key));
    return message(15, numberOf(0x0403, 2), vector(2, new Uint8Array(signed)));
  }

  /** Says messages, in records of some size. */
  #say(messages: Uint8Array[]): void {
    this.#keys.heard(...messages);
    const whole = concat(messages);
    const size = this.#dice.once(6) ? 1 + this.#dice.below(60) : MAX_CONTENT;
    for (let at = 0; at < whole.length; at += size) {
      if (this.#dice.once(60)) this.#send(makeRecord(20, new Uint8Array([1])));
      this.#send(this.#keys.record(22, whole.subarray(at, at + size), this.#dice.once(20) ? 50 : 0));
    }
  }

  /** Changes messages, in a way of which the keys know: the other side's Finished is right all the same. */
  #lie(messages: Uint8Array[]): Uint8Array[] {
    const dice = this.#dice;
    if (this.#lies === 0 || !dice.once(6)) return messages;
    this.#lies--;
    const at = dice.below(messages.length);
    const [lie] = messages.slice(at, at + 1) as [Uint8Array];
    const copy = lie.slice();
    const others = () =>
      message(dice.pick([0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 22, 24, 25, 254]), dice.garbage(dice.below(80)));
    const changed = dice.pick<() => Uint8Array[]>([
      () => {
        for (let i = dice.below(3); i >= 0; i--) copy[dice.below(copy.length)] = dice.below(256);
        return [copy];
      },
      () => [message(lie[0]!, lie.subarray(4, 4 + dice.below(lie.length)))],
      () => [message(lie[0]!, lie.subarray(4), dice.garbage(1 + dice.below(50)))],
      () => [message(dice.below(30), lie.subarray(4))],
      () => [lie, lie],
      () => [],
      () => [others(), lie],
      () => [lie, others()],
      () => [message(lie[0]!)],
      () => [message(lie[0]!, new Uint8Array(dice.pick([10, 20_000, 70_000])))],
    ])();
    return [...messages.slice(0, at), ...changed, ...messages.slice(at + 1)];
  }

  /** Something between data that is allowed, or is not. */
  #interrupt(): void {
    const dice = this.#dice;
    const keys = this.#keys;
    const handshake = (content: Uint8Array) => this.#send(keys.record(22, content));
    const times = (act: () => void, count = dice.pick([1, 2, 30, 300])) => {
      for (let i = 0; i < count; i++) act();
    };
    const update = (request: number) => {
      handshake(message(24, new Uint8Array([request])));
      keys.sending!.update();
    };
    dice.pick<() => void>([
      () => times(() => update(0)),
      () => times(() => update(1)),
      () => update(2),
      () => handshake(message(24, new Uint8Array([1]))),
      () => times(() => this.#send(keys.record(23, new Uint8Array()))),
      () => times(() => this.#send(keys.record(23, new Uint8Array(), 500))),
      () => times(() => handshake(message(4, dice.garbage(13), vector(2, dice.garbage(40)), vector(2)))),
      () => handshake(message(4, new Uint8Array(8), vector(1), vector(2, dice.garbage(60_000)), vector(2))),
      () =>
        handshake(
          message(13, vector(1, new Uint8Array([1])), vector(2, extension(13, vector(2, numberOf(0x0403, 2))))),
        ),
      () => handshake(message(dice.below(30), dice.garbage(dice.below(100)))),
      () => handshake(message(4, dice.garbage(30)).subarray(0, 10)),
      () => times(() => this.#send(keys.record(21, new Uint8Array([1, 90])))),
      () => this.#send(keys.record(21, dice.garbage(2))),
      () => this.#send(keys.record(21, new Uint8Array([1, 0]))),
      () => this.#send(keys.record(dice.pick([0, 20, 24, 99]), dice.garbage(dice.below(30)))),
      () => this.#send(keys.record(22, new Uint8Array())),
      () => this.#send(keys.record(23, new Uint8Array(MAX_CONTENT + 1))),
      () => this.#send(makeRecord(20, new Uint8Array([1]))),
      () => this.#send(makeRecord(21, new Uint8Array([2, 80]))),
      () => this.#send(makeRecord(22, message(0))),
    ])();
  }
}
