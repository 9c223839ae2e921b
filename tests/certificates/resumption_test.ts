/** Clients that resume a session: what they showed to a laxer server of the process lets them into no other. */
import { existsSync } from "node:fs";
import { TlsContext, type TlsOptions } from "../../mod.ts";
import { execute, foreign } from "../program.ts";
import { captureExceptions, loop, portOf, tempPath } from "../kit.ts";
import { assertEquals, assertMatch } from "../std.ts";
import { authority, leaf, toPem } from "./certificate.ts";
import { type Chain, chain } from "./chain.ts";
import { clientChains } from "./chains.ts";
import { SERVER, Welcome } from "./client_verifiers.ts";
import { once } from "./once.ts";
import { forAll, rootsOf } from "./verifiers.ts";

const DAY = 86_400_000;

/** Bad ones that rustls lets in where rejectUnauthorized is false. */
const BAD = [
  "constraints: excluded itself",
  "constraints two above",
  "pathLen 1, two below",
  "a leaf for serverAuth",
  "below an authority that must not sign certificates",
  "below an authority with an unknown critical extension",
  "a leaf that has expired",
  "a leaf of an unknown root",
  "decoy of version 1, nameConstraints, issuer as a PrintableString",
];

const named = once(() => new Map(clientChains().map((chain) => [chain.name, chain])));

/** A client that dials with the session of the time before. */
class Client implements Disposable {
  #files = tempPath("session");
  #args = ["-ign_eof", "-sess_out", this.#files.path];

  constructor(chain: Chain) {
    const [own, ...rest] = chain.chain.map(toPem);
    this.#add("-cert", own!);
    this.#add("-key", chain.key.export({ type: "pkcs8", format: "pem" }) as string);
    if (rest.length > 0) this.#add("-cert_chain", rest.join(""));
  }

  #add(option: string, text: string): void {
    const path = `${this.#files.directory}/${option}`;
    Deno.writeTextFileSync(path, text);
    this.#args.push(option, path);
  }

  /** Tells whether the server said welcome. */
  async dial(port: number): Promise<boolean> {
    const resuming = existsSync(this.#files.path) ? ["-sess_in", this.#files.path] : [];
    const args = ["s_client", "-connect", `127.0.0.1:${port}`, ...this.#args, ...resuming];
    const { stdout, stderr } = await execute("openssl", args);
    assertMatch(stdout, /^(New|Reused), /m, stderr);
    return stdout.includes("welcome");
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}

/** A server that welcomes all it lets in. */
async function serve(tls: TlsOptions) {
  const server = await loop.createServer(() => new Welcome(), { hostname: "127.0.0.1", port: 0, tls });
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      server.close();
      server.abortClients();
      await server.waitClosed();
    },
  };
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const common = () => ({ ...SERVER(), maxVersion: version, requestCert: true });
  const test = (name: string, fn: () => Promise<void>) =>
    foreign("openssl", `requestCert ${name} over ${version}`, async () => {
      using _captured = captureExceptions();
      await fn();
    });

  test("refuses a bad chain that a laxer server let in, resumed", async () => {
    await using lax = await serve({ ...common(), rejectUnauthorized: false });
    const letIn: Record<string, boolean[]> = {};
    await forAll(BAD, async (name) => {
      const chain = named().get(name)!;
      await using strict = await serve({ ...common(), caCerts: rootsOf(chain) });
      using client = new Client(chain);
      letIn[name] = [await client.dial(lax.port), await client.dial(lax.port), await client.dial(strict.port)];
    });
    assertEquals(letIn, Object.fromEntries(BAD.map((name) => [name, [true, true, false]])));
  });

  test("refuses a client whose authority reload() has dropped, resumed", async () => {
    const [good, other] = [named().get("one between")!, named().get("RSA")!];
    const context = new TlsContext({ ...common(), caCerts: rootsOf(good) });
    await using server = await serve({ context });
    using client = new Client(good);
    assertEquals(await client.dial(server.port), true);
    assertEquals(await client.dial(server.port), true);
    await context.reload({ caCerts: rootsOf(other) });
    assertEquals(await client.dial(server.port), false);
  });

  test("refuses a client whose authority has expired since, resumed", async () => {
    const root = authority({ to: 1 });
    const good = chain("a root for today", "good", leaf(root), { roots: [root] });
    await using server = await serve({ ...common(), caCerts: rootsOf(good) });
    using client = new Client(good);
    assertEquals(await client.dial(server.port), true);
    const { now } = Date;
    Date.now = () => now() + 2 * DAY;
    try {
      assertEquals(await client.dial(server.port), false);
    } finally {
      Date.now = now;
    }
    assertEquals(await client.dial(server.port), true);
  });

  test("lets a good chain in, resumed or not", async () => {
    const between = named().get("one between")!;
    await using lax = await serve({ ...common(), rejectUnauthorized: false });
    await using strict = await serve({ ...common(), caCerts: rootsOf(between) });
    using client = new Client(between);
    for (const { port } of [strict, strict, lax, strict]) assertEquals(await client.dial(port), true);
  });
}
