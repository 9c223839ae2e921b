/**
 * Two connected sockets, which Deno has no call for.
 *
 * @module
 */

/**
 * Makes two connected stream sockets that only this process can reach, as far as the platform allows.
 *
 * On POSIX they meet over a Unix socket in a directory that only this user may enter, and that is gone
 * when this resolves; that takes the permissions to read, write and use the network. On Windows, or with
 * no permission to write, they meet over TCP on the loopback interface, where whoever else connects in that
 * moment is turned away.
 *
 * @returns The two ends, alike in everything.
 *
 * @example Usage
 * ```ts
 * import { socketPair } from "@tandem/io";
 *
 * const [a, b] = await socketPair();
 * await a.write(new Uint8Array([1, 2, 3]));
 * const buffer = new Uint8Array(3);
 * await b.read(buffer);
 * a.close();
 * b.close();
 * ```
 */
export async function socketPair(): Promise<[Deno.Conn, Deno.Conn]> {
  if (Deno.build.os === "windows" || !mayUseFiles()) return await overTcp();
  const directory = await Deno.makeTempDir({ prefix: "tandem-" });
  try {
    const path = `${directory}/pair`;
    using listener = Deno.listen({ transport: "unix", path });
    // The listener's queue holds the connection until it is accepted.
    const near = await Deno.connect({ transport: "unix", path });
    return [near, await listener.accept()];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function overTcp(): Promise<[Deno.Conn, Deno.Conn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  for (;;) {
    const far = await listener.accept();
    if (far.remoteAddr.port === near.localAddr.port) {
      near.setNoDelay(true);
      far.setNoDelay(true);
      return [near, far];
    }
    far.close();
  }
}

function mayUseFiles(): boolean {
  return (["read", "write"] as const).every((name) => Deno.permissions.querySync({ name }).state === "granted");
}
