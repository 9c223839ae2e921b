/**
 * asyncio's transports and protocols for Deno.
 *
 * You write a _protocol_: a class whose methods say what bytes mean. A _transport_ moves the bytes. The event loop creates
 * one transport for each protocol and calls the protocol when a connection is made, when data arrives and when the
 * connection is lost. TCP, TLS, Unix sockets, pipes, datagrams and child processes all work this way. A side that is too
 * fast is paused, so memory stays bounded. Names, rules and the order of callbacks are those of Python's asyncio.
 *
 * ```sh
 * deno add jsr:@tandem/io
 * ```
 *
 * Tandem needs Deno 2.9. It has no dependencies.
 *
 * ## Entry points
 *
 * `@tandem/io` has what programs need. Each part also has an entry point:
 *
 * - [`@tandem/io/protocols`](/@tandem/io/doc/protocols): the classes that you extend, such as {@linkcode Protocol}.
 * - [`@tandem/io/transports`](/@tandem/io/doc/transports): the interfaces of transports, such as {@linkcode Transport},
 *   TLS contexts, and errors.
 * - [`@tandem/io/loop`](/@tandem/io/doc/loop): {@linkcode getRunningLoop}, {@linkcode EventLoop} and {@linkcode Server}.
 * - [`@tandem/io/engines/deno`](/@tandem/io/doc/engines/deno): the default engine, to create a second loop. It is not in
 *   `@tandem/io`.
 * - [`@tandem/io/epoll`](/@tandem/io/doc/epoll): a faster engine for Linux, which needs `--allow-ffi`.
 * - [`@tandem/io/streams`](/@tandem/io/doc/streams): connections with `await`, as asyncio's streams, and web streams. It is
 *   not in `@tandem/io`.
 * - [`@tandem/io/testing`](/@tandem/io/doc/testing): a network in memory, to test protocols without sockets.
 * - [`@tandem/io/framing`](/@tandem/io/doc/framing): protocols of lines and of frames with a length. It is not in
 *   `@tandem/io`.
 *
 * ## Three rules
 *
 * - **Bytes.** The array that `dataReceived` is called with is yours. The array that you pass to
 *   {@linkcode WriteTransport.write} is yours again when the call returns. The array that you pass to
 *   {@linkcode WriteTransport.writeOwned} belongs to the transport.
 * - **Flow control.** After `pauseWriting`, write nothing until `resumeWriting`.
 * - **Exceptions.** An exception in a data callback closes the connection. An exception in another callback goes to the
 *   exception handler only.
 *
 * @example An echo server and a client
 * ```ts
 * import { getRunningLoop, Protocol, type Transport } from "@tandem/io";
 *
 * class Echo extends Protocol {
 *   #transport!: Transport;
 *
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *
 *   override dataReceived(data: Uint8Array) {
 *     this.#transport.write(data);
 *   }
 *
 *   // If the client stops reading replies, stop reading its requests.
 *   override pauseWriting() {
 *     this.#transport.pauseReading();
 *   }
 *
 *   override resumeWriting() {
 *     this.#transport.resumeReading();
 *   }
 * }
 *
 * class Client extends Protocol {
 *   readonly lost = Promise.withResolvers<void>();
 *
 *   override connectionMade(transport: Transport) {
 *     transport.write(new TextEncoder().encode("Hello, world!"));
 *     transport.writeEof();
 *   }
 *
 *   override dataReceived(data: Uint8Array) {
 *     console.log("received", new TextDecoder().decode(data));
 *   }
 *
 *   override connectionLost(error: Error | null) {
 *     if (error) this.lost.reject(error);
 *     else this.lost.resolve();
 *   }
 * }
 *
 * const loop = getRunningLoop();
 * await using server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
 * const { port } = server;
 * const [, client] = await loop.createConnection(() => new Client(), { port });
 * await client.lost.promise;
 *
 * // Output:
 * // received Hello, world!
 * ```
 *
 * @module
 */
export * from "./loop/mod.ts";
export * from "./protocols/mod.ts";
export * from "./transports/mod.ts";
