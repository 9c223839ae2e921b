/** What a server promises, whatever accepts its connections: rule 14, and the methods of `Server`. */
import { InvalidStateError, Protocol, type Server, type StreamCallbacks, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "../std.ts";
import { assertStrictEquals, assertThrows } from "../std.ts";
import { assertBytes, bytes, EventLog, pattern, Recorder } from "../kit.ts";
import { type MakeSetup, type Medium, Scenarios, type StreamTraits } from "./scenario.ts";

class Echo extends Protocol {
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.#transport.write(data);
  }
}

class Greeter extends Protocol {
  override connectionMade(transport: Transport): void {
    transport.write(bytes("hello"));
    transport.close();
  }
}

/** Sends a word to an echo server and gives back what returns. */
async function echo(medium: Medium, server: Server, word: string): Promise<string> {
  const [transport, client] = await medium.dial(server, () => new Recorder());
  transport.write(bytes(word));
  await client.untilReceived(word.length);
  transport.close();
  await client.untilLost();
  return client.text;
}

/** What a server says to a client that says nothing. */
async function greeting(medium: Medium, server: Server): Promise<string> {
  const [, client] = await medium.dial(server, () => new Recorder());
  await client.untilLost();
  return client.text;
}

const servers = new Scenarios();

servers.add("createServer() with startServing: false accepts no connection until startServing()", async (medium) => {
  const log = new EventLog();
  const factory = () => {
    log.add("factory");
    return new Echo();
  };
  await using server = await medium.serve(factory, { startServing: false });
  assertEquals(server.isServing(), false);
  const echoing = echo(medium, server, "waiting");
  for (let i = 0; i < 10; i++) await medium.turn();
  assertEquals(log.entries, []);
  server.startServing();
  server.startServing();
  assertEquals(server.isServing(), true);
  assertEquals(await echoing, "waiting");
  assertEquals(log.entries, ["factory"]);
});

servers.add("createServer() with startServing: false closes without ever having served", async (medium) => {
  const server = await medium.serve(() => new Echo(), { startServing: false });
  server.close();
  assertEquals(server.isServing(), false);
  await server.waitClosed();
  assertThrows(() => server.startServing(), InvalidStateError, "closed");
  await assertRejects(() => server.serveForever(), InvalidStateError, "closed");
});

servers.add("a server serves many clients at once, each with a protocol of its own", async (medium) => {
  const protocols = new Set<Recorder>();
  class Own extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.write(data);
    }
  }
  await using server = await medium.serve(() => {
    const protocol = new Own();
    protocols.add(protocol);
    return protocol;
  });
  const words = Array.from({ length: 20 }, (_, i) => `client ${i}`);
  assertEquals(await Promise.all(words.map((word) => echo(medium, server, word))), words);
  assertEquals([...protocols].map(({ text }) => text).sort(), words.sort());
});

servers.add(
  "Server.serveForever() starts serving, and resolves when the signal or close() closes the server",
  async (medium) => {
    for (const how of ["signal", "close"] as const) {
      const controller = new AbortController();
      const server = await medium.serve(() => new Echo(), { startServing: false });
      let over = false;
      const forever = server.serveForever({ signal: controller.signal }).then(() => over = true);
      assertEquals(server.isServing(), true);
      await assertRejects(() => server.serveForever(), InvalidStateError, "already running");
      assertEquals(await echo(medium, server, how), how);
      assertEquals(over, false);
      if (how === "signal") controller.abort();
      else server.close();
      assertEquals(server.isServing(), false);
      await forever;
      controller.abort();
      await server.waitClosed();
    }
  },
);

servers.add("Server.serveForever() with a signal that is aborted already closes the server", async (medium) => {
  const server = await medium.serve(() => new Echo(), { startServing: false });
  await server.serveForever({ signal: AbortSignal.abort() });
  assertEquals(server.isServing(), false);
  await server.waitClosed();
});

servers.add("Server.serveForever() that has ended leaves connections alone", async (medium) => {
  const controller = new AbortController();
  await using pair = await medium.connect(() => new Echo(), () => new Recorder());
  const forever = pair.server.serveForever({ signal: controller.signal });
  controller.abort();
  await forever;
  pair.clientTransport.write(bytes("still here"));
  await pair.clientSide.untilReceived(10);
  assertEquals(pair.clientSide.text, "still here");
});

servers.add("Server.close() stops accepting, leaves connections alone and is idempotent", async (medium) => {
  await using pair = await medium.connect(() => new Echo(), () => new Recorder());
  const { server } = pair;
  const addresses = [...server.addresses];
  assertEquals(server.isServing(), true);
  server.close();
  server.close();
  assertEquals(server.isServing(), false);
  assertEquals(server.addresses, addresses);
  // A listener may let go of its address only when its pending accept has been called off.
  await medium.turn();
  let made = 0;
  await assertRejects(() => medium.dial(server, () => (made++, new Recorder())), Error);
  assertEquals(made, 0);
  pair.clientTransport.write(bytes("still here"));
  await pair.clientSide.untilReceived(10);
  assertEquals(pair.clientSide.text, "still here");
});

