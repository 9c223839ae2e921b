/** What is left of a connection over OpenSSL: nothing, however it ends. `deno task soak` does it ten thousand times. */
import { TlsError } from "../../mod.ts";
import { openLibssl } from "../../tls/openssl/libssl.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { CA, CLIENT, HOST, STRANGER, TRUSTING } from "./kit.ts";
import { Endings, Ledger, NAMES } from "./openssl_endings.ts";
import { opensslTest } from "./openssl_kit.ts";

const ROUNDS = 24;

for (const name of NAMES) {
  opensslTest(`nothing in OpenSSL's memory is left of connections, and none is freed twice: ${name}`, async () => {
    // What all connections share is made once.
    await using first = await Endings.start();
    await first.run("complete", 0);
    await first.settle();
    using ledger = new Ledger();
    {
      await using endings = await Endings.start();
      for (let round = 0; round < ROUNDS; round += 4) {
        await Promise.all([0, 1, 2, 3].map((i) => endings.run(name, round + i)));
        assertEquals(openLibssl().ERR_get_error(), 0n);
      }
      await endings.settle();
    }
    // A server makes nothing before the whole ClientHello is there.
    if (name === "half a ClientHello") assertEquals(ledger.made, 0);
    else assert(ledger.made >= ROUNDS / 2);
    assertEquals([ledger.left, ledger.faults], [0, []]);
  });
}

/** Leaves an error in OpenSSL's queue, as a connection does that does not clear it. */
function leaveError(): void {
  const lib = openLibssl();
  const garbage = new Uint8Array([45, 45, 45]);
  const bio = lib.BIO_new_mem_buf(garbage, garbage.length);
  assertEquals(lib.PEM_read_bio_X509(bio, null, null, new Uint8Array(1)), null);
  lib.BIO_free(bio);
}

/** Leaves errors in each turn of a loop until the scope is left. */
function leaveErrors({ loop }: Endings): Disposable {
  let isOver = false;
  const again = () => {
    if (isOver) return;
    leaveError();
    loop.callSoon(again);
  };
  again();
  return {
    [Symbol.dispose]() {
      isOver = true;
      openLibssl().ERR_clear_error();
    },
  };
}

/** Passes one connection on to a port in pieces, so that reads end in the middle of records. */
function relay(port: number) {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const pump = async (from: Deno.Conn, to: Deno.Conn) => {
    const memory = new Uint8Array(5000);
    for (let count = await from.read(memory); count !== null; count = await from.read(memory)) {
      for (let at = 0; at < count;) at += await to.write(memory.subarray(at, Math.min(count, at + 1900)));
    }
    await to.closeWrite();
  };
  const done = (async () => {
    using near = await listener.accept();
    using far = await Deno.connect({ hostname: HOST, port });
    near.setNoDelay();
    far.setNoDelay();
    await Promise.allSettled([pump(near, far), pump(far, near)]);
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  opensslTest(`an error that is left in OpenSSL's queue does not show up in a connection, ${maxVersion}`, async () => {
    await using endings = await Endings.start();
    using _errors = leaveErrors(endings);
    const tls = { ...TRUSTING, maxVersion };
    for (const [to, client] of [["echo", tls], ["mutual", { ...tls, ...CLIENT }]] as const) {
      await using between = relay(endings.portOf(to));
      const { transport, side } = await endings.dial(to, client, { port: between.port });
      side.onData = leaveError;
      for (const size of [1, 20_000, 300_000]) {
        side.expect(size);
        leaveError();
        transport.write(new Uint8Array(size));
        leaveError();
        await side.received.promise;
      }
      leaveError();
      transport.close();
      assertEquals(await side.lost.promise, null);
    }
    const wrong = [{ ...tls, caCerts: [STRANGER] }, { ...tls, serverHostname: "other.test" }];
    const codes: string[] = [];
    for (const each of wrong) codes.push((await assertRejects(() => endings.dial("echo", each), TlsError)).code);
    assertEquals(codes, ["UNKNOWN_ISSUER", "WRONG_NAME"]);
    await endings.settle();
    assertEquals(endings.errors.map(({ code }) => code), ["ALERT", "ALERT"]);
  });
}

opensslTest("connections that fail in every way do not disturb others that go on meanwhile", async () => {
  await using endings = await Endings.start();
  const { transport, side } = await endings.dial("echo", { ...TRUSTING, caCerts: [CA] });
  for (const [i, name] of NAMES.entries()) {
    const size = 10_000 + i;
    side.expect(size);
    transport.write(new Uint8Array(size));
    await Promise.all([side.received.promise, ...[0, 1, 2, 3].map((round) => endings.run(name, round))]);
  }
  transport.close();
  assertEquals(await side.lost.promise, null);
  await endings.settle();
});
