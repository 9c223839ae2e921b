/**
 * What lies at a socket's path may change between any two system calls of ours. These tests change it there: they put a
 * function of their own in the place of one of Deno's.
 */
import { onDenoOnly } from "../engine.ts";
import { assertEquals, assertRejects } from "../std.ts";
import { closed, loop, Recorder, tempPath, turn } from "../kit.ts";
import { open } from "../datagrams/kit.ts";
import { filesIn, staleSocket } from "./kit.ts";

type FileCall = "linkSync" | "lstatSync" | "renameSync";

/** Runs a function once, behind the call of Deno's that a condition describes; leaving the scope undoes it. */
function behind(
  name: FileCall,
  when: (...args: string[]) => boolean,
  act: () => void,
): Disposable & { acted: boolean } {
  const calls = Deno as unknown as Record<FileCall, (...args: string[]) => unknown>;
  const original = calls[name];
  const hook = { acted: false, [Symbol.dispose]: () => void (calls[name] = original) };
  calls[name] = (...args) => {
    const result = original(...args);
    if (!hook.acted && when(...args)) {
      hook.acted = true;
      act();
    }
    return result;
  };
  return hook;
}

/** Puts a file at a path, whatever lies there. */
function replace(path: string): void {
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "another program's");
}

function contents(path: string): string {
  return Deno.readTextFileSync(path);
}

/** Deno's engine binds a socket under a passing name, and then gives it its name by a link. Epoll's binds it at its name. */
const claims = onDenoOnly("the test watches how a path is claimed");

for (const links of [true, false]) {
  Deno.test(
    `createUnixServer() leaves alone what is put in its file's place right after the claim, ${
      links ? "with" : "without"
    } links`,
    claims,
    async () => {
      using temp = tempPath();
      using _ = links ? null : withoutLinks();
      using hook = behind(links ? "linkSync" : "renameSync", (_, to) => to === temp.path, () => replace(temp.path));
      const server = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
      assertEquals(hook.acted, true);
      server.close();
      await server.waitClosed();
      await turn();
      assertEquals([filesIn(temp.directory), contents(temp.path)], [["socket"], "another program's"]);
    },
  );
}

/** A file system that has no links for sockets. */
function withoutLinks(): Disposable {
  const { linkSync } = Deno;
  Deno.linkSync = (from, to) => {
    if (Deno.lstatSync(from).isSocket) throw new Deno.errors.PermissionDenied("Operation not permitted (os error 1)");
    linkSync(from, to);
  };
  return { [Symbol.dispose]: () => void (Deno.linkSync = linkSync) };
}

Deno.test(
  "createDatagramEndpoint() leaves alone what is put in its file's place right after the claim",
  claims,
  async () => {
    using temp = tempPath();
    using hook = behind("renameSync", (_, to) => to === temp.path, () => replace(temp.path));
    const endpoint = await open({ localAddr: { path: temp.path } });
    assertEquals(hook.acted, true);
    await endpoint.close();
    assertEquals([filesIn(temp.directory), contents(temp.path)], [["socket"], "another program's"]);
  },
);

Deno.test("createDatagramEndpoint() does not overwrite a file that is put there amid the claim", claims, async () => {
  using temp = tempPath();
  const { listenDatagram } = Deno;
  Deno.listenDatagram = ((options: Deno.UnixListenOptions & { transport: "unixpacket" }) => {
    const socket = listenDatagram(options);
    if (options.path === temp.path) replace(temp.path);
    return socket;
  }) as typeof listenDatagram;
  try {
    await assertRejects(() => open({ localAddr: { path: temp.path } }), Deno.errors.AddrInUse, temp.path);
  } finally {
    Deno.listenDatagram = listenDatagram;
  }
  assertEquals([filesIn(temp.directory), contents(temp.path)], [["socket"], "another program's"]);
});

