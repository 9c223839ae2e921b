/** An option that a call does not have is an error that names the option that was meant. */
import { checkOptions, editDistance, type OptionRules } from "../../check_options.ts";
import { assertEquals, assertThrows } from "../std.ts";

const SERVER = new Set(["hostname", "port", "backlog", "reusePort", "closeTimeout", "noDelay", "keepAlive", "tls"]);
const TLS = new Set(["caCerts", "cert", "key", "alpnProtocols", "requestCert", "minVersion", "sni", "serverHostname"]);

/** What is said of these options. */
function message(options: unknown, known: Set<string> = SERVER, rules?: OptionRules): string {
  return assertThrows(() => checkOptions("createServer()", options, known, rules), TypeError).message;
}

for (
  const [name, meant, known] of [
    ["hostnam", "hostname", SERVER],
    ["prot", "port", SERVER],
    ["HostName", "hostname", SERVER],
    ["close_timeout", "closeTimeout", SERVER],
    ["reuse-port", "reusePort", SERVER],
    ["no_delay", "noDelay", SERVER],
    ["keepalive", "keepAlive", SERVER],
    ["host", "hostname", SERVER],
    ["address", "hostname", SERVER],
    ["ssl", "tls", SERVER],
    ["sslContext", "tls", SERVER],
    ["tcpBacklog", "backlog", SERVER],
    ["nodelay", "noDelay", SERVER],
    ["requestClientCert", "requestCert", TLS],
    ["ALPNProtocols", "alpnProtocols", TLS],
    ["ca", "caCerts", TLS],
    ["certfile", "cert", TLS],
    ["keyfile", "key", TLS],
    ["servername", "serverHostname", TLS],
    ["server_hostname", "serverHostname", TLS],
    ["SNICallback", "sni", TLS],
    ["minimum_version", "minVersion", TLS],
    ["sock", "conn", new Set(["conn", "signal"])],
    ["sock", "listener", new Set(["listener", "signal"])],
    ["local_addr", "localAddr", new Set(["localAddr", "remoteAddr"])],
    ["port", "localAddr", new Set(["localAddr", "remoteAddr"])],
    ["hihg", "high", new Set(["high", "low"])],
    ["highWaterMark", "high", new Set(["high", "low"])],
  ] as const
) {
  Deno.test(`checkOptions() suggests ${meant} for ${name}`, () => {
    assertEquals(message({ [name]: 1 }, known), `createServer(): ${name} is not an option; did you mean ${meant}?`);
  });
}

Deno.test("checkOptions() lists the options if none is near", () => {
  assertEquals(
    message({ colour: 1 }, new Set(["high", "low"])),
    "createServer(): colour is not an option; the options are high, low",
  );
  assertEquals(
    message({ colour: 1 }, new Set(["signal"])),
    "createServer(): colour is not an option; the only option is signal",
  );
});

Deno.test("checkOptions() counts an option that is undefined, or inherited", () => {
  assertEquals(message({ host: undefined }), "createServer(): host is not an option; did you mean hostname?");
  const inherits = Object.create({ host: "::1" });
  assertEquals(message(inherits), "createServer(): host is not an option; did you mean hostname?");
});

Deno.test("checkOptions() counts neither symbols nor what all objects inherit", () => {
  checkOptions("createServer()", { port: 0, [Symbol("tag")]: 1 }, SERVER);
  checkOptions("createServer()", Object.create(null), SERVER);
  class Config {
    port = 0;
    host(): void {}
  }
  checkOptions("createServer()", new Config(), SERVER);
  const prototype = Object.prototype as { polluted?: number };
  prototype.polluted = 1;
  try {
    checkOptions("createServer()", { port: 0 }, SERVER);
    assertEquals(message({ polluted: 1 }).startsWith("createServer(): polluted is not an option; "), true);
  } finally {
    delete prototype.polluted;
  }
});

Deno.test("checkOptions() reads no value", () => {
  const options = {
    get port(): never {
      throw new EvalError("of the getter");
    },
  };
  checkOptions("createServer()", options, SERVER);
});

Deno.test("checkOptions() refuses what is not a record", () => {
  for (
    const [options, described] of [
      [undefined, "undefined"],
      [null, "null"],
      [5, "number 5"],
      ["x", 'string "x"'],
      [["-l"], "Array"],
      [[], "Array"],
      [Promise.resolve({ port: 1 }), "Promise"],
      [AbortSignal.abort(), "AbortSignal"],
      [function port() {}, "function port"],
    ] as const
  ) assertEquals(message(options), `createServer(): options must be a plain object, got ${described}`);
  assertEquals(message(5, SERVER, { name: "limits" }), "createServer(): limits must be a plain object, got number 5");
});

Deno.test("checkOptions() puts the prefix before what was given and what was meant", () => {
  const rules = { prefix: "tls." };
  assertEquals(message({ ca: [] }, TLS, rules), "createServer(): tls.ca is not an option; did you mean tls.caCerts?");
  assertEquals(
    message({ colour: 1 }, new Set(["cert", "key"]), rules),
    "createServer(): tls.colour is not an option; the options are tls.cert, tls.key",
  );
  assertEquals(
    message({ "two words": 1 }, new Set(["cert", "key"]), rules),
    'createServer(): tls."two words" is not an option; the options are tls.cert, tls.key',
  );
});

Deno.test("checkOptions() suggests where an option that belongs elsewhere goes", () => {
  const rules = { foreign: { cert: "tls.cert", serverHostname: "tls.serverHostname" } };
  for (
    const [name, meant] of [
      ["cert", "tls.cert"],
      ["server_hostname", "tls.serverHostname"],
      ["servername", "tls.serverHostname"],
      ["serverHostnam", "tls.serverHostname"],
      ["hostnam", "hostname"],
    ]
  ) {
    const said = message({ [name!]: 1 }, SERVER, rules);
    assertEquals(said, `createServer(): ${name} is not an option; did you mean ${meant}?`);
  }
});

Deno.test("editDistance() counts letters that are added, missing, wrong or swapped", () => {
  for (
    const [a, b, distance] of [
      ["", "", 0],
      ["", "abc", 3],
      ["abc", "", 3],
      ["port", "port", 0],
      ["prot", "port", 1],
      ["por", "port", 1],
      ["ports", "port", 1],
      ["part", "port", 1],
      ["kitten", "sitting", 3],
      ["ca", "abc", 3],
    ] as const
  ) assertEquals([a, b, editDistance(a, b)], [a, b, distance]);
  assertEquals(editDistance("x".repeat(10_000), "port"), Infinity);
});