servers.add("Server.closeClients() closes every connection after its buffer is flushed", async (medium) => {
  const recorders: Recorder[] = [];
  const factory = () => {
    const recorder = new Recorder();
    recorders.push(recorder);
    return recorder;
  };
  await using server = await medium.serve(factory);
  const clients: Recorder[] = [];
  for (let i = 0; i < 3; i++) clients.push((await medium.dial(server, () => new Recorder()))[1]);
  while (recorders.length < 3) await medium.turn();
  for (const { transport } of clients) transport.pauseReading();
  for (const { transport } of recorders) transport.write(pattern(medium.much));
  server.closeClients();
  assertEquals(recorders.map(({ transport }) => transport.isClosing()), [true, true, true]);
  for (const { transport } of clients) transport.resumeReading();
  for (const client of clients) {
    await client.untilLost();
    assertBytes(client.data, pattern(medium.much));
  }
  for (const recorder of recorders) {
    await recorder.untilLost();
    assertEquals(recorder.log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
  }
  assertEquals(server.isServing(), true);
});

servers.add("Server.abortClients() closes every connection at once", async (medium) => {
  await using pair = await medium.recorders();
  const { server, serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.write(pattern(medium.much));
  server.abortClients();
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  assertEquals(server.isServing(), true);
});

servers.add("Server.waitClosed() waits for close() and for the last connection", async (medium) => {
  await using pair = await medium.recorders();
  const { server, serverSide } = pair;
  const log = new EventLog();
  serverSide.connectionLost = () => log.add("connectionLost");
  const waiting = [server.waitClosed(), server.waitClosed()].map((wait) => wait.then(() => log.add("waited")));
  await medium.turn();
  server.close();
  await medium.turn();
  assertEquals(log.entries, []);
  pair.clientTransport.close();
  await Promise.all(waiting);
  assertEquals(log.entries, ["connectionLost", "waited", "waited"]);
  await server.waitClosed();
});

servers.add("Server.waitClosed() does not resolve when the last connection goes before close()", async (medium) => {
  await using pair = await medium.recorders();
  let over = false;
  const waiting = pair.server.waitClosed().then(() => over = true);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  await medium.turn();
  assertEquals(over, false);
  pair.server.close();
  await waiting;
});

servers.add("a server that is disposed of closes its connections and waits for their end", async (medium) => {
  const recorder = new Recorder();
  const client = new Recorder();
  let server: Server;
  {
    await using scoped = server = await medium.serve(() => recorder);
    await medium.dial(scoped, () => client);
    await recorder.log.has("connectionMade");
  }
  assertEquals(server.isServing(), false);
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  await client.untilLost();
});

servers.add(
  "a factory that throws costs that connection only: the handler is told, the next one is served",
  async (medium) => {
    using captured = medium.captureExceptions();
    const error = new Error("no protocol today");
    let calls = 0;
    const factory = () => {
      if (++calls === 1) throw error;
      return new Greeter();
    };
    await using server = await medium.serve(factory);
    assertEquals(await greeting(medium, server), "");
    assertEquals(await greeting(medium, server), "hello");
    assertEquals(captured.contexts.length, 1);
    assertEquals(captured.contexts[0]!.message, "Exception in a server's protocol factory");
    assertStrictEquals(captured.contexts[0]!.error, error);
  },
);

servers.add(
  "a factory that returns no protocol costs that connection only, and its result is reported",
  async (medium) => {
    using captured = medium.captureExceptions();
    const returning: (() => unknown)[] = [
      () => undefined,
      () => null,
      () => 42,
      () => "text",
      () => () => {},
      () => Promise.resolve(new Greeter()),
      () => Promise.reject(new Error("not awaited")),
    ];
    let calls = 0;
    const factory = () => calls === returning.length ? new Greeter() : returning[calls++]!() as Protocol;
    await using server = await medium.serve(factory);
    for (let i = 0; i < returning.length; i++) assertEquals(await greeting(medium, server), "");
    assertEquals(await greeting(medium, server), "hello");
    const names = ["undefined", "null", "number 42", 'string "text"', "function (anonymous)", "Promise", "Promise"];
    assertEquals(captured.contexts.length, names.length);
    for (const [i, { error }] of captured.contexts.entries()) {
      assertInstanceOf(error, TypeError);
      assertMatch(error.message, /factory .*must .*protocol/);
      assert(error.message.endsWith(`, got ${names[i]}`), error.message);
    }
  },
);

servers.add("Server.close() inside the factory still makes and ends that connection's pair", async (medium) => {
  const recorder = new Recorder();
  const server: Server = await medium.serve((): StreamCallbacks => {
    server.close();
    return recorder;
  });
  const [, client] = await medium.dial(server, () => new Recorder());
  await recorder.log.has("connectionMade");
  recorder.transport.write(bytes("last"));
  await client.untilReceived(4);
  recorder.transport.close();
  await server.waitClosed();
  await client.untilLost();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

servers.add("a client that closes at once does not affect other clients", async (medium) => {
  using captured = medium.captureExceptions();
  const recorders: Recorder[] = [];
  class Answers extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.write(data);
    }
  }
  await using server = await medium.serve(() => {
    recorders.push(new Answers());
    return recorders.at(-1)!;
  });
  for (const method of ["close", "abort"] as const) {
    const [transport, client] = await medium.dial(server, () => new Recorder());
    transport[method]();
    await client.untilLost();
  }
  assertEquals(await echo(medium, server, "me too"), "me too");
  for (const recorder of recorders) await recorder.untilLost();
  assertEquals(captured.contexts, []);
});

/**
 * Makes a test of each scenario.
 *
 * @param over What accepts the connections, for the tests' names.
 * @param setup Makes what a scenario runs on; called once for each.
 * @param traits What scenarios must know of it.
 */
export function serverScenarios(over: string, setup: MakeSetup, traits: StreamTraits = {}): void {
  servers.register(over, setup, traits);
}
