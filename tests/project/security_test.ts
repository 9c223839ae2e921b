/** SECURITY.md. */
import { assertEquals } from "../std.ts";
import { MAX_HANDSHAKES } from "../../tls/tls_options.ts";

const root = new URL("../../", import.meta.url);

Deno.test("SECURITY.md names only files that exist", async () => {
  const text = await Deno.readTextFile(new URL("SECURITY.md", root));
  const files = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, file]) => file!);
  const missing = files.filter((file) => {
    try {
      return !Deno.statSync(new URL(file, root)).isFile;
    } catch {
      return true;
    }
  });
  assertEquals(missing, []);
  assertEquals(files.length > 20, true);
});

Deno.test("SECURITY.md states the default of maxHandshakes", async () => {
  const text = await Deno.readTextFile(new URL("SECURITY.md", root));
  assertEquals(/under way +\| ([\d,]+), /.exec(text)![1]!.replace(",", ""), String(MAX_HANDSHAKES));
});
