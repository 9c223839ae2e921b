import { assertEquals } from "../std.ts";
import { tempPath } from "../kit.ts";

/** Every option of TypeScript that makes it complain more, ours aside. */
const STRICTEST = {
  strict: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  erasableSyntaxOnly: true,
  exactOptionalPropertyTypes: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true,
};

const PROGRAM = `
import { BufferedProtocol, getRunningLoop, Protocol, type Server, type Transport } from "@tandem/io";
import { Protocol as SameProtocol } from "@tandem/io/protocols";
import type { Transport as SameTransport } from "@tandem/io/transports";
import { getRunningLoop as sameLoop } from "@tandem/io/loop";

class Upper extends BufferedProtocol {
  #transport!: Transport;
  #buffer = new Uint8Array(1024);
  override connectionMade(transport: Transport) {
    this.#transport = transport;
  }
  override getBuffer(): Uint8Array {
    return this.#buffer;
  }
  override bufferUpdated(nbytes: number) {
    const text = new TextDecoder().decode(this.#buffer.subarray(0, nbytes));
    this.#transport.write(new TextEncoder().encode(text.toUpperCase()));
  }
}

class Client extends Protocol {
  readonly answer = Promise.withResolvers<string>();
  override dataReceived(data: Uint8Array) {
    this.answer.resolve(new TextDecoder().decode(data));
  }
}

const loop = getRunningLoop();
const server: Server = await loop.createServer(() => new Upper(), { hostname: "127.0.0.1", port: 0 });
const [address] = server.addresses;
if (address?.transport !== "tcp") throw new Error("no TCP address");
// The factory's own type comes back.
const [transport, client]: [Transport, Client] = await loop.createConnection(() => new Client(), { port: address.port });
const same: SameTransport = transport;
same.write(new TextEncoder().encode("hello"));
// The keys of extra info have types.
const peer: Deno.Addr | null = transport.getExtraInfo("peername");
console.log(await client.answer.promise, peer?.transport, SameProtocol === Protocol, sameLoop() === loop);
transport.close();
server.close();
await server.waitClosed();
`;

Deno.test("a consumer's project type-checks under the strictest compiler options and runs", async () => {
  using temp = tempPath();
  const { directory } = temp;
  const here = (path: string) => new URL(`../../${path}`, import.meta.url).href;
  const imports = {
    "@tandem/io": here("mod.ts"),
    "@tandem/io/protocols": here("protocols/mod.ts"),
    "@tandem/io/transports": here("transports/mod.ts"),
    "@tandem/io/loop": here("loop/mod.ts"),
  };
  await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify({ imports, compilerOptions: STRICTEST }));
  await Deno.writeTextFile(`${directory}/main.ts`, PROGRAM);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--check", "--quiet", "--no-prompt", "--allow-net", "main.ts"],
    cwd: directory,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals([code, decoder.decode(stderr), decoder.decode(stdout)], [0, "", "HELLO tcp true true\n"]);
});
