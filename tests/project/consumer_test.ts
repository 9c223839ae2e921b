/** Types and documentation, as a project that depends on the package sees them. */
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

/** What is given to a callback has an ArrayBuffer; what is given to a transport may have any, and so may an override. */
const BYTES = `
import { DatagramProtocol, Protocol, SubprocessProtocol, type StreamCallbacks, type Transport } from "@tandem/io";

export const literal: StreamCallbacks = {
  dataReceived(data) {
    new Blob([data]);
  },
};
export class Narrow extends Protocol {
  override dataReceived(data: Uint8Array<ArrayBuffer>) {
    void [new Blob([data]), new Response(data), crypto.subtle.digest("SHA-256", data)];
  }
}
export class Wide extends Protocol {
  override dataReceived(data: Uint8Array) {
    this.transport.write(data);
    this.transport.write(new Uint8Array(new SharedArrayBuffer(8)));
  }
  declare transport: Transport;
}
export class WideDatagrams extends DatagramProtocol {
  override datagramReceived(_data: Uint8Array, _addr: Deno.Addr) {}
}
export class NarrowDatagrams extends DatagramProtocol {
  override datagramReceived(data: Uint8Array<ArrayBuffer>) {
    void new Blob([data]);
  }
}
export class WideChild extends SubprocessProtocol {
  override pipeDataReceived(_fd: number, _data: Uint8Array) {}
}
export class NarrowChild extends SubprocessProtocol {
  override pipeDataReceived(_fd: number, data: Uint8Array<ArrayBuffer>) {
    void new Blob([data]);
  }
}
`;

/** Runs deno on a program of a project that depends on the package. */
async function deno(args: string[], program: string): Promise<[code: number, stderr: string, stdout: string]> {
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
  await Deno.writeTextFile(`${directory}/main.ts`, program);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "main.ts"],
    cwd: directory,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stderr), decoder.decode(stdout)];
}

Deno.test("a consumer's project type-checks under the strictest compiler options and runs", async () => {
  const result = await deno(["run", "--check", "--quiet", "--no-prompt", "--allow-net"], PROGRAM);
  assertEquals(result, [0, "", "HELLO tcp true true\n"]);
});

Deno.test("bytes of a callback go to Blob, Response and crypto.subtle, and an override may take any Uint8Array", async () => {
  assertEquals(await deno(["check", "--quiet"], BYTES), [0, "", ""]);
});

Deno.test("deno doc prints no {@inheritDoc}: it would stand there as it is", async () => {
  for (const file of ["mod.ts", "protocols/mod.ts", "transports/mod.ts", "loop/mod.ts"]) {
    const path = new URL(`../../${file}`, import.meta.url).pathname;
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["doc", "--json", path] }).output();
    assertEquals(new TextDecoder().decode(stdout).includes("inheritDoc"), false, file);
  }
});
