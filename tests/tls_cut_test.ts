/** Ends of TLS: what was cut looks cut, and what was flushed arrives. */
import type { Transport } from "../mod.ts";
import { captureExceptions, Recorder } from "./kit.ts";
import { assert, assertEquals, assertInstanceOf } from "./std.ts";
import { connectTls, Echo, tlsRecorders } from "./tls_kit.ts";

/** More than the kernel holds for both sides. */
const MUCH = 30_000_000;

/** Aborts in one of its callbacks. */
class Aborting extends Recorder {
  #when: string;
  constructor(when: string) {
    super();
    this.#when = when;
  }
  #act(callback: string): void {
    if (callback === this.#when) this.transport.abort();
  }
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.#act("connectionMade");
  }
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.transport.write(new Uint8Array(1_000_000));
    this.#act("dataReceived");
  }
  override pauseWriting(): void {
    super.pauseWriting();
    this.#act("pauseWriting");
  }
  override resumeWriting(): void {
    super.resumeWriting();
    this.transport.write(new Uint8Array(1_000_000));
    this.#act("resumeWriting");
  }
}

for (const when of ["connectionMade", "pauseWriting", "resumeWriting", "dataReceived"]) {
  Deno.test(`abort() inside ${when} never looks like the end of the stream to a TLS peer`, async () => {
    using _captured = captureExceptions();
    await using pair = await connectTls(() => new Recorder(), () => new Aborting(when));
    // Behind the tickets of TLS 1.3: were they unread, the connection would be reset whatever abort() sends.
    pair.serverSide.transport.write(new Uint8Array(10));
    await pair.clientSide.untilLost();
    await pair.serverSide.untilLost();
    assertEquals(pair.clientSide.error, null);
    assertInstanceOf(pair.serverSide.error, Error);
    assertEquals(pair.serverSide.log.entries.includes("eofReceived"), false);
  });
}

for (const when of ["with nothing to send", "while close() flushes"]) {
  Deno.test(`abort() ${when} never looks like the end of the stream to a TLS peer`, async () => {
    await using pair = await tlsRecorders();
    if (when === "while close() flushes") {
      pair.serverSide.transport.pauseReading();
      pair.clientSide.transport.write(new Uint8Array(MUCH));
      pair.clientSide.transport.close();
    }
    pair.clientSide.transport.abort();
    await pair.clientSide.untilLost();
    pair.serverSide.transport.resumeReading();
    await pair.serverSide.untilLost();
    assertInstanceOf(pair.serverSide.error, Error);
    assert(pair.serverSide.received < MUCH);
  });
}

for (const native of [false, true]) {
  const engine = native ? "Deno's own TLS" : "TLS";
  Deno.test(`close() over ${engine} flushes 30 MB to an echo that waits for its answers to be taken`, async () => {
    await using pair = await connectTls(() => new Echo(), () => new Recorder(), { native });
    const startedAt = performance.now();
    pair.clientSide.transport.write(new Uint8Array(MUCH));
    pair.clientSide.transport.close();
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    assertEquals(pair.serverSide.received, MUCH);
    assertEquals([pair.clientSide.error, pair.serverSide.error], [null, null]);
    // shutdownTimeout is 30 s.
    assert(performance.now() - startedAt < 20_000);
  });

  Deno.test(`close() by both sides of ${engine} that have megabytes to send ends for both`, async () => {
    await using pair = await tlsRecorders({ native });
    for (const { transport } of [pair.clientSide, pair.serverSide]) transport.write(new Uint8Array(MUCH));
    for (const { transport } of [pair.clientSide, pair.serverSide]) transport.close();
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    assertEquals([pair.clientSide.error, pair.serverSide.error], [null, null]);
  });
}
