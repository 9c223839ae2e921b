/** A TLS of no use but to show the seam: a hello from each side, bytes with all bits turned over, and a close_notify. */
import type { TlsEngine, TlsEngineSink, TlsProvider, TlsSession, TlsSettings, TlsSide } from "../../transports/mod.ts";
import { concat } from "../kit.ts";

const HELLO = 1;
const DATA = 2;
const CLOSE_NOTIFY = 3;
/** The kind of a record, and its length. */
const HEADER = 5;

class ToyTlsEngine implements TlsEngine {
  readonly sslObject = this;
  #sink: TlsEngineSink;
  #received: Uint8Array<ArrayBuffer> = new Uint8Array();

  constructor(sink: TlsEngineSink) {
    this.#sink = sink;
  }

  start(): void {
    this.#sink.ciphertext(record(HELLO));
  }

  decrypt(data: Uint8Array): Uint8Array | null {
    this.#received = concat([this.#received, data]);
    const cleartext: Uint8Array[] = [];
    while (this.#received.length >= HEADER) {
      const end = HEADER + new DataView(this.#received.buffer, this.#received.byteOffset).getUint32(1);
      if (this.#received.length < end) break;
      if (this.#received[0] === HELLO) this.#sink.ready();
      if (this.#received[0] === DATA) cleartext.push(turnOver(this.#received.slice(HEADER, end)));
      if (this.#received[0] === CLOSE_NOTIFY) this.#sink.ended();
      this.#received = this.#received.subarray(end);
    }
    return cleartext.length === 0 ? null : concat(cleartext);
  }

  encrypt(data: Uint8Array): Uint8Array {
    return record(DATA, turnOver(data));
  }

  closeNotify(): void {
    this.#sink.ciphertext(record(CLOSE_NOTIFY));
  }

  session(): TlsSession {
    return { cipher: { name: "TOY", version: "TOYv1", bits: 1 }, peercert: null, alpnProtocol: "toy" };
  }

  destroy(): void {}
}

function turnOver(data: Uint8Array): Uint8Array {
  return data.map((byte) => byte ^ 0xff);
}

function record(kind: number, data: Uint8Array = new Uint8Array()): Uint8Array {
  const header = new DataView(new ArrayBuffer(HEADER));
  header.setUint8(0, kind);
  header.setUint32(1, data.length);
  return concat([new Uint8Array(header.buffer), data]);
}

/** Records what it is asked for. */
export class ToyProvider implements TlsProvider {
  readonly name = "toy";
  readonly loaded: [settings: TlsSettings, former: TlsSettings | undefined][] = [];
  readonly opened: TlsSide[] = [];
  /** What `load` rejects with. */
  error: Error | null = null;

  load(settings: TlsSettings, former?: TlsSettings): Promise<void> {
    if (this.error !== null) return Promise.reject(this.error);
    this.loaded.push([settings, former]);
    return Promise.resolve();
  }

  open(sink: TlsEngineSink, side: TlsSide): TlsEngine {
    this.opened.push(side);
    return new ToyTlsEngine(sink);
  }
}
