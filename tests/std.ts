/** @std for the tests, with types: the one place that imports it. */
// @ts-types="./std_assert.d.ts"
export * from "@std/assert";
