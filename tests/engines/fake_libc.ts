/** Changes to the table of the C library, which end with the scope. */
import { openLibc } from "../../engines/epoll/libc.ts";
import { encodeIp } from "../../engines/epoll/sockaddr.ts";

/** Replaces functions of the table. The functions get the real ones. */
export function replaceLibc(replace: (real: Libc) => Partial<Libc>): Disposable {
  const libc = openLibc();
  const real = { ...libc };
  Object.assign(libc, replace(real));
  return { [Symbol.dispose]: () => void Object.assign(libc, real) };
}

type Libc = ReturnType<typeof openLibc>;

/** Makes a function fail with an error number where `when` holds for its arguments. */
export function failing<K extends "socket" | "bind" | "connect" | "listen" | "getpeername">(
  name: K,
  errno: number,
  when: (...args: Parameters<Libc[K]>) => boolean = () => true,
): Disposable {
  return replaceLibc((real) => {
    let failed = false;
    return {
      [name]: (...args: Parameters<Libc[K]>) => {
        failed = when(...args);
        return failed ? -1 : (real[name] as (...args: Parameters<Libc[K]>) => number)(...args);
      },
      errno: () => {
        const wanted = failed;
        failed = false;
        return wanted ? errno : real.errno();
      },
    };
  });
}

/** Counts the descriptors of sockets that are open. */
export function watchSockets(): Disposable & { readonly open: number } {
  const open = new Set<number>();
  const add = (fd: number) => {
    if (fd !== -1) open.add(fd);
    return fd;
  };
  const replaced = replaceLibc((real) => ({
    socket: (...args) => add(real.socket(...args)),
    accept4: (...args) => add(real.accept4(...args)),
    close: (fd) => {
      open.delete(fd);
      return real.close(fd);
    },
  }));
  return {
    get open() {
      return open.size;
    },
    [Symbol.dispose]: () => replaced[Symbol.dispose](),
  };
}

/** Makes getaddrinfo know some names and no others. */
export function fakeNames(names: Record<string, string[]>): Disposable {
  const kept: unknown[] = []; // Memory that the lists of getaddrinfo point to.
  const pointerTo = (bytes: Uint8Array<ArrayBuffer>) => {
    kept.push(bytes);
    return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
  };
  return replaceLibc(() => ({
    getaddrinfo: (node, _service, _hints, result) => {
      const bytes = node as Uint8Array;
      const name = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
      const addresses = names[name];
      if (addresses === undefined) return Promise.resolve(-2);
      let list = 0n;
      for (const address of addresses.toReversed()) {
        const { family, bytes } = encodeIp(address, 0);
        const info = new DataView(new ArrayBuffer(48));
        info.setInt32(4, family, true);
        info.setUint32(16, bytes.length, true);
        info.setBigUint64(24, pointerTo(bytes as Uint8Array<ArrayBuffer>), true);
        info.setBigUint64(40, list, true);
        list = pointerTo(new Uint8Array(info.buffer));
      }
      (result as BigUint64Array)[0] = list;
      return Promise.resolve(0);
    },
    freeaddrinfo: () => {},
  }));
}
