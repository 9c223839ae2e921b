/** What is made of verdicts: Tandem is never laxer than the others, nor stricter than it must be. */
import type { Chain } from "./chain.ts";
import { isOverOpenssl } from "../engine.ts";
import { LAXER, type Reasons, REFUSED, REFUSED_BY_OPENSSL } from "./exceptions.ts";
import type { Verdicts } from "./verifiers.ts";

/** The verdicts of another verifier, with its name. */
export interface Other {
  name: string;
  verdicts: Verdicts;
}

/** Why a chain is in a list, if it is. */
function reason(list: Reasons, name: string): string | undefined {
  return list.find(({ chains }) => typeof chains === "string" ? chains === name : chains.test(name))?.why;
}

/**
 * Finds chains that Tandem accepts though another refuses them. Over OpenSSL, those that the RFCs leave open are OpenSSL's to
 * decide, as in asyncio: rustls refuses 40 of them.
 *
 * @returns A line for each that is not in the list.
 */
export function findLaxer(chains: Chain[], tandem: Verdicts, other: Other): string[] {
  const isMet = isOverOpenssl() && other.name === "Deno";
  return chains.filter(({ expected }) => !isMet || expected === "bad").flatMap(({ name }) => {
    const theirs = other.verdicts.get(name);
    if (theirs === undefined) throw new Error(`${other.name} was not asked about ${name}`);
    const isLaxer = tandem.get(name) === "" && theirs !== "";
    return isLaxer && reason(LAXER, name) === undefined ? [`${name}: ${other.name}: ${theirs}`] : [];
  });
}

/** Finds chains that Tandem must refuse, whatever others do, and does not. */
export function findAccepted(chains: Chain[], tandem: Verdicts): string[] {
  return chains.filter(({ name, expected }) => expected === "bad" && tandem.get(name) === "").map(({ name }) => name);
}

/** Finds good chains that Tandem refuses, and those in the list that it accepts. */
export function findRefused(chains: Chain[], tandem: Verdicts): string[] {
  return chains.filter(({ expected }) => expected === "good").flatMap(({ name }) => {
    const ours = tandem.get(name)!;
    const why = reason(isOverOpenssl() ? REFUSED_BY_OPENSSL : REFUSED, name);
    if ((ours === "") === (why === undefined)) return [];
    return [why === undefined ? `${name}: ${ours}` : `${name}: accepted, though it is in the list`];
  });
}

/** Finds chains that are not what they are said to be, if all others agree: the maker is wrong. */
export function findMistagged(chains: Chain[], others: Other[]): string[] {
  return chains.flatMap(({ name, expected }) => {
    if (expected === "open") return [];
    const accepted = others.map(({ verdicts }) => verdicts.get(name) === "");
    return accepted.includes(expected === "good") ? [] : [`${name} is ${expected}, and all others disagree`];
  });
}

/** Finds chains in the list of laxer ones that are none. */
export function findUnused(chains: Chain[], tandem: Verdicts, others: Other[]): string[] {
  if (isOverOpenssl()) return [];
  const isLaxer = (name: string) => tandem.get(name) === "" && others.some(({ verdicts }) => verdicts.get(name) !== "");
  return chains.map(({ name }) => name).filter((name) => reason(LAXER, name) !== undefined && !isLaxer(name));
}
