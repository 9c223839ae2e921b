import { assertEquals } from "@std/assert";
import { EPOLL_CTL_MOD } from "../../engines/epoll/constants.ts";
import { Protocol, type Transport } from "../../mod.ts";
import { portOf } from "../kit.ts";
import { epollLoop, epollTest, replaceCall } from "./epoll_kit.ts";

const BLOCK = new Uint8Array(64 * 1024);

/** Writes until it is paused, so that the kernel's buffer is full most of the time. */
class Source extends Protocol {
  #paused = false;
  #transport!: Transport;

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
    this.resumeWriting();
  }

  override pauseWriting(): void {
    this.#paused = true;
  }

  override resumeWriting(): void {
    this.#paused = false;
    while (!this.#paused && !this.#transport.isClosing()) this.#transport.write(BLOCK);
  }
}

epollTest(
  "what epoll watches changes once, not at each wait, while a stream is written to faster than its peer reads",
  async () => {
    const loop = epollLoop();
    let waits = 0;
    let changes = 0;
    using _send = replaceCall("send", (real, ...args) => {
      const sent = real(...args);
      if (sent < BLOCK.length) waits++;
      return sent;
    });
    using _control = replaceCall("epoll_ctl", (real, ...args) => {
      if (args[1] === EPOLL_CTL_MOD) changes++;
      return real(...args);
    });
    await using server = await loop.createServer(() => new Source(), { hostname: "127.0.0.1", port: 0 });
    using peer = await Deno.connect({ port: portOf(server) });
    const buffer = new Uint8Array(256 * 1024);
    while (waits < 20) await peer.read(buffer);
    assertEquals(changes, 1);
    server.abortClients();
  },
);
