// What the programs over TLS share: certificates, the answer, and a client's counting. JavaScript, for Node reads it, too.
import { readFileSync } from "node:fs";
import process from "node:process";

/** A small answer in HTTP, for wrk. */
export const HTTP_ANSWER = new TextEncoder().encode(
  `HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n${"x".repeat(1024)}`,
);

/** The certificates of the examples: the server's, its key, and who has signed it. */
export function readCertificates() {
  /** @param {string} name */
  const read = (name) => readFileSync(new URL(`../../examples/certs/${name}`, import.meta.url), "utf8");
  return { cert: read("server.pem"), key: read("server.key"), ca: read("ca.pem") };
}

/** What all connections of a client do: send a request, wait until as much has come back, and again. */
export class Exchanges {
  #count = 0;

  /** @param {number} size How long a request is. */
  constructor(size) {
    this.request = Uint8Array.from({ length: size }, (_, index) => index % 251);
  }

  /**
   * Makes the counter of one connection: told how many bytes have come, it tells whether the next request is due.
   *
   * @returns {(bytes: number) => boolean}
   */
  counter() {
    let awaited = this.request.length;
    return (bytes) => {
      awaited -= bytes;
      if (awaited > 0) return false;
      if (awaited < 0) throw new Error("more came back than was sent");
      awaited = this.request.length;
      this.#count++;
      return true;
    };
  }

  /**
   * Lets the time pass, of which the first fifth is warm-up.
   *
   * @param {number} seconds How long.
   * @returns {Promise<number>} Exchanges a second.
   */
  async measure(seconds) {
    await sleep(seconds * 200);
    this.#count = 0;
    const startedAt = performance.now();
    await sleep(seconds * 800);
    return this.#count / (performance.now() - startedAt) * 1000;
  }
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Is a client for some time, and prints what was reached.
 *
 * @param {string[]} args PORT CONNECTIONS SIZE SECONDS.
 * @param {(exchanges: Exchanges, port: number) => Promise<void> | void} call Makes one connection, and never ends it.
 */
export async function runClient([port, connections, size, seconds], call) {
  const exchanges = new Exchanges(Number(size));
  for (let i = 0; i < Number(connections); i++) {
    Promise.resolve(call(exchanges, Number(port))).catch((error) => {
      console.error(error);
      process.exit(1);
    });
  }
  console.log(`result ${await exchanges.measure(Number(seconds))}`);
  process.exit(0);
}
