/** What `limits` accepts, and what counts as one peer. */
import type { EventLoop, LimitOptions } from "../../mod.ts";
import { peerKey } from "../../loop/peer_key.ts";
import { loop, Recorder } from "../kit.ts";
import { assertEquals, assertRejects } from "../std.ts";
import { HOST, SERVER } from "../tls/kit.ts";

async function said(limits: unknown, ErrorClass: typeof TypeError | typeof RangeError, tls?: object) {
  const options = { hostname: HOST, port: 0, limits, ...tls && { tls } } as Parameters<EventLoop["createServer"]>[1];
  const error = await assertRejects(() => loop.createServer(() => new Recorder(), options), ErrorClass);
  assertEquals(error.constructor, ErrorClass);
  return error.message;
}

for (const name of ["maxConnections", "maxConnectionsPerPeer", "maxHandshakes"]) {
  Deno.test(`limits.${name} is a whole number from 1`, async () => {
    for (const value of [0, -1, 1.5, NaN, Infinity]) {
      const text = `createServer(): limits.${name} must be a whole number, 1 or more, got number ${value}`;
      assertEquals(await said({ [name]: value }, RangeError), text);
    }
    for (const value of ["5", null]) await said({ [name]: value }, TypeError);
  });
}

for (const name of ["idleTimeout", "lifetime", "writeTimeout"]) {
  Deno.test(`limits.${name} is a number of milliseconds from 1`, async () => {
    for (const value of [0, -1, NaN, Infinity, 2 ** 31]) {
      const range = "a number of milliseconds from 1 to 2147483647";
      const text = `createServer(): limits.${name} must be ${range}, got number ${value}`;
      assertEquals(await said({ [name]: value }, RangeError), text);
    }
    for (const value of ["5", null]) await said({ [name]: value }, TypeError);
  });
}

Deno.test("limits.progress requires bytes and within", async () => {
  const prefix = "createServer(): limits.progress";
  assertEquals(await said({ progress: 5 }, TypeError), `${prefix} must be a plain object, got number 5`);
  assertEquals(
    await said({ progress: { bytes: 0, within: 5 } }, RangeError),
    `${prefix}.bytes must be a whole number of bytes, 1 or more, got number 0`,
  );
  assertEquals(
    await said({ progress: { bytes: 5 } }, TypeError),
    `${prefix}.within must be a number of milliseconds from 1 to 2147483647, got undefined`,
  );
  assertEquals(
    await said({ progress: { bytes: 5, within: -1 } }, RangeError),
    `${prefix}.within must be a number of milliseconds from 1 to 2147483647, got number -1`,
  );
  assertEquals(
    await said({ progress: { bytes: 5, withn: 1 } }, TypeError),
    `${prefix}.withn is not an option; did you mean limits.progress.within?`,
  );
});

Deno.test("limits rejects other values, misspelt names, and a second maxHandshakes", async () => {
  assertEquals(await said(5, TypeError), "createServer(): limits must be a plain object, got number 5");
  assertEquals(await said(null, TypeError), "createServer(): limits must be a plain object, got null");
  assertEquals(
    await said({ idle_timeout: 1 }, TypeError),
    "createServer(): limits.idle_timeout is not an option; did you mean limits.idleTimeout?",
  );
  assertEquals(
    await said({ whenFull: "drop" }, TypeError),
    'createServer(): limits.whenFull must be "wait" or "refuse", got string "drop"',
  );
  assertEquals(
    await said({ onLimit: 5 }, TypeError),
    "createServer(): limits.onLimit must be a function, got number 5",
  );
  assertEquals(
    await said({ maxHandshakes: 5 }, TypeError, { ...SERVER, maxHandshakes: 5 }),
    "createServer(): limits.maxHandshakes and tls.maxHandshakes cannot both be given",
  );
  const options = { path: "/nonexistent/x", limits: { maxConnections: 0 } };
  const error = await assertRejects(() => loop.createUnixServer(() => new Recorder(), options), RangeError);
  assertEquals(error.message.split(" must")[0], "createUnixServer(): limits.maxConnections");
});

Deno.test("limits reads each value once, and later changes change nothing", async () => {
  let count = 0;
  const limits: LimitOptions = {
    get maxConnections() {
      return ++count;
    },
  };
  await using _server = await loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, limits });
  assertEquals(count, 1);
});

Deno.test("peerKey() is an IPv4 address, the /64 of an IPv6 address, or a link-local address", () => {
  const keyOf = (hostname: string) => peerKey({ transport: "tcp", hostname, port: 1 });
  const keys: Record<string, string> = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "[::ffff:192.0.2.1]": "192.0.2.1",
    "0:0:0:0:0:ffff:192.0.2.1": "192.0.2.1",
    "2001:db8::1": "2001:db8::/64",
    "2001:0DB8:0000:0000:ffff:ffff:ffff:ffff": "2001:db8::/64",
    "2001:db8:0:1::": "2001:db8:0:1::/64",
    "1:2:3:4:5:6:7:8": "1:2:3:4::/64",
    "::1": "::/64",
    "fe80::1%eth0": "fe80::1%eth0",
    "fe80::2%eth0": "fe80::2%eth0",
    "not:an:address": "not:an:address",
  };
  for (const [hostname, key] of Object.entries(keys)) assertEquals(keyOf(hostname), key, hostname);
  assertEquals([peerKey(null), peerKey({ transport: "unix", path: "" })], [null, null]);
});
