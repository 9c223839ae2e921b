/** How many files this process has open, for whoever looks for leaks. */

/**
 * Counts open files, Unix sockets aside: Deno starts a thread for signals, which has a pair of them, some time
 * after the program has begun.
 *
 * @returns The count, or `null` where nobody tells: only Linux does.
 */
export function countFiles(): number | null {
  try {
    const unix = new Set(Deno.readTextFileSync("/proc/net/unix").split("\n").map((line) => line.split(/\s+/)[6]));
    return [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/self/fd/${name}`))?.[1];
        return inode === undefined || !unix.has(inode);
      } catch {
        return false; // The one that lists the directory.
      }
    }).length;
  } catch {
    return null;
  }
}
