/** README.md and docs/: their code type-checks and runs, their links lead somewhere. */
import { assert, assertEquals, assertGreater } from "../std.ts";
import { bytes, freePort, tempPath, text } from "../kit.ts";
import { blocks, caCert, copyCerts, deno, makeProject, PAGES, read, root, runProgram, serve } from "./pages_kit.ts";

Deno.test("the README names the two commands", () => {
  const commands = "npx --yes deno@2.9.6 task demo\nnpx --yes deno@2.9.6 task test\n";
  assert(blocks("README.md", "sh").includes(commands));
  const { tasks } = JSON.parse(read("deno.json"));
  for (const name of ["demo", "test"]) assert(name in tasks, name);
});

Deno.test("the README is no manual", () => {
  assertGreater(180, read("README.md").split("\n").length);
});

Deno.test("the TypeScript of all pages type-checks in a consumer's project", async () => {
  using temp = tempPath();
  const sources = Object.fromEntries(PAGES.flatMap((page) =>
    // Deno takes every fence that begins with ts for TypeScript, and so do those who read it.
    blocks(page, "ts").map((code, i) => [`${page.replaceAll(/\W/g, "_")}_${i}.ts`, code])
  ));
  assertGreater(Object.keys(sources).length, 14);
  await makeProject(temp.directory, sources);
  const { code, stderr } = await deno(temp.directory, "check", "--quiet", ...Object.keys(sources)).output();
  assertEquals([code, text(stderr)], [0, ""]);
});

for (const page of PAGES) {
  for (const [i, source] of blocks(page, "ts").entries()) {
    const [, output] = source.split("\n// Output:\n");
    if (output === undefined) continue;
    Deno.test(`${page}: program ${i + 1} prints what it says`, { ignore: Deno.build.os === "windows" }, async () => {
      using temp = tempPath();
      const flags = source.includes("@tandem/io/epoll") ? ["--allow-ffi"] : [];
      const printed = await runProgram(temp.directory, source, "--allow-net", "--allow-run", ...flags);
      assertEquals(printed, [0, "", output.replaceAll(/^\/\/ /gm, "")]);
    });
  }
}

Deno.test("every program of a page that prints says what", () => {
  // These do not end by themselves, or need certificates: each has a test below.
  const others = ["README.md 1", "README.md 2", "docs/tls.md 1", "docs/tls.md 2"];
  const silent = PAGES.flatMap((page) =>
    blocks(page, "ts").flatMap((source, i) =>
      source.includes("console.log") && !source.includes("\n// Output:\n") ? [`${page} ${i + 1}`] : []
    )
  );
  assertEquals(silent, others);
});

Deno.test("README.md: the client and the server talk", async () => {
  using temp = tempPath();
  const [source = "", client = ""] = blocks("README.md", "ts");
  await using server = await serve(temp.directory, source, "--allow-net");
  const output = await runProgram(temp.directory, client.replace("8888", `${server.port}`), "--allow-net");
  assertEquals(output, [0, "", "received Hello, world!\n"]);
});

Deno.test("docs/tls.md: the client and the server talk TLS", async () => {
  using temp = tempPath();
  await copyCerts(temp.directory);
  const source = blocks("docs/tls.md", "ts")[0]!.replace("8443", `${freePort()}`);
  const output = await runProgram(temp.directory, source, "--allow-net", "--allow-read");
  assertEquals(output, [0, "", 'TLSv1.3 { CN: "localhost" }\n']);
});

Deno.test("docs/tls.md: the server upgrades to TLS", async () => {
  using temp = tempPath();
  await copyCerts(temp.directory);
  await using server = await serve(temp.directory, blocks("docs/tls.md", "ts")[1]!, "--allow-net", "--allow-read");
  const plain = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await plain.write(bytes("STARTTLS\r\n"));
  const buffer = new Uint8Array(100);
  assertEquals(text(buffer.subarray(0, await plain.read(buffer) ?? 0)), "220 go ahead\r\n");
  using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts: [caCert] });
  assertEquals(text(buffer.subarray(0, await conn.read(buffer) ?? 0)), "200 TLSv1.3\r\n");
});

Deno.test("docs/tls.md: Tandem serves and connects over Deno's own TLS", async () => {
  using temp = tempPath();
  await copyCerts(temp.directory);
  const source = `${blocks("docs/tls.md", "ts").at(-1)!.replaceAll("8443", `${freePort()}`)}
console.log((conn as Deno.TlsConn).remoteAddr.transport);
Deno.exit();
`;
  const output = await runProgram(temp.directory, source, "--allow-net", "--allow-read");
  assertEquals(output, [0, "", "tcp\n"]);
});

/** The anchors of a page, as GitHub makes them of its headings. */
function anchors(page: URL): string[] {
  const headings = Deno.readTextFileSync(page).matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading]) => heading!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-"));
}

Deno.test("the links of all pages lead to files and headings that exist", () => {
  for (const page of [...PAGES, "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"]) {
    const here = new URL(page, root);
    for (const [, target = ""] of read(page).matchAll(/\]\(([^):]+)\)/g)) {
      const url = new URL(target, here);
      const anchor = url.hash.slice(1);
      url.hash = "";
      Deno.statSync(url);
      if (anchor !== "") assert(anchors(url).includes(anchor), `${page} links to ${target}`);
    }
  }
});

Deno.test("every page of docs/ is named in the README", () => {
  const links = [...read("README.md").matchAll(/\]\((docs\/[^)#]+)/g)].map(([, target]) => target);
  assertEquals(PAGES.filter((page) => page.startsWith("docs/") && !links.includes(page)), []);
});
