/** The genuine other side: node:tls over nothing but memory. What it says is a pattern of its case's own. */
import { Duplex } from "node:stream";
import nodeTls from "node:tls";
import { pattern } from "../kit.ts";
import { CA, CLIENT, SERVER } from "../tls/kit.ts";
import type { Case } from "./cases.ts";
import type { Dice } from "./dice.ts";

/** What tells the victim's own pattern from that of its peer. */
export const VICTIM = 100;

/** How to make one. */
export interface PeerOptions {
  serverSide: boolean;
  version: "TLSv1.2" | "TLSv1.3";
  /** Client: the name to ask for. */
  name: string;
  /** Client: shows its certificate if asked. Server: asks for one. */
  mutual: boolean;
  alpn: readonly string[];
  /** Tells its pattern from others. */
  tag: number;
  identity: Case["identity"];
}

/** Who is talked to. */
export interface OtherSide {
  /** How much it has said, and heard, in the clear. */
  readonly said: number;
  readonly heard: number;
  /** What it has heard is not what the victim has to say. */
  readonly misheard: boolean;
  /** Takes ciphertext. */
  receive(data: Uint8Array): void;
  /** Says the next bytes of its pattern. */
  say(length: number): void;
  /** Sends close_notify. */
  end(): void;
  destroy(): void;
}

const contexts = new Map<string, nodeTls.SecureContext>();

function contextOf({ serverSide, version, mutual, identity }: PeerOptions, dice: Dice): nodeTls.SecureContext {
  const key = `${serverSide} ${version} ${mutual} ${identity === "changed" ? dice.below(1e9) : identity}`;
  let context = contexts.get(key);
  if (context === undefined) {
    const shown = serverSide ? SERVER : mutual ? CLIENT : null;
    context = nodeTls.createSecureContext({
      ca: [CA],
      ...shown && { key: shown.key, cert: disguise(shown.cert, identity, dice) },
      minVersion: version,
      maxVersion: version,
    });
    if (identity !== "changed") contexts.set(key, context);
  }
  return context;
}

/** Makes of a certificate what a peer shows. */
function disguise(pem: string, identity: Case["identity"], dice: Dice): string {
  if (identity === "nonsense behind") return pem + toPem(dice.garbage(1 + dice.below(40)));
  if (identity === "many") return pem + CA.repeat(40);
  if (identity === "good") return pem;
  const der = Uint8Array.from(atob(pem.replace(/-----.*-----|\s/g, "")), (char) => char.charCodeAt(0));
  for (let i = dice.below(3); i >= 0; i--) der[dice.below(der.length)] = dice.below(256);
  return toPem(der);
}

function toPem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${btoa(String.fromCharCode(...der))}\n-----END CERTIFICATE-----\n`;
}

/** One side of a TLS connection that keeps to the rules. */
export class Peer implements OtherSide {
  /** How much it has said, and heard, in the clear. */
  said = 0;
  heard = 0;
  /** What it has heard is not what the victim has to say. */
  misheard = false;
  secure = false;
  ended = false;
  #tag: number;
  #wire: Duplex;
  #socket: nodeTls.TLSSocket;

  /**
   * @param options What to be.
   * @param dice Chooses what is changed.
   * @param send Takes its ciphertext.
   */
  constructor(options: PeerOptions, dice: Dice, send: (data: Uint8Array) => void) {
    this.#tag = options.tag;
    this.#wire = new Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        send(new Uint8Array(data));
        done();
      },
    });
    const common = {
      secureContext: contextOf(options, dice),
      rejectUnauthorized: false,
      ...options.alpn.length > 0 && { ALPNProtocols: [...options.alpn] },
    };
    this.#socket = options.serverSide
      ? new nodeTls.TLSSocket(this.#wire as never, { isServer: true, requestCert: options.mutual, ...common })
      : nodeTls.connect({ socket: this.#wire, host: options.name, servername: options.name, ...common });
    const onSecure = () => void (this.secure = true);
    this.#socket.on(options.serverSide ? "secure" : "secureConnect", onSecure);
    // All that may be wrong with what it is told is the victim's affair.
    this.#socket.on("error", () => {});
    this.#wire.on("error", () => {});
    this.#socket.on("data", (data: Uint8Array) => {
      const expected = pattern(data.length, this.#tag + VICTIM + 7 * (this.heard % 251));
      if (data.some((byte, i) => byte !== expected[i])) this.misheard = true;
      this.heard += data.length;
    });
    this.#socket.on("end", () => void (this.ended = true));
  }

  /** Takes ciphertext. */
  receive(data: Uint8Array): void {
    if (!this.#wire.destroyed) this.#wire.push(new Uint8Array(data));
  }

  /** Says the next bytes of its pattern. */
  say(length: number): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    const data = pattern(length, this.#tag + 7 * (this.said % 251));
    this.said += length;
    this.#socket.write(data);
  }

  /** Sends close_notify. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#wire.destroy();
  }
}
