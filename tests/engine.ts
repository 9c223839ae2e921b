/** Which engine the tests of this isolate run over. */
import { EventLoop } from "../mod.ts";
import type { EventLoopOptions } from "../loop/mod.ts";
import { DenoEngine } from "../engines/deno/mod.ts";
import { EpollEngine, type EpollEngineOptions } from "../engines/epoll/mod.ts";
import { callbacks } from "../tls/openssl/callbacks.ts";
import { hasLibssl } from "../tls/openssl/libssl.ts";

/** The name of the engine: Deno's, unless `install_epoll.ts` has set the other. */
let name: "deno" | "epoll" = "deno";

/** The TLS of the engine. */
let tls: "node" | "openssl" = "node";
/** The TLS that the tests over epoll are to use; OpenSSL where it can be used, unless `use_node_tls.ts` says otherwise. */
let wanted: "node" | undefined;

/** Makes the tests over epoll use `node:tls`. Call this before `useEpoll()`. */
export function useNodeTls(): void {
  wanted = "node";
}

/** Reports whether TLS is OpenSSL's. */
export function isOverOpenssl(): boolean {
  return tls === "openssl";
}

/** Options of a test of what only `node:tls` has, or must make up for. The reason is for the reader. */
export function onNodeTlsOnly(_reason: string): { ignore: boolean } {
  return { ignore: isOverOpenssl() };
}

/** Makes the tests run over epoll. Call this before the import of any of them. */
export function useEpoll(): EpollEngineOptions {
  name = "epoll";
  if (wanted === undefined && hasLibssl()) {
    // Here, because a library or a callback that is opened inside a test is a leak for Deno's sanitizer.
    callbacks();
    tls = "openssl";
  }
  return { tls };
}

/** Reports whether the tests run over epoll. */
export function isOverEpoll(): boolean {
  return name === "epoll";
}

/** Options of a test that runs over Deno's engine only. The reason is for the reader. */
export function onDenoOnly(_reason: string): { ignore: boolean } {
  return { ignore: isOverEpoll() };
}

/** Makes a loop of a test's own, over the engine that the tests run over. */
export function makeLoop(options: Omit<EventLoopOptions, "engine"> = {}): EventLoop {
  return new EventLoop({ engine: isOverEpoll() ? new EpollEngine({ tls }) : new DenoEngine(), ...options });
}
