/** The verifiers of what clients show: python3 and Tandem; OpenSSL does it as for servers. */
import { Protocol, type Transport } from "../../mod.ts";
import { bytes, captureExceptions, EventLog, loop, text } from "../kit.ts";
import { authority, leaf, toPem } from "./certificate.ts";
import type { Chain } from "./chain.ts";
import { bigEndian, raw } from "./der.ts";
import { once } from "./once.ts";
import { dial13 } from "./tls13.ts";
import { forAll, rootsOf, type Verdicts } from "./verifiers.ts";

/** Who the servers are; the clients do not look. */
export const SERVER = once(() => {
  const { der, keys } = leaf(authority());
  return { cert: toPem(der), key: keys.privateKey.export({ type: "pkcs8", format: "pem" }) as string };
});

/** Shows all chains to a server, which is told the number of each before TLS begins. */
async function showAll(chains: Chain[], port: number): Promise<Verdicts> {
  const verdicts: Verdicts = new Map();
  await forAll([...chains.entries()], async ([number, chain]) => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(raw(...bigEndian(number, 2)));
    verdicts.set(chain.name, await dial13(conn, chain));
  });
  return verdicts;
}

/** Says one word to a client that is let in. */
export class Welcome extends Protocol {
  readonly lost = Promise.withResolvers<void>();
  override connectionMade(transport: Transport): void {
    transport.write(bytes("welcome\n"));
    transport.close();
  }
  override connectionLost(): void {
    this.lost.resolve();
  }
}

/** A server of Tandem's that asks for a certificate. */
export async function askTandemServer(chains: Chain[]): Promise<Verdicts> {
  using _captured = captureExceptions();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serveOne = async (conn: Deno.Conn) => {
    const number = new Uint8Array(2);
    await conn.read(number);
    const caCerts = rootsOf(chains[number[0]! * 256 + number[1]!]!);
    const tls = { ...SERVER(), requestCert: true, caCerts };
    try {
      const [, protocol] = await loop.connectAcceptedSocket(() => new Welcome(), conn, { tls });
      await protocol.lost.promise;
    } catch {
      try {
        conn.close();
      } catch {
        // As it should be.
      }
    }
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const conn of listener) serving.push(serveOne(conn));
  })();
  const verdicts = await showAll(chains, listener.addr.port);
  listener.close();
  await accepting;
  await Promise.all(serving);
  return verdicts;
}

/** A server of python3's `ssl` with `CERT_REQUIRED`, which is OpenSSL's. */
export async function askPythonServer(chains: Chain[]): Promise<Verdicts> {
  const script = new URL("server.py", import.meta.url).pathname;
  const piped = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
  const child = new Deno.Command("python3", { args: [script], ...piped, signal: AbortSignal.timeout(120_000) }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(
    bytes(JSON.stringify({ ...SERVER(), roots: chains.map((chain) => rootsOf(chain).join("")) }) + "\n"),
  );
  const reader = child.stdout.getReader();
  const log = new EventLog();
  let output = "";
  const reading = (async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return log.add("ended");
      output += text(value);
      log.changed();
    }
  })();
  await log.until(() => output.includes("\n") || log.entries.length > 0);
  const verdicts = await showAll(chains, Number(output));
  // It serves until its input ends.
  await writer.close();
  await reading;
  await child.status;
  return verdicts;
}
