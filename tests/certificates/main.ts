/**
 * All chains and what each verifier says of them: `deno task certificates`; with a word, only those whose name has it,
 * and the reasons. In the table, + accepts and - refuses; `openssl verify -x509_strict` is there for comparison.
 */
import type { Chain } from "./chain.ts";
import { clientChains, serverChains } from "./chains.ts";
import { askPythonServer, askTandemServer } from "./client_verifiers.ts";
import { findAccepted, findLaxer, findMistagged, findRefused, findUnused, type Other } from "./verdicts.ts";
import { askDeno, askOpenssl, askPython, askTandem } from "./verifiers.ts";

const [word = ""] = Deno.args;
let failures = 0;

function report(title: string, lines: string[]): void {
  failures += lines.length;
  if (lines.length > 0) console.log(`\n${title} (${lines.length}):\n  ${lines.join("\n  ")}`);
}

function printAll(chains: Chain[], verifiers: Other[]): void {
  console.log(`\n${chains.length} chains: ${verifiers.map(({ name }) => name).join(", ")}`);
  for (const { name, expected } of chains) {
    const verdicts = verifiers.map(({ verdicts }) => verdicts.get(name)!);
    console.log(`${verdicts.map((why) => why === "" ? "+" : "-").join(" ")}  ${expected.padEnd(4)}  ${name}`);
    if (word === "") continue;
    for (const [i, why] of verdicts.entries()) if (why !== "") console.log(`    ${verifiers[i]!.name}: ${why}`);
  }
}

/** Prints what all say of chains, and what is wrong with it; the last is only for comparison. */
function compare(chains: Chain[], verifiers: Other[]): void {
  printAll(chains, verifiers);
  const [{ verdicts: tandem }, ...others] = verifiers.slice(0, -1) as [Other, ...Other[]];
  report("Tandem accepts what is bad", findAccepted(chains, tandem));
  for (const other of others) report(`Tandem is laxer than ${other.name}`, findLaxer(chains, tandem, other));
  report("Tandem refuses what is good", findRefused(chains, tandem));
}

const shown = serverChains().filter(({ name }) => name.includes(word));
const names = shown.map(({ name }) => name);
report("names that two chains have", names.filter((name, i) => names.indexOf(name) < i));

const openssl = await askOpenssl(shown, "sslserver");
const tandem = await askTandem(shown);
const others = [
  { name: "Deno", verdicts: await askDeno(shown) },
  { name: "python3", verdicts: await askPython(shown) },
  { name: "openssl", verdicts: openssl.usual },
];
console.log("Shown by a server:");
compare(shown, [{ name: "Tandem", verdicts: tandem }, ...others, { name: "strict", verdicts: openssl.strict }]);
report("Not what they are said to be", findMistagged(shown, others));
report("Exceptions that are none", findUnused(shown, tandem, others));

const clients = clientChains().filter(({ name }) => name.includes(word));
const ofClients = await askOpenssl(clients, "sslclient");
console.log("\nShown by a client:");
compare(clients, [
  { name: "Tandem", verdicts: await askTandemServer(clients) },
  { name: "python3", verdicts: await askPythonServer(clients) },
  { name: "openssl", verdicts: ofClients.usual },
  { name: "strict", verdicts: ofClients.strict },
]);
console.log(failures === 0 ? "\nAll as it should be." : `\n${failures} wrong.`);
Deno.exit(failures === 0 ? 0 : 1);
