/** `tls.setDefaultCACertificates()` of `node:tls`, which changes a process: hence a file of its own. */
import tls from "node:tls";
import { TlsContext, TlsError } from "../../mod.ts";
import { captureExceptions, loop, portOf } from "../kit.ts";
import { assertEquals, assertRejects } from "../std.ts";
import { CA, HOST, SERVER, STRANGER } from "../tls/kit.ts";
import { authority, leaf, toPem } from "./certificate.ts";
import { type Chain, chain, rogue, root } from "./chain.ts";
import { ENCODINGS } from "./chains/encodings.ts";
import { ecKeys } from "./keys.ts";
import { once } from "./once.ts";
import { askTandem } from "./verifiers.ts";

// The types of Deno do not have it yet.
const { getCACertificates, setDefaultCACertificates } = tls as typeof tls & {
  setDefaultCACertificates(certificates: string[]): void;
};

const impostor = once(() => ({ ...rogue(), keys: ecKeys() }));
const old = once(() => authority({ version: null, extensions: null, keys: rogue().keys, subject: rogue().name }));

/** Chains that lead, by signatures or by names alone, to the one that is made a default. */
function rogues(): Chain[] {
  const odd = ["an odd true in keyUsage", "a long length", "bytes behind", "no version"];
  return [
    chain("signed by it", "bad", leaf(rogue())),
    chain("signed by it, and shown with it", "bad", leaf(rogue()), { rest: [rogue()] }),
    chain("signed by it, as version 1", "bad", leaf(rogue()), { rest: [old()] }),
    chain("that names it", "bad", leaf(impostor())),
    chain("that is it", "bad", rogue()),
    chain("that is it, with another key", "bad", rogue(), { key: () => ecKeys().privateKey }),
    ...odd.flatMap((encoding) => [
      chain(`signed by it with ${encoding}`, "bad", leaf(rogue(), ENCODINGS[encoding]!(false))),
      chain(`that names it with ${encoding}`, "bad", leaf(impostor(), ENCODINGS[encoding]!(false))),
      chain(
        `that names it with ${encoding}, and no authorities`,
        "bad",
        leaf(impostor(), ENCODINGS[encoding]!(false)),
        {
          roots: [],
        },
      ),
      chain(
        `that names one of caCerts with ${encoding}`,
        "bad",
        leaf({ ...root(), keys: ecKeys() }, ENCODINGS[encoding]!(false)),
      ),
    ]),
  ];
}

const good = once(() => [chain("direct", "good", leaf(root()))]);

for (
  const [what, certificates] of Object.entries({
    "to none": () => [],
    "to one that no client names": () => [toPem(rogue().der)],
    "to one of version 1": () => [toPem(old().der)],
  })
) {
  Deno.test(`createConnection() trusts caCerts alone when setDefaultCACertificates() was set ${what}`, async () => {
    const before = getCACertificates("default");
    setDefaultCACertificates(certificates());
    try {
      const verdicts = await askTandem(rogues());
      assertEquals([...verdicts].filter(([, why]) => why === "").map(([name]) => name), []);
      assertEquals(await askTandem(good()), new Map([["direct", ""]]));
    } finally {
      setDefaultCACertificates(before);
    }
  });
}

Deno.test("createConnection() trusts no new CA of setDefaultCACertificates(), with a context that is older either", async () => {
  const context = new TlsContext();
  await using server = await loop.createServer(() => ({}), { hostname: HOST, port: 0, tls: SERVER });
  using _expected = captureExceptions();
  const connect = () =>
    loop.createConnection(() => ({}), { port: portOf(server), tls: { context, serverHostname: "localhost" } });
  const before = getCACertificates("default");
  try {
    for (const certificates of [before, [CA], [], [CA, STRANGER]]) {
      setDefaultCACertificates(certificates);
      assertEquals((await assertRejects(connect, TlsError)).code, "UNKNOWN_ISSUER");
    }
  } finally {
    setDefaultCACertificates(before);
  }
});
