/** The Deno that is asked for: by the code, the README, and what CI runs. */
import { checkDenoVersion } from "../../engines/deno/deno_version.ts";
import { runProgram } from "../program.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../std.ts";

const root = new URL("../../", import.meta.url);

Deno.test("checkDenoVersion() throws in an older Deno, and names both versions", () => {
  for (const version of ["2.8.3", "2.8.99+abc", "2.0.0-rc.1", "1.46.3", "0.9.9"]) {
    const message = `Tandem needs Deno 2.9.0 or later, and this is Deno ${version}: run deno upgrade`;
    assertEquals(assertThrows(() => checkDenoVersion(version), Deno.errors.NotSupported).message, message);
  }
});

Deno.test("checkDenoVersion() accepts every other version string", () => {
  for (const version of ["2.9.0", "2.9.6", "2.9.6+abc", "2.9.0-rc.1", "2.10.0-rc.1", "2.10.0", "3.0.0", "10.0.0"]) {
    checkDenoVersion(version);
  }
  for (const version of ["", "canary", "2.8"]) checkDenoVersion(version);
  checkDenoVersion();
});

Deno.test("getRunningLoop() throws in a Deno that is too old, and so does the second call", async () => {
  const { code, stdout, stderr } = await runProgram(`
    Object.defineProperty(Deno, "version", { value: { ...Deno.version, deno: "2.8.3" } });
    const { getRunningLoop } = await import("@tandem/io");
    for (let i = 0; i < 2; i++) {
      try {
        getRunningLoop();
      } catch (error) {
        console.log(error.name);
      }
    }
  `);
  assertEquals([code, stderr, stdout], [0, "", "NotSupported\nNotSupported\n"]);
});

Deno.test("the README and CI ask for a Deno that is new enough", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", root));
  assertStringIncludes(readme, "Tandem needs Deno 2.9");
  const ci = await Deno.readTextFile(new URL(".ci/run", root));
  const versions = [...(readme + ci).matchAll(/deno@(\d[\w.]*)/g)].map(([, version]) => version!);
  assert(versions.length > 0);
  versions.forEach((version) => checkDenoVersion(version));
});