for (const kind of ["createUnixServer()", "createDatagramEndpoint()"]) {
  Deno.test(`${kind} leaves alone what is put in its file's place while it closes`, async () => {
    using temp = tempPath();
    const server = kind === "createUnixServer()"
      ? await loop.createUnixServer(() => new Recorder(), { path: temp.path })
      : (await open({ localAddr: { path: temp.path } })).transport;
    // It has looked, and has seen its own.
    using hook = behind("lstatSync", (path) => path === temp.path, () => replace(temp.path));
    server.close();
    await turn();
    await turn();
    assertEquals(hook.acted, true);
    assertEquals([filesIn(temp.directory), contents(temp.path)], [["socket"], "another program's"]);
  });

  Deno.test(`${kind} leaves alone what is put in a stale socket's place while that is removed`, async () => {
    using temp = tempPath();
    staleSocket(temp.path);
    let looks = 0;
    using hook = behind("lstatSync", (path) => path === temp.path && ++looks === 2, () => replace(temp.path));
    const call = kind === "createUnixServer()"
      ? loop.createUnixServer(() => new Recorder(), { path: temp.path })
      : open({ localAddr: { path: temp.path } });
    await assertRejects(() => call, Deno.errors.AddrInUse);
    assertEquals(hook.acted, true);
    assertEquals([filesIn(temp.directory), contents(temp.path)], [["socket"], "another program's"]);
  });

  Deno.test(`${kind} removes no socket that has the number of a stale one that has gone`, async () => {
    using temp = tempPath();
    staleSocket(temp.path);
    const born = bornAt(temp.path);
    if (born === undefined) return; // Not every file system tells.
    using _ = sameNumbers();
    let looks = 0;
    using hook = behind("lstatSync", (path) => path === temp.path && ++looks === 1, () => {
      Deno.removeSync(temp.path);
      // The file system's clock ticks every few milliseconds.
      const later = `${temp.path}.later`;
      let moved: boolean;
      do {
        Deno.writeTextFileSync(later, "");
        moved = bornAt(later) !== born;
        Deno.removeSync(later);
      } while (!moved);
      staleSocket(temp.path);
    });
    const call = kind === "createUnixServer()"
      ? loop.createUnixServer(() => new Recorder(), { path: temp.path })
      : open({ localAddr: { path: temp.path } });
    await assertRejects(() => call, Deno.errors.AddrInUse);
    assertEquals(hook.acted, true);
    assertEquals(filesIn(temp.directory), ["socket"]);
  });
}

function bornAt(path: string): number | undefined {
  return Deno.lstatSync(path).birthtime?.getTime();
}

/** A file system that gives every file the same number, as one that uses them again may. */
function sameNumbers(): Disposable {
  const { lstatSync } = Deno;
  Deno.lstatSync = (path) => ({ ...lstatSync(path), ino: 1 });
  return { [Symbol.dispose]: () => void (Deno.lstatSync = lstatSync) };
}

Deno.test("createUnixServer() that closes puts a folder back that was put in its file's place", async () => {
  using temp = tempPath();
  const server = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
  using hook = behind("lstatSync", (path) => path === temp.path, () => {
    Deno.removeSync(temp.path);
    Deno.mkdirSync(temp.path);
  });
  server.close();
  await server.waitClosed();
  assertEquals([hook.acted, filesIn(temp.directory), Deno.lstatSync(temp.path).isDirectory], [true, ["socket"], true]);
});

Deno.test("createUnixServer() that closes overwrites nothing when it puts back what it has moved aside", async () => {
  using temp = tempPath();
  const server = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
  using first = behind("lstatSync", (path) => path === temp.path, () => replace(temp.path));
  using second = behind(
    "renameSync",
    (from) => from === temp.path,
    () => Deno.writeTextFileSync(temp.path, "a third's"),
  );
  server.close();
  await server.waitClosed();
  assertEquals([first.acted, second.acted, contents(temp.path)], [true, true, "a third's"]);
  // What could not be put back is still there, under another name.
  const others = filesIn(temp.directory).filter((name) => name !== "socket");
  assertEquals(others.map((name) => contents(`${temp.directory}/${name}`)), ["another program's"]);
});

Deno.test(
  "createUnixServer() serves where sockets cannot be linked, and never over a file that has just come",
  claims,
  async () => {
    using temp = tempPath();
    using _ = withoutLinks();
    const server = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
    const [transport, client] = await loop.createUnixConnection(() => new Recorder(), { path: temp.path });
    await closed(transport, client);
    await assertRejects(() => loop.createUnixServer(() => new Recorder(), { path: temp.path }), Deno.errors.AddrInUse);
    server.close();
    await server.waitClosed();
    assertEquals(filesIn(temp.directory), []);
  },
);
