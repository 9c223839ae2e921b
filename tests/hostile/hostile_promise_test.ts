/** Promises that callbacks return: whatever they are, a rejection is reported and ends nothing. */
import { assertEquals } from "../std.ts";
import { TlsContext } from "../../mod.ts";
import { isPromise, toPromise } from "../../promises.ts";
import { DISGUISES, SEALED } from "./kit.ts";
import { isOverEpoll } from "../engine.ts";
import { withEngine } from "../program.ts";
import { text } from "../kit.ts";
import { SECOND, SERVER, tlsRecorders } from "../tls/kit.ts";

function rejected(...callbacks: string[]): string[] {
  return callbacks.map((name) => `protocol.${name}() is async and rejected: hidden`);
}

const STREAM = ["connectionLost", "connectionMade", "dataReceived", "eofReceived", "pauseWriting", "resumeWriting"];

/** What each scenario of hostile_program.ts reports, sorted. */
const EXPECTED: Record<string, (disguise: string) => string[]> = {
  streams: () => rejected(...STREAM.flatMap((name) => [name, name])),
  buffers: () => [
    "Fatal error: protocol.getBuffer() call failed.: getBuffer(): the result must be a Uint8Array",
    ...rejected("bufferUpdated", "connectionLost", "connectionLost", "getBuffer"),
  ],
  datagrams: () => [
    ...rejected("connectionLost", "connectionMade", "datagramReceived", "errorReceived"),
    // Over epoll, sendto() sends at once.
    ...isOverEpoll() ? [] : rejected("pauseWriting", "resumeWriting"),
  ],
  processes: () =>
    rejected("connectionLost", "connectionMade", "pipeConnectionLost", "pipeDataReceived", "processExited"),
  factories: () => [
    ...Array(2).fill(
      "Exception in a server's protocol factory: createServer(): what factory returns must be a protocol",
    ),
    ...["connectReadPipe", "createConnection", "createDatagramEndpoint", "subprocessExec"].map((method) =>
      `rejects: TypeError: ${method}(): what factory returns must be a protocol`
    ),
  ],
  scheduling: () => Array(4).fill("Exception in callback count: hidden"),
  handlers: () => ["Exception in the exception handler", "something"],
  names: (disguise) => {
    const error = disguise in SEALED ? "the constructor of a promise cannot be replaced" : "hidden";
    return [`TLS handshake failed: ${error}`, "rejects: TlsError"];
  },
};

for (const [scenario, expected] of Object.entries(EXPECTED)) {
  Deno.test(`callbacks (${scenario}) that return a hostile promise are reported and end nothing`, async () => {
    const program = new URL("hostile_program.ts", import.meta.url).href;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...withEngine(["--no-config", "--quiet", "--unstable-net", "-A"]), program, scenario],
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(text(stderr), "");
    const [result, alive] = text(stdout).split("\n");
    assertEquals(alive, "alive");
    const disguises = [...Object.keys(DISGUISES), ...Object.keys(SEALED)];
    assertEquals(
      JSON.parse(result!),
      { [scenario]: Object.fromEntries(disguises.map((disguise) => [disguise, expected(disguise)])) },
    );
  });
}

Deno.test("toPromise() gives the value of a promise, whatever the promise does, and leaves the promise as it was", async () => {
  for (const [name, hide] of Object.entries(DISGUISES)) {
    const promise = hide(Promise.resolve("value"));
    const before = Object.getOwnPropertyDescriptors(promise);
    assertEquals(await toPromise(promise), "value", name);
    assertEquals(Object.getOwnPropertyDescriptors(promise), before, name);
  }
});

Deno.test("isPromise() knows promises, and takes no thenable for one", () => {
  for (const [name, hide] of Object.entries({ ...DISGUISES, ...SEALED })) {
    assertEquals(isPromise(hide(Promise.resolve())), true, name);
  }
  const throwing = new Proxy({}, {
    getPrototypeOf() {
      throw new Error("of the trap");
    },
  });
  for (const value of [undefined, null, 5, "text", {}, { then() {} }, () => {}, throwing]) {
    assertEquals(isPromise(value), false);
  }
});

Deno.test("sni may return a promise of any kind", async () => {
  const context = new TlsContext(SECOND);
  for (const [name, hide] of Object.entries(DISGUISES)) {
    await using pair = await tlsRecorders({
      serverTls: { ...SERVER, sni: () => hide(Promise.resolve(context)) as Promise<TlsContext> },
      clientTls: { serverHostname: "second.test" },
    });
    assertEquals(pair.clientSide.log.entries, ["connectionMade"], name);
  }
});
