/** The seam of sendfile(2): a file that a handle sends without a copy. */

/** A file that Deno opened. */
export type DenoFile = Deno.FsFile;

/** A file that was prepared to be sent by {@linkcode StreamHandle.openFile}. */
export interface FileSource {
  /**
   * Sends bytes of the file, as `write()` of the handle sends bytes of memory. Only called while no write is pending, and
   * no write is started while this is pending. Does not change the position of the file.
   *
   * @param offset The place of the first byte in the file.
   * @param count The largest number of bytes to send.
   * @returns The number of bytes that were sent, or a promise of it if they are sent later; 0 at the end of the file.
   * @throws {SendfileError} If the file fails; the `cause` is its error. Any other error is the connection's.
   * @throws {Deno.errors.NotSupported} If the system cannot send this file.
   */
  send(offset: number, count: number): number | Promise<number>;
  /** Settles a pending `send()`, by 0. */
  cancel(): void;
  /** Releases the file. Nothing is pending. */
  close(): void;
}
