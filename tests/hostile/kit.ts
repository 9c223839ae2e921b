/** Promises and protocols that work against the code that looks at them. */
import vm from "node:vm";
import type { StreamCallbacks } from "../../mod.ts";

/** Throws, whatever it is asked for. */
function refuse(): never {
  throw new Error("of the getter");
}

class Overrides<T> extends Promise<T> {
  override then(): never {
    return refuse();
  }
  override catch(): never {
    return refuse();
  }
}

class SpeciesThrows<T> extends Promise<T> {
  static override get [Symbol.species](): never {
    return refuse();
  }
}

/** What `then` makes of such a promise throws when it is settled, in a microtask of its own. */
class SpeciesBites<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return function (executor: (resolve: unknown, reject: unknown) => void): void {
      executor(refuse, refuse);
    } as unknown as PromiseConstructor;
  }
}

function turnInto(Class: { prototype: object }): (promise: Promise<unknown>) => Promise<unknown> {
  return (promise) => Object.setPrototypeOf(promise, Class.prototype);
}

/** Gives a promise a property of its own. */
function withOwn(name: string, property: PropertyDescriptor): (promise: Promise<unknown>) => Promise<unknown> {
  return (promise) => Object.defineProperty(promise, name, property);
}

/** Ways to make a promise hard to handle; each is given one that nothing has handled. */
export const DISGUISES: Record<string, (promise: Promise<unknown>) => Promise<unknown>> = {
  "nothing strange": (promise) => promise,
  "a then that throws": withOwn("then", { value: refuse }),
  "a then that is deaf": withOwn("then", { value: () => {} }),
  "a getter of then that throws": withOwn("then", { get: refuse }),
  "a catch that throws": withOwn("catch", { value: refuse }),
  "a catch that is deaf": withOwn("catch", { value: () => {} }),
  "a then and a catch of its class that throw": turnInto(Overrides),
  "a species that throws": turnInto(SpeciesThrows),
  "a species that throws later": turnInto(SpeciesBites),
  "a constructor that throws": withOwn("constructor", { get: refuse, configurable: true }),
  "a constructor that is none": withOwn("constructor", { value: 5, configurable: true }),
  "a constructor that throws the second time": (promise) => {
    let count = 0;
    return withOwn("constructor", { get: () => count++ === 0 ? Promise : refuse(), configurable: true })(promise);
  },
  "no prototype": (promise) => Object.setPrototypeOf(promise, null),
  "another realm": (promise) => {
    const foreign = vm.runInNewContext("Promise.withResolvers()") as PromiseWithResolvers<unknown>;
    promise.then(foreign.resolve, foreign.reject);
    return foreign.promise;
  },
  "a proxy that forwards": (promise) =>
    new Proxy(promise, {
      get: (target, key) => {
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
};

/** Those that cannot be awaited either: a rejection can be told, a value cannot be had. */
export const SEALED: typeof DISGUISES = {
  "a constructor that throws and cannot be replaced": withOwn("constructor", { get: refuse }),
  "a frozen species that throws": (promise) => Object.freeze(turnInto(SpeciesThrows)(promise)),
  "a frozen species that throws later": (promise) => Object.freeze(turnInto(SpeciesBites)(promise)),
};

/** Protocols that throw when they are looked at, the first time that a transport does so. */
export const HOSTILE_PROTOCOLS: Record<string, () => StreamCallbacks> = {
  "a getter of getBuffer that throws": () => ({
    get getBuffer() {
      return refuse();
    },
  }),
  "a getter of bufferUpdated that throws": () => ({
    getBuffer: () => new Uint8Array(8),
    get bufferUpdated() {
      return refuse();
    },
  }),
  "a proxy that throws": () => new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse }),
  "a proxy that is revoked": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
};
