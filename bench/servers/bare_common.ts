/** What the loops over `Deno.Conn` share. */

/**
 * Serves TCP, and prints where.
 *
 * @param handler Does all for one connection, which is closed then.
 */
export async function serve(handler: (conn: Deno.TcpConn) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(`listening ${listener.addr.port}`);
  for await (const conn of listener) {
    conn.setNoDelay(true);
    handler(conn).catch(() => {}).finally(() => conn.close());
  }
}
