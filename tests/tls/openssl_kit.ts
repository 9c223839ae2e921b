/** For the tests of TLS by OpenSSL: a loop over it, pairs, and its functions in tests' hands. */
import { EventLoop, type Protocol, type TlsOptions, type Transport } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { callbacks } from "../../tls/openssl/callbacks.ts";
import { hookCallbacks } from "../../tls/openssl/hooks.ts";
import { hasLibssl, type Libssl, openLibssl } from "../../tls/openssl/libssl.ts";
import { portOf, Recorder } from "../kit.ts";
import { HOST, SERVER, TRUSTING } from "./kit.ts";

export const hasOpenssl = EpollEngine.isSupported().supported && hasLibssl();
// Here, because a callback that is made inside a test is a leak for Deno's sanitizer.
if (hasOpenssl) {
  callbacks();
  hookCallbacks();
}

/** A test that needs OpenSSL 3. */
export function opensslTest(name: string, fn: () => Promise<void> | void): void {
  Deno.test(hasOpenssl ? name : `${name} (skipped: no OpenSSL 3)`, { ignore: !hasOpenssl }, fn);
}

/** Makes a loop whose TLS is OpenSSL's. */
export function opensslLoop(): EventLoop {
  return new EventLoop({ engine: new EpollEngine({ tls: "openssl" }) });
}

/** Replaces a function of OpenSSL until the scope is left. */
export function replaceSsl<K extends keyof Libssl>(
  name: K,
  replacement: (real: Libssl[K], ...args: Parameters<Libssl[K]>) => ReturnType<Libssl[K]>,
): Disposable {
  const lib = openLibssl();
  const real = lib[name];
  Object.assign(lib, { [name]: (...args: Parameters<Libssl[K]>) => replacement(real, ...args) });
  return { [Symbol.dispose]: () => void Object.assign(lib, { [name]: real }) };
}

/** Connects once, asks the client's transport, and closes. Errors of the server go to `onError`. */
export async function negotiate<T>(
  server: TlsOptions,
  client: TlsOptions,
  ask: (transport: Transport) => T,
  onError: (error: unknown) => void = () => {},
): Promise<T> {
  const loop = opensslLoop();
  loop.setExceptionHandler((context) => onError(context.error));
  const accepted: Recorder[] = [];
  const factory = () => {
    const protocol = new Recorder();
    accepted.push(protocol);
    return protocol as unknown as Protocol;
  };
  const served = await loop.createServer(factory, { hostname: HOST, port: 0, tls: { ...SERVER, ...server } });
  try {
    const protocol = new Recorder();
    const options = { hostname: HOST, port: portOf(served), tls: { ...TRUSTING, ...client } };
    const [transport] = await loop.createConnection(() => protocol, options);
    const answer = ask(transport);
    transport.close();
    await protocol.untilLost();
    return answer;
  } finally {
    served.close();
    served.abortClients();
    await served.waitClosed();
    for (const protocol of accepted) await protocol.untilLost();
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
  }
}
