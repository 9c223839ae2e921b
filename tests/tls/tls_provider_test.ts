/** The seam of TLS: a loop's engine may bring another TLS, which keeps all promises of streams. */
import { EventLoop, TlsContext } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { portOf, Recorder } from "../kit.ts";
import { assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { tcp } from "../scenarios/scenario.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { MemoryEngine } from "../../testing/mod.ts";
import { Echo, HOST } from "./kit.ts";
import { ToyProvider } from "./toy_provider.ts";

/** What the toy takes for a certificate; node:tls would not. */
const IDENTITY = { cert: "mine", key: "mine, too" };

const OPTIONS = { server: { tls: IDENTITY }, client: { tls: { serverHostname: "toy" } } };
streamScenarios(
  "a toy TLS over the memory engine",
  (clock) =>
    tcp(new EventLoop({ engine: Object.assign(new MemoryEngine(), { tls: new ToyProvider() }), clock }), OPTIONS),
  { halfCloses: false },
);

function makeLoop(): [EventLoop, ToyProvider] {
  const tls = new ToyProvider();
  return [new EventLoop({ engine: Object.assign(new DenoEngine(), { tls }) }), tls];
}

Deno.test("the TLS of a loop's engine makes its connections, and answers getExtraInfo()", async () => {
  const [loop, provider] = makeLoop();
  const server = await loop.createServer(() => new Echo(), { hostname: HOST, port: 0, tls: IDENTITY });
  await using _closing = server;
  assertEquals(provider.loaded, [[IDENTITY, undefined]]);
  const client = new Recorder();
  const tls = { serverHostname: "toy" };
  const [transport] = await loop.createConnection(() => client, { port: portOf(server), tls });
  transport.write(new Uint8Array([1, 2, 3]));
  await client.untilReceived(3);
  assertEquals(client.data, new Uint8Array([1, 2, 3]));
  assertEquals(transport.getExtraInfo("cipher"), { name: "TOY", version: "TOYv1", bits: 1 });
  assertEquals(transport.getExtraInfo("alpnProtocol"), "toy");
  transport.close();
  await client.untilLost();
  assertEquals(client.error, null);
  assertEquals(
    provider.opened.map(({ serverSide, serverHostname, settings, sni }) => [serverSide, serverHostname, settings, sni])
      .sort(),
    [[false, "toy", {}, undefined], [true, "", IDENTITY, undefined]],
  );
});

Deno.test("startTls() upgrades by the TLS of the loop's engine", async () => {
  const [loop, provider] = makeLoop();
  const accepted = Promise.withResolvers<Echo>();
  const server = await loop.createServer(() => {
    const protocol = new Echo();
    loop.callSoon(() => accepted.resolve(protocol));
    return protocol;
  }, { hostname: HOST, port: 0 });
  await using _closing = server;
  const client = new Recorder();
  const [plain] = await loop.createConnection(() => client, { port: portOf(server) });
  const echo = await accepted.promise;
  const [transport] = await Promise.all([
    loop.startTls(plain, client, { serverHostname: "toy" }),
    loop.startTls(echo.transport, echo, { ...IDENTITY, serverSide: true }).then((upgraded) =>
      echo.transport = upgraded
    ),
  ]);
  transport.write(new Uint8Array([4, 5]));
  await client.untilReceived(2);
  assertEquals(client.data, new Uint8Array([4, 5]));
  transport.close();
  await client.untilLost();
  assertEquals(provider.opened.length, 2);
});

Deno.test("sni gives the provider the options of the context that it returns, once they are loaded", async () => {
  const [loop, provider] = makeLoop();
  const other = new TlsContext({ cert: "other", key: "other" });
  const tls = { ...IDENTITY, sni: (name: string) => name === "other" ? other : null };
  const server = await loop.createServer(() => new Echo(), { hostname: HOST, port: 0, tls });
  await using _closing = server;
  const client = new Recorder();
  const options = { port: portOf(server), tls: { serverHostname: "toy" } };
  const [transport] = await loop.createConnection(() => client, options);
  const { sni } = provider.opened.find(({ serverSide }) => serverSide)!;
  assertEquals(await sni!("toy"), null);
  const chosen = await sni!("other");
  assertEquals(chosen, { cert: "other", key: "other" });
  assertStrictEquals(provider.loaded.at(-1)![0], chosen);
  transport.close();
  await client.untilLost();
});

Deno.test("reload() loads the new options in each TLS that uses the context, and changes nothing if one rejects", async () => {
  const [loop, provider] = makeLoop();
  const context = new TlsContext(IDENTITY);
  const server = await loop.createServer(() => new Echo(), { hostname: HOST, port: 0, tls: context });
  await using _closing = server;
  await context.reload({ key: "another" });
  const next = { cert: "mine", key: "another" };
  assertEquals(provider.loaded, [[IDENTITY, undefined], [next, IDENTITY]]);
  provider.error = new TypeError("no");
  await assertRejects(() => context.reload({ key: "a third" }), TypeError, "no");
  await assertRejects(() => context.load(), TypeError, "no");
  provider.error = null;
  await context.load();
  assertEquals(provider.loaded.at(-1), [next, undefined]);
});

Deno.test("createServer() rejects where the engine's TLS cannot parse a key, and listens to nothing", async () => {
  const [loop, provider] = makeLoop();
  provider.error = new TypeError("key: what is that?");
  const options = { hostname: HOST, port: 0, tls: IDENTITY };
  await assertRejects(() => loop.createServer(() => new Echo(), options), TypeError, "what is that?");
});
