import type { DatagramHandle } from "../../transports/datagram_handle.ts";
import { DatagramConnHandle, type DatagramConnLike } from "./datagram_conn_handle.ts";
import { findListenDatagram } from "./listen_datagram.ts";
import { addrInUse, passingName, removeIfSame, removeStaleSocket } from "./unix_path.ts";

/**
 * Opens a Unix datagram endpoint. Without a local path it can only send.
 *
 * An endpoint with a path is two sockets, because Deno does not send on a Unix socket with a pending receive. The sending
 * socket is bound to the path, so the path is the sender of its datagrams. Then the file of the receiving socket replaces
 * it, so datagrams to the path reach the receiving socket.
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
  // First, because this needs all permissions: if one is missing, no file was removed yet.
  const receiver = listenDatagram({ transport: "unixpacket", path: passing });
  let sender: DatagramConnLike | undefined;
  let own: Deno.FileInfo | undefined;
  let senderFile: Deno.FileInfo | undefined;
  try {
    const ours = own = Deno.lstatSync(passing);
    await removeStaleSocket(path);
    sender = listenDatagram({ transport: "unixpacket", path });
    const bound = Deno.lstatSync(path);
    // Another program may have replaced the file meanwhile. A file that is not a socket cannot be ours.
    if (!bound.isSocket) throw addrInUse("another program has put a file there");
    senderFile = bound;
    Deno.renameSync(passing, path);
    return new DatagramConnHandle(sender, { remoteAddr, receiver, removeFile: () => removeIfSame(path, ours) });
  } catch (error) {
    // Files first: while the sockets are open, no other file can have their inode numbers.
    if (senderFile !== undefined) removeIfSame(path, senderFile);
    if (own !== undefined) removeIfSame(passing, own);
    sender?.close();
    receiver.close();
    throw error;
  }
}
