/** The verifiers of chains: OpenSSL, python3, Deno's own TLS, and Tandem. */
import { bytes, loop, Recorder, text, turn } from "../kit.ts";
import { bigEndian, raw } from "./der.ts";
import { toPem } from "./certificate.ts";
import type { Chain } from "./chain.ts";
import { isLeaving, serve13 } from "./tls13.ts";

/** Why a chain was refused, by its name; `""` where it was accepted. */
export type Verdicts = Map<string, string>;

/** How many handshakes are under way at once. */
const AT_ONCE = 8;

/** What a checker trusts, PEM. */
export function rootsOf({ roots }: Chain): string[] {
  return roots.map(toPem);
}

/** An address of either version. */
function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}

/** Runs a program to its end. */
export async function run(program: string, args: string[], input: string): Promise<{ stdout: string; stderr: string }> {
  const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(program, { args, ...piped, signal: AbortSignal.timeout(120_000) }).spawn();
  const writer = child.stdin.getWriter();
  const [{ stdout, stderr }] = await Promise.all([
    child.output(),
    writer.write(bytes(input)).then(() => writer.close()),
  ]);
  return { stdout: text(stdout), stderr: text(stderr) };
}

/** Does the same with each, a few at a time. */
export async function forAll<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const item of left) await work(item);
  }));
}

/** A server that shows whichever chain it is asked for by number. */
export interface ChainServer extends AsyncDisposable {
  port: number;
  /** Dials it, and asks for a chain. */
  dial(number: number): Promise<Deno.Conn>;
}

export function serveChains(chains: Chain[]): ChainServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const serveOne = async (conn: Deno.Conn) => {
    const number = new Uint8Array(2);
    try {
      if (await conn.read(number) === null) return;
      await serve13(conn, chains[number[0]! * 256 + number[1]!]!);
    } catch (error) {
      if (!isLeaving(error)) throw error;
    } finally {
      conn.close();
    }
  };
  const accepting = (async () => {
    const serving: Promise<void>[] = [];
    for await (const conn of listener) serving.push(serveOne(conn));
    await Promise.all(serving);
  })();
  return {
    port,
    async dial(number) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(raw(...bigEndian(number, 2)));
      return conn;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
    },
  };
}

/** Asks a client of TLS about all chains. */
async function askClient(
  chains: Chain[],
  ask: (conn: Deno.Conn, chain: Chain) => Promise<void>,
): Promise<Verdicts> {
  await using server = serveChains(chains);
  const verdicts: Verdicts = new Map();
  await forAll([...chains.entries()], async ([number, chain]) => {
    const conn = await server.dial(number);
    try {
      await ask(conn, chain);
      verdicts.set(chain.name, "");
    } catch (error) {
      verdicts.set(chain.name, String(error));
    }
  });
  return verdicts;
}

/** Deno's own TLS as a client. */
export function askDeno(chains: Chain[]): Promise<Verdicts> {
  return askClient(chains, async (plain, chain) => {
    let conn = plain;
    try {
      const secure = await Deno.startTls(plain as Deno.TcpConn, { hostname: chain.host, caCerts: rootsOf(chain) });
      conn = secure;
      await secure.handshake();
    } finally {
      try {
        conn.close();
      } catch {
        // startTls() has taken it, and failed.
      }
    }
  });
}

/** Tandem as a client. */
export function askTandem(chains: Chain[]): Promise<Verdicts> {
  return askClient(chains, async (conn, chain) => {
    const tls = { caCerts: rootsOf(chain), serverHostname: chain.host };
    try {
      const [transport, protocol] = await loop.createConnection(() => new Recorder(), { conn, tls });
      transport.abort();
      await protocol.untilLost();
      await turn();
    } catch (error) {
      try {
        conn.close();
      } catch {
        // As it should be.
      }
      throw error;
    }
  });
}

/** The client of python3's `ssl`, which is OpenSSL's. */
export async function askPython(chains: Chain[]): Promise<Verdicts> {
  await using server = serveChains(chains);
  const cases = chains.map((chain) => ({ host: chain.host, roots: rootsOf(chain).join("") }));
  const script = new URL("client.py", import.meta.url).pathname;
  const { stdout, stderr } = await run("python3", [script], JSON.stringify({ port: server.port, cases }));
  if (stderr !== "") throw new Error(stderr);
  const answers = JSON.parse(stdout) as string[];
  return new Map(chains.map(({ name }, i) => [name, answers[i]!]));
}

/** What `openssl verify` says, with and without `-x509_strict`. */
export async function askOpenssl(
  chains: Chain[],
  purpose: "sslserver" | "sslclient",
): Promise<{ usual: Verdicts; strict: Verdicts }> {
  const directory = await Deno.makeTempDir();
  const usual: Verdicts = new Map();
  const strict: Verdicts = new Map();
  try {
    const lines = await Promise.all(chains.map(async (chain, number) => {
      const [own, ...rest] = chain.chain.map(toPem);
      const write = (name: string, text: string) => Deno.writeTextFile(`${directory}/${number}.${name}`, text);
      await write("roots", rootsOf(chain).join(""));
      await write("own", own ?? "");
      if (rest.length > 0) await write("rest", rest.join(""));
      const host = `-verify_${isAddress(chain.host) ? "ip" : "hostname"} '${chain.host}'`;
      const options = [
        `-no-CApath -no-CAstore -CAfile ${number}.roots -purpose ${purpose}`,
        rest.length > 0 ? `-untrusted ${number}.rest` : "",
        purpose === "sslserver" ? host : "",
      ].join(" ");
      return ["", "-x509_strict"].map((strict) =>
        `openssl verify ${options} ${strict} ${number}.own 2>&1; echo "@${number} ${strict} $?"`
      ).join("\n");
    }));
    const half = Math.ceil(lines.length / 2);
    await Promise.all([lines.slice(0, half), lines.slice(half)].map(async (part) => {
      const { stdout } = await run("sh", [], `cd ${directory}\n${part.join("\n")}\n`);
      for (const [, text, number, flag, code] of stdout.matchAll(/([^]*?)@(\d+) (\S*) (\d+)\n/g)) {
        const why = (/error \d[^\n]*/.exec(text!) ?? /[^\n]+/.exec(text!))?.[0];
        (flag === "" ? usual : strict).set(chains[Number(number)]!.name, code === "0" ? "" : why ?? "refused");
      }
    }));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return { usual, strict };
}
