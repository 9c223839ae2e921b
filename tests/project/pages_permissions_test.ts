/** docs/permissions.md: each row is enough, and nothing in it is too much. */
import { assertEquals, assertMatch } from "../std.ts";
import { bytes, loop, tempPath } from "../kit.ts";
import { caCert, cert, codes, key, root, rows } from "./pages_kit.ts";

/** For each row of the table of permissions, a program that uses just that. `HOST` is 127.0.0.1, and so on. */
const uses: Record<string, string> = {
  "`createConnection`, also with `tls` and `proxyProtocol`":
    `await loop.createConnection(() => ({}), { hostname: "HOST", port: PORT, tls: { caCerts }, proxyProtocol: {} })`,
  "`createServer`, also with `tls` and `proxyProtocol`": `for (const tls of [undefined, { cert, key }]) {
      await loop.createServer(() => ({}), { hostname: "HOST", port: 0, tls, proxyProtocol: { trusted: ["::1"] } });
    }`,
  "`createServer` with `reusePort`":
    `await loop.createServer(() => ({}), { hostname: "HOST", port: 0, reusePort: true })`,
  "`createUnixConnection`": `await loop.createUnixConnection(() => ({}), { path: "PATH" })`,
  "`createUnixServer`": `await loop.createUnixServer(() => ({}), { path: "FOLDER/" + Deno.pid })`,
  "`createDatagramEndpoint`": `await loop.createDatagramEndpoint(() => ({}))`,
  "`createDatagramEndpoint` to a path": `const { promise, resolve, reject } = Promise.withResolvers();
    const sender = { connectionMade: (t) => { t.sendto(new Uint8Array(1)); t.close(); }, connectionLost: resolve,
      errorReceived: reject };
    await loop.createDatagramEndpoint(() => sender, { remoteAddr: { path: "PATH" } });
    await promise`,
  "`createDatagramEndpoint` at a path":
    `await loop.createDatagramEndpoint(() => ({}), { localAddr: { path: "FOLDER/" + Deno.pid } })`,
  "`connectReadPipe`, `connectWritePipe`":
    `await loop.connectReadPipe(() => ({}), Deno.stdin); await loop.connectWritePipe(() => ({}), Deno.stderr)`,
  "`subprocessExec`": `await loop.subprocessExec(() => ({}), "PROGRAM")`,
  "`subprocessShell`": `await loop.subprocessShell(() => ({}), "exit 0")`,
  '`subprocessExec` with `stderr: "stdout"`': `await loop.subprocessExec(() => ({}), "true", { stderr: "stdout" })`,
  "`sendfile`":
    `const c = new WritableStream(); const [t] = await loop.connectWritePipe(() => ({}), c); await loop.sendfile(t, await Deno.open("FILE"))`,
  "`socketPair`": `await socketPair()`,
  "scheduling, signals, debug mode":
    `loop.callLater(1, () => {}); loop.setDebug(true); loop.addSignalHandler("SIGINT", () => {})`,
};

const permissions = rows("docs/permissions.md", "what");

Deno.test("docs/permissions.md has the rows that are tried here", () => {
  assertEquals(permissions.map(([what]) => what!), Object.keys(uses));
});

for (const [what = "", needed = ""] of permissions) {
  const flags = needed.startsWith("none") ? [] : codes(needed)[0]!.split(" ");
  Deno.test(
    `${what} needs ${flags.join(" ") || "no permission"}`,
    { ignore: Deno.build.os === "windows" },
    async () => {
      using temp = tempPath();
      const { directory, path } = temp;
      await Deno.writeFile(`${directory}/file`, bytes("content"));
      const tls = { cert, key };
      const proxyProtocol = { trusted: ["127.0.0.1"] };
      await using tcp = await loop.createServer(() => ({}), { hostname: "127.0.0.1", port: 0, tls, proxyProtocol });
      await using unix = await loop.createUnixServer(() => ({}), { path });
      const receiver = `${directory}/datagrams`;
      const lost = Promise.withResolvers<void>();
      const [datagrams] = await loop.createDatagramEndpoint(() => ({ connectionLost: () => lost.resolve() }), {
        localAddr: { path: receiver },
      });
      const fill = (text: string) =>
        text.replace("HOST", "127.0.0.1").replace("PATH", what.includes("Datagram") ? receiver : path).replace(
          "FOLDER",
          directory,
        ).replace("PROGRAM", "true")
          .replace("FILE", `${directory}/file`)
          .replace("PORT", what.startsWith("`createConnection`") ? `${(tcp.addresses[0] as Deno.NetAddr).port}` : "0");
      const program = `import { getRunningLoop, socketPair } from ${JSON.stringify(new URL("mod.ts", root).href)};
      const loop = getRunningLoop();
      const { caCerts, cert, key } = ${JSON.stringify({ caCerts: [caCert], cert, key })};
      try { ${fill(uses[what]!)}; console.log("ran"); } catch (error) { console.log(error.name); }
      socketPair, caCerts, cert, key; Deno.exit();`;
      await Deno.writeTextFile(`${directory}/main.js`, program);
      const run = async (flags: string[]) => {
        const args = ["run", "--quiet", "--no-prompt", "--no-config", ...flags, "main.js"];
        const command = new Deno.Command(Deno.execPath(), { args, cwd: directory, env: { NO_COLOR: "1" } });
        const { stdout, stderr } = await command.output();
        return new TextDecoder().decode(stdout).trim() || new TextDecoder().decode(stderr);
      };
      const given = flags.map(fill);
      assertEquals(await run(given), "ran");
      for (const flag of given) {
        const denied = await run(given.filter((other) => other !== flag));
        assertMatch(denied, flag.startsWith("--unstable") ? /^NotSupported$/ : /^NotCapable$/, `without ${flag}`);
      }
      // Both servers must go before their listeners' scope does, with what connected to them.
      for (const server of [tcp, unix]) server.abortClients();
      datagrams.close();
      await lost.promise;
    },
  );
}
