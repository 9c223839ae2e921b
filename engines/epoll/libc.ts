/** The functions of the C library that the engine calls, by Deno's FFI. */
import { lengthOf } from "../../checks.ts";

// Sizes are `usize`: a BigInt takes FFI's fast path, a number takes 130 ns more. Results are `i32`, because a BigInt result
// is an allocation; no call of the engine transfers more than 2 GiB.
const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  sendfile: { parameters: ["i32", "i32", "buffer", "usize"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i32" },
  // Variadic in C, called here as fixed functions, which is the same on Linux: x86-64 and arm64 pass the integers of both kinds
  // in the same registers. (x86-64 also expects the number of vector registers in AL, of which these functions need none.)
  // There is no other way to make a descriptor nonblocking that another program has opened.
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sigprocmask: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  sigtimedwait: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  dup3: { parameters: ["i32", "i32", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // The same function on a thread of its own: the call returns a promise.
  epoll_park: { name: "epoll_wait", parameters: ["i32", "buffer", "i32", "i32"], result: "i32", nonblocking: true },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  // On a thread of its own, because it may ask a name server.
  getaddrinfo: { parameters: ["buffer", "buffer", "buffer", "buffer"], result: "i32", nonblocking: true },
  freeaddrinfo: { parameters: ["usize"], result: "void" },
  getcwd: { parameters: ["buffer", "usize"], result: "pointer" },
  // The POSIX version under a name that glibc and musl share.
  strerror_r: { name: "__xpg_strerror_r", parameters: ["i32", "buffer", "usize"], result: "i32" },
  // Of glibc only; in the table, it does nothing elsewhere.
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "pointer" },
  // The same function with the address as a number. Unlike UnsafePointerView, it works with --allow-ffi=PATH.
  copyFrom: { name: "memcpy", parameters: ["buffer", "usize", "usize"], result: "pointer" },
  errnoLocation: { name: "__errno_location", parameters: [], result: "pointer" },
} as const;

/**
 * The C library. The functions return -1 on failure; `errno()` is the reason until the next call. The table can be
 * changed, so that tests can make a call fail.
 */
export type Libc =
  & { -readonly [K in Exclude<keyof typeof SYMBOLS, "memcpy" | "errnoLocation">]: NonNullable<Symbols[K]> }
  & { errno(): number };
type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The paths of glibc and musl, by processor. The whole path is needed where `--allow-ffi` names it. */
const PATHS: Record<string, readonly string[]> = {
  x86_64: [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
  ],
  aarch64: [
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
    "/lib/ld-musl-aarch64.so.1",
  ],
};

/** The sizes of small messages, because `BigInt()` takes 14 ns. */
const SMALL_SIZES: readonly bigint[] = Array.from({ length: 2049 }, (_, size) => BigInt(size));

/** Returns the size of memory as the functions take it. */
export function sizeOf(memory: Uint8Array): bigint {
  // Not `memory.length`, which a subclass can replace: the kernel would write past the end.
  return toSize(lengthOf(memory));
}

/** Returns a size as the functions take it. */
export function toSize(size: number): bigint {
  return SMALL_SIZES[size] ?? BigInt(size);
}

/** Encodes a string of C. */
export function toCString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** Decodes a string of C: the bytes before the first zero. */
export function fromCString(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

let loaded: Libc | undefined;

/**
 * Opens the C library, once for each isolate.
 *
 * @throws {Deno.errors.NotSupported} If this is not Linux on x86-64 or arm64, or there is no known C library.
 * @throws {Deno.errors.NotCapable} If the permission to use FFI is missing.
 */
export function openLibc(): Libc {
  return loaded ??= load();
}

/** Reports whether the C library can be opened without a prompt. */
export function mayOpenLibc(): boolean {
  const granted = (path?: string) =>
    Deno.permissions.querySync({ name: "ffi", ...path !== undefined && { path } }).state === "granted";
  const paths = libcPaths();
  return paths.length > 0 && (granted() || paths.some((path) => granted(path)));
}

/** Returns the C libraries of this processor, the most common first; empty if the system is not supported. */
export function libcPaths(): readonly string[] {
  return Deno.build.os === "linux" ? PATHS[Deno.build.arch] ?? [] : [];
}

function load(): Libc {
  const paths = libcPaths();
  if (paths.length === 0) {
    const { os, arch } = Deno.build;
    throw new Deno.errors.NotSupported(`EpollEngine needs Linux on x86-64 or arm64, this is ${os} on ${arch}`);
  }
  let refused: Error | null = null;
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return tableOf(Deno.dlopen(path, SYMBOLS).symbols);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) refused = error;
      else failures.push(`${path}: ${(error as Error).message}`);
    }
  }
  if (refused !== null) {
    throw new Deno.errors.NotCapable(
      `EpollEngine needs the permission to use FFI: run again with --allow-ffi, or with --allow-ffi=PATH, where PATH is ` +
        `the C library of this system, such as ${paths[0]}`,
      { cause: refused },
    );
  }
  throw new Deno.errors.NotSupported(`EpollEngine found no C library it can use: ${failures.join("; ")}`);
}

function tableOf({ memcpy, errnoLocation, malloc_trim, ...functions }: Symbols): Libc {
  const location = errnoLocation();
  const errno = viewOf(location) ?? copyOf(location, memcpy);
  return { ...functions, malloc_trim: malloc_trim ?? (() => 0), errno };
}

/** Reads errno in place, in 4 ns. Needs `--allow-ffi` without a path. */
function viewOf(location: Deno.PointerValue): (() => number) | null {
  try {
    const view = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location!, 4));
    return () => view[0]!;
  } catch {
    return null;
  }
}

/** Copies errno, in 18 ns. Works with `--allow-ffi=PATH`, too. */
function copyOf(location: Deno.PointerValue, memcpy: Symbols["memcpy"]): () => number {
  const copy = new Int32Array(1);
  return () => {
    memcpy(copy, location, 4n);
    return copy[0]!;
  };
}

// At once if possible: a library that is opened inside a test is a leak for Deno's resource sanitizer.
if (mayOpenLibc()) {
  try {
    openLibc();
  } catch {
    // The engine's constructor fails in the same way.
  }
}
