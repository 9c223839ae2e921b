/**
 * Creates two connected stream sockets.
 *
 * On POSIX they are Unix sockets. They are connected in a temporary directory that only this user can enter, and that is
 * removed afterwards. This needs the permissions to read, to write and to use the network. On Windows, or without the
 * permissions to read and write, they are TCP sockets on the loopback interface; a connection of another program to
 * their temporary port is closed.
 *
 * @returns The two sockets. You own both.
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
