/** Callbacks run in the AsyncLocalStorage context of the code that scheduled them, as asyncio's run in its Context. */
import { AsyncLocalStorage } from "node:async_hooks";
import { Protocol, type Transport } from "../../mod.ts";
import { bytes, EventLog, loop, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "../streams/kit.ts";
import { assertEquals } from "../std.ts";

const storage = new AsyncLocalStorage<string>();

/** Notes in which context it is called. */
class Contexts {
  readonly log = new EventLog();
  note = (what: string): void => this.log.add(`${what} in ${storage.getStore()}`);
}

Deno.test("callSoon(), callLater() and callAt() run each callback in the context of its caller", async () => {
  const contexts = new Contexts();
  for (const name of ["A", "B", "C"]) {
    storage.run(name, () => {
      loop.callSoon(contexts.note, `soon ${name}`);
      loop.callLater(2, contexts.note, `later ${name}`);
      loop.callAt(loop.time() + 2, contexts.note, `at ${name}`);
    });
  }
  await contexts.log.until(() => contexts.log.entries.length === 9);
  assertEquals(contexts.log.entries.slice(0, 3), ["soon A in A", "soon B in B", "soon C in C"]);
  assertEquals(
    contexts.log.entries.slice(3).map((entry) => entry.split(" ")[1] === entry.split(" ")[3]),
    new Array(6).fill(true),
  );
});

Deno.test("a callback that callSoon() runs schedules in its own context", async () => {
  const contexts = new Contexts();
  storage.run("A", () => void loop.callSoon(() => void loop.callSoon(contexts.note, "nested")));
  storage.run("B", () => void loop.callSoon(contexts.note, "other"));
  await contexts.log.until(() => contexts.log.entries.length === 2);
  assertEquals(contexts.log.entries, ["other in B", "nested in A"]);
});

Deno.test({
  name: "addSignalHandler() runs the callback in the context of its caller",
  ignore: Deno.build.os === "windows",
}, async () => {
  const contexts = new Contexts();
  const keepsAlive = loop.callLater(60_000, () => {});
  storage.run("A", () => loop.addSignalHandler("SIGUSR2", contexts.note, "signal"));
  for (const count of [1, 2]) {
    storage.run("B", () => Deno.kill(Deno.pid, "SIGUSR2"));
    await contexts.log.until(() => contexts.log.entries.length === count);
  }
  loop.removeSignalHandler("SIGUSR2");
  keepsAlive.cancel();
  assertEquals(contexts.log.entries, ["signal in A", "signal in A"]);
});

Deno.test("the callbacks of each connection run in the context that made it, never in another one's", async () => {
  const contexts = new Contexts();
  class Noting extends Protocol {
    readonly name: string;
    constructor(name: string) {
      super();
      this.name = name;
    }
    override connectionMade(transport: Transport) {
      contexts.note(`${this.name} made`);
      transport.write(bytes(this.name));
    }
    override dataReceived() {
      contexts.note(`${this.name} data`);
    }
    override connectionLost() {
      contexts.note(`${this.name} lost`);
    }
  }
  class Answering extends Protocol {
    #transport!: Transport;
    override connectionMade(transport: Transport) {
      this.#transport = transport;
    }
    override dataReceived(data: Uint8Array) {
      this.#transport.write(data);
      this.#transport.close();
    }
  }
  await using server = await loop.createServer(() => new Answering(), { hostname: "127.0.0.1", port: 0 });
  const { port } = server;
  await Promise.all(["A", "B", "C"].map((name) => {
    return storage.run(name, () => loop.createConnection(() => new Noting(name), { port }));
  }));
  await contexts.log.until(() => contexts.log.entries.length === 9);
  for (const entry of contexts.log.entries) assertEquals(entry[0], entry.at(-1), entry);
});

Deno.test("resumeWriting() runs in the context of the write that filled the buffer", async () => {
  const contexts = new Contexts();
  const handles = ["A", "B"].map((name) => {
    const handle = new FakeHandle();
    const transport = makeTransport({ resumeWriting: () => contexts.note(`${name} resumed`) }, handle);
    storage.run(name, () => transport.write(new Uint8Array(100_000)));
    return { handle, transport };
  });
  await microtasks();
  for (const { handle } of handles) await handle.take(100_000);
  assertEquals(contexts.log.entries, ["A resumed in A", "B resumed in B"]);
  for (const { transport } of handles) transport.abort();
  await turn();
});
