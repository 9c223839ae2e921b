/**
 * Opening datagram sockets under a path.
 *
 * @module
 */
import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import { DatagramConnHandle, type DatagramConnLike } from "./datagram_conn_handle.ts";
import { findListenDatagram } from "./listen_datagram.ts";
import { addrInUse, passingName, removeIfSame, removeStaleSocket } from "./unix_path.ts";

/**
 * Opens two sockets under one name, because Deno does not send on a Unix socket that waits for a datagram: the one that
 * sends is bound to the path, then the other one's file takes its place there. A receiver of what the first sends sees the
 * path as the sender, and what is sent to the path reaches the second.
 *
 * @param localPath The path; `undefined` to send only.
 * @param remotePath The only path to talk to; `undefined` for any.
 */
export async function openUnixDatagram(
  localPath: string | undefined,
  remotePath: string | undefined,
): Promise<DatagramHandle> {
  const remoteAddr: Deno.UnixAddr | null = remotePath === undefined
    ? null
    : { transport: "unixpacket", path: remotePath };
  const listenDatagram = findListenDatagram();
  if (listenDatagram === undefined) {
    throw new Deno.errors.NotSupported("path: Unix datagrams need Deno's flag --unstable-net");
  }
  const path = localPath;
  if (path === undefined) {
    const sender = listenDatagram({ transport: "unixpacket", path });
    return new DatagramConnHandle(sender, { remoteAddr, receiver: null });
  }
  if (path.startsWith("\0")) throw new Deno.errors.NotSupported("path: Unix datagrams need a path in the file system");
  const passing = passingName(path);
  // First, because it takes all permissions: a missing one must not cost a file.
  const receiver = listenDatagram({ transport: "unixpacket", path: passing });
  let sender: DatagramConnLike | undefined;
  let own: Deno.FileInfo | undefined;
  let senderFile: Deno.FileInfo | undefined;
  try {
    const ours = own = Deno.lstatSync(passing);
    await removeStaleSocket(path);
    sender = listenDatagram({ transport: "unixpacket", path });
    const bound = Deno.lstatSync(path);
    // Another program may have removed it at this moment. What is not a socket is certainly not ours.
    if (!bound.isSocket) throw addrInUse("another program has put a file there");
    senderFile = bound;
    Deno.renameSync(passing, path);
    return new DatagramConnHandle(sender, { remoteAddr, receiver, removeFile: () => removeIfSame(path, ours) });
  } catch (error) {
    // Files first: an open socket's number is no other file's.
    if (senderFile !== undefined) removeIfSame(path, senderFile);
    if (own !== undefined) removeIfSame(passing, own);
    sender?.close();
    receiver.close();
    throw error;
  }
}
