/** What OpenSSL is given in memory of JavaScript: none of it still has a secret when it has been used. */
import { TlsContext, type TlsOptions } from "../../mod.ts";
import { openLibssl } from "../../tls/openssl/libssl.ts";
import { assert, assertEquals } from "../std.ts";
import { bytes, portOf, Recorder } from "../kit.ts";
import { HOST, TRUSTING } from "./kit.ts";
import { makeCa } from "./openssl_ca.ts";
import { hasOpenssl, opensslLoop, opensslTest, replaceSsl } from "./openssl_kit.ts";

const ca = hasOpenssl ? await makeCa() : null;
if (ca !== null) globalThis.addEventListener("unload", () => ca[Symbol.dispose]());

/** Keeps each array that OpenSSL gets, and what the addresses in it lead to that are ours: the HMAC key of tickets. */
class Watch implements Disposable {
  readonly given = new Set<Uint8Array>();
  #lib = openLibssl();
  #real = { ...this.#lib };

  constructor() {
    for (const [name, real] of Object.entries(this.#real)) {
      const call = (...args: unknown[]) => {
        for (const arg of args) if (arg instanceof Uint8Array) this.given.add(arg);
        if (name === "EVP_MAC_CTX_set_params") this.given.add(this.#hmacKeyOf(args[1] as BigUint64Array));
        return (real as (...args: unknown[]) => unknown)(...args);
      };
      Object.assign(this.#lib, { [name]: call });
    }
  }

  /** Counts the arrays that have these bytes. */
  having(secret: Uint8Array): number {
    const text = secret.toHex();
    return [...this.given].filter((array) => array.toHex().includes(text)).length;
  }

  #hmacKeyOf(params: BigUint64Array): Uint8Array {
    const pointer = Deno.UnsafePointer.create(params[2]!);
    return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer!, Number(params[3])));
  }

  [Symbol.dispose](): void {
    Object.assign(this.#lib, this.#real);
  }
}

/** A part of a PEM, as it stands there. */
const partOf = (pem: string) => bytes(pem.split("\n")[1]!.slice(0, 40));

opensslTest("no array that OpenSSL gets has a key or a passphrase afterwards", async () => {
  await ca!.run("ec -in leaf.key -out locked.key -aes128 -passout pass:pass-secret");
  await ca!.run("pkcs12 -export -in leaf.pem -inkey leaf.key -out leaf.p12 -passout pass:pass-secret");
  const pfx = await Deno.readFile(ca!.path("leaf.p12"));
  const { cert, key } = ca!.identity("leaf");
  const given: TlsOptions[] = [
    { cert, key },
    { cert, key: ca!.read("locked.key"), passphrase: "pass-secret" },
    { pfx, passphrase: "pass-secret" },
    { cert, key: ca!.read("locked.key"), passphrase: "pass-secret-not" },
    { pfx, passphrase: "pass-secret-not" },
    { cert, key: key.replace("A", "B") },
    { cert: ca!.read("revoked.pem"), key },
  ];
  for (const options of given) {
    using watch = new Watch();
    const server = opensslLoop().createServer(() => ({}), { port: 0, tls: options, startServing: false });
    await server.then((server) => server.close(), () => {});
    assert(watch.given.size > 0);
    assertEquals(watch.having(bytes("pass-secret")), 0);
    if (options.key !== undefined) assertEquals(watch.having(partOf(options.key)), 0);
  }
});

opensslTest("a key is wiped also if OpenSSL has no memory to read it", async () => {
  const { cert, key } = ca!.identity("leaf");
  using watch = new Watch();
  using _bio = replaceSsl("BIO_new_mem_buf", (real, data, size) => {
    const isKey = new TextDecoder().decode(data as Uint8Array).includes("PRIVATE KEY");
    const pointer = real(data, size);
    if (isKey && pointer !== null) openLibssl().BIO_free(pointer);
    return isKey ? null : pointer;
  });
  await new TlsContext({ cert, key }).load().catch(() => {});
  await opensslLoop().createServer(() => ({}), { port: 0, tls: { cert, key, alpnProtocols: ["m"] } }).catch(() => {});
  assert(watch.given.size > 0);
  assertEquals(watch.having(partOf(key)), 0);
});

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  opensslTest(`the parts of ticket keys are wiped after each ticket with ${maxVersion}`, async () => {
    const keys = [0, 1].map(() => crypto.getRandomValues(new Uint8Array(80)));
    const loop = opensslLoop();
    using watch = new Watch();
    const tls = { ...ca!.identity("leaf"), maxVersion, sessionTickets: { keys } };
    const factory = () => {
      const protocol = new Recorder();
      return Object.assign(protocol, {
        connectionMade: (transport: Recorder["transport"]) => {
          protocol.transport = transport;
          transport.write(new Uint8Array(1));
        },
      });
    };
    await using server = await loop.createServer(factory, { hostname: HOST, port: 0, tls });
    const context = new TlsContext({ caCerts: [ca!.read("ca.pem")] });
    for (const reused of [false, true]) {
      const protocol = new Recorder();
      const options = {
        hostname: HOST,
        port: portOf(server),
        tls: { context, serverHostname: TRUSTING.serverHostname },
      };
      const [transport] = await loop.createConnection(() => protocol, options);
      await protocol.untilReceived(1);
      const { sessionReused } = transport.getExtraInfo("sslObject") as { sessionReused: boolean };
      assertEquals(sessionReused, reused);
      transport.close();
      await protocol.untilLost();
    }
    for (const key of keys) {
      // The keys themselves are in use; the first was given as it is.
      for (const array of watch.given) if (array.length === 80) watch.given.delete(array);
      assertEquals([watch.having(key.subarray(16, 48)), watch.having(key.subarray(48))], [0, 0]);
    }
  });
}
