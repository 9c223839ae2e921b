/**
 * Chains of certificates, good and bad, with the verdicts of OpenSSL, python3 and Deno's own TLS beside Tandem's. Every
 * twenty-first of them; `deno task certificates` goes through all.
 */
import { foreign } from "../program.ts";
import { assertEquals } from "../std.ts";
import { clientChains, serverChains, some } from "./chains.ts";
import { askPythonServer, askTandemServer } from "./client_verifiers.ts";
import { once } from "./once.ts";
import { findAccepted, findLaxer, findMistagged, findRefused } from "./verdicts.ts";
import { askDeno, askOpenssl, askPython, askTandem } from "./verifiers.ts";

// Prime to the number of variants of each chain, so that all variants occur.
const STEP = 21;
const OPENSSL_STEP = 42;

const chains = once(() => some(serverChains(), STEP));
const shownByClients = once(() => some(clientChains(), STEP));
// Whichever test comes first waits for what several compare.
const tandem = once(() => askTandem(chains()));
const tandemServer = once(() => askTandemServer(shownByClients()));
const deno = once(() => askDeno(chains()));

Deno.test("createConnection() refuses every bad chain", async () => {
  assertEquals(findAccepted(chains(), await tandem()), []);
});

Deno.test("createConnection() accepts every good chain, but those that are listed with a reason", async () => {
  assertEquals(findRefused(chains(), await tandem()), []);
});

Deno.test("createConnection() refuses every chain that Deno's own TLS refuses", async () => {
  assertEquals(findLaxer(chains(), await tandem(), { name: "Deno", verdicts: await deno() }), []);
});

foreign("python3", "createConnection() refuses every chain that python3 refuses", async () => {
  const verdicts = await askPython(chains());
  const python = { name: "python3", verdicts };
  assertEquals(findLaxer(chains(), await tandem(), python), []);
  assertEquals(findMistagged(chains(), [{ name: "Deno", verdicts: await deno() }, python]), []);
});

foreign("openssl", "createConnection() refuses every chain that openssl refuses", async () => {
  const few = some(chains(), OPENSSL_STEP / STEP);
  const { usual } = await askOpenssl(few, "sslserver");
  assertEquals(findLaxer(few, await tandem(), { name: "openssl", verdicts: usual }), []);
});

Deno.test("requestCert refuses every bad chain", async () => {
  assertEquals(findAccepted(shownByClients(), await tandemServer()), []);
});

Deno.test("requestCert accepts every good chain, but those that are listed with a reason", async () => {
  assertEquals(findRefused(shownByClients(), await tandemServer()), []);
});

foreign("python3", "requestCert refuses every chain that python3 refuses", async () => {
  const python = { name: "python3", verdicts: await askPythonServer(shownByClients()) };
  assertEquals(findLaxer(shownByClients(), await tandemServer(), python), []);
});

foreign("openssl", "requestCert refuses every chain that openssl refuses", async () => {
  const few = some(shownByClients(), OPENSSL_STEP / STEP);
  const { usual } = await askOpenssl(few, "sslclient");
  assertEquals(findLaxer(few, await tandemServer(), { name: "openssl", verdicts: usual }), []);
});
