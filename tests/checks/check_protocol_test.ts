/** A protocol whose callbacks cannot be meant is refused, and a suspicious one is reported once, in debug mode. */
import {
  BaseProtocol,
  BufferedProtocol,
  DatagramProtocol,
  type ExceptionContext,
  Protocol,
  SubprocessProtocol,
} from "../../mod.ts";
import { FixedLengthProtocol, LengthPrefixedProtocol, LineProtocol, NetstringProtocol } from "../../framing/mod.ts";
import type { LoopContext } from "../../transports/loop_context.ts";
import { checkCallbacks, type ProtocolKind } from "../../check_protocol.ts";
import { assertEquals, assertLess, assertThrows } from "../std.ts";
import { BufferedRecorder, Recorder } from "../kit.ts";

/** The little of a loop that is used, and what was reported. */
function makeLoop(debug: boolean): { loop: LoopContext; messages: string[] } {
  const messages: string[] = [];
  const report = ({ message }: ExceptionContext) => void messages.push(message);
  return { loop: { debug, report } as unknown as LoopContext, messages };
}

/** What a protocol is refused for, without its beginning. */
function refusal(protocol: object, kind: ProtocolKind = "stream"): string {
  const { message } = assertThrows(
    () => checkCallbacks(makeLoop(false).loop, "setProtocol()", protocol, kind),
    TypeError,
  );
  return message.replace(/^setProtocol\(\): protocol \w+ /, "");
}

/** What debug mode reports of a protocol that is accepted. */
function warnings(protocol: object, kind: ProtocolKind = "stream"): string[] {
  const { loop, messages } = makeLoop(true);
  checkCallbacks(loop, "setProtocol()", protocol, kind);
  return messages.map((message) => message.replace(/^Protocol \w+ /, ""));
}

const nothing = () => {};

for (
  const [name, callback, kind] of [
    ["dataRecieved", "dataReceived", "stream"],
    ["dataRecived", "dataReceived", "stream"],
    ["dataReceive", "dataReceived", "stream"],
    ["data_received", "dataReceived", "stream"],
    ["datareceived", "dataReceived", "stream"],
    ["DataReceived", "dataReceived", "stream"],
    ["conectionMade", "connectionMade", "stream"],
    ["connection_made", "connectionMade", "stream"],
    ["connection_lost", "connectionLost", "stream"],
    ["eofRecieved", "eofReceived", "stream"],
    ["puaseWriting", "pauseWriting", "stream"],
    ["resumeWritting", "resumeWriting", "stream"],
    ["datagramRecieved", "datagramReceived", "datagram"],
    ["error_received", "errorReceived", "datagram"],
    ["pipe_data_received", "pipeDataReceived", "subprocess"],
    ["processExitted", "processExited", "subprocess"],
  ] as const
) {
  Deno.test(`a ${kind} protocol with ${name}() is refused, as a plain object and as a class`, () => {
    const message = `has ${name}(), which is never called; did you mean ${callback}()?`;
    assertEquals(refusal({ [name]: nothing }, kind), message);
    for (const Base of [Object, BaseProtocol]) {
      class Typo extends Base {}
      Object.defineProperty(Typo.prototype, name, { value: nothing, configurable: true });
      assertEquals(refusal(new Typo(), kind), message);
    }
  });
}

Deno.test("drain() is a callback of streams; another spelling is refused, and other words that are like it are not", () => {
  assertEquals(warnings({ drain: nothing }), []);
  assertEquals(refusal({ Drain: nothing }), "has Drain(), which is never called; did you mean drain()?");
  assertEquals(warnings({ drains: nothing }), ["has drains(), which is like drain(), but no drain()"]);
  for (const name of ["train", "main", "draining", "isDrained", "onDrain", "run"]) {
    assertEquals(warnings({ [name]: nothing }), [], name);
  }
  assertEquals(refusal({ *drain() {} }), "has a generator function as drain(), whose body would never run");
});

Deno.test("a misspelt callback of a subclass is found, also as a field, and every time", () => {
  class Echo extends Protocol {
    dataRecieved(): void {}
  }
  class Louder extends Echo {}
  class Field extends Protocol {
    dataRecieved = nothing;
  }
  for (const Class of [Echo, Louder, Field]) {
    for (let i = 0; i < 2; i++) {
      assertEquals(refusal(new Class()), "has dataRecieved(), which is never called; did you mean dataReceived()?");
    }
  }
  const { loop } = makeLoop(false);
  const { message } = assertThrows(() => checkCallbacks(loop, "createServer()", new Echo(), "stream"), TypeError);
  assertEquals(
    message,
    "createServer(): protocol Echo has dataRecieved(), which is never called; did you mean dataReceived()?",
  );
});

Deno.test("half of getBuffer() and bufferUpdated() is refused", () => {
  const noGetBuffer = "has bufferUpdated() but no getBuffer(), so it is never called";
  const noUpdated = "has getBuffer() but no bufferUpdated(), so it is never called";
  class OnlyUpdated extends Protocol {
    bufferUpdated(): void {}
  }
  class OnlyGet extends Protocol {
    getBuffer(): Uint8Array {
      return new Uint8Array(1);
    }
  }
  assertEquals(refusal(new OnlyUpdated()), noGetBuffer);
  assertEquals(refusal({ bufferUpdated: nothing }), noGetBuffer);
  assertEquals(refusal({ bufferUpdated: nothing, getBuffer: undefined }), noGetBuffer);
  assertEquals(refusal({ bufferUpdated: nothing, dataReceived: nothing }), noGetBuffer);
  assertEquals(refusal(new OnlyGet()), noUpdated);
  assertEquals(refusal({ getBuffer: nothing }), noUpdated);
  assertEquals(
    refusal({ getBufer: nothing, bufferUpdated: nothing }),
    "has getBufer(), which is never called; did you mean getBuffer()?",
  );
  class Typo extends BufferedProtocol {
    bufferUpdatd(): void {}
  }
  assertEquals(refusal(new Typo()), "has bufferUpdatd(), which is never called; did you mean bufferUpdated()?");
});

Deno.test("dataReceived() beside getBuffer() and bufferUpdated() is refused", () => {
  const both = "has dataReceived(), which is never called, because it also has getBuffer() and bufferUpdated()";
  class Both extends Protocol {
    override dataReceived(): void {}
    getBuffer(): Uint8Array {
      return new Uint8Array(1);
    }
    bufferUpdated(): void {}
  }
  class Mixed extends BufferedProtocol {
    dataReceived(): void {}
  }
  assertEquals(refusal(new Both()), both);
  assertEquals(refusal(new Mixed()), both);
  assertEquals(refusal({ dataReceived: nothing, getBuffer: nothing, bufferUpdated: nothing }), both);
});

Deno.test("a generator function as a callback is refused", () => {
  class Yields extends Protocol {
    override *dataReceived(): Generator<number> {}
  }
  assertEquals(refusal(new Yields()), "has a generator function as dataReceived(), whose body would never run");
  assertEquals(
    refusal({ async *connectionLost() {} }, "datagram"),
    "has a generator function as connectionLost(), whose body would never run",
  );
});

Deno.test("names that only resemble a callback's, and callbacks that are delegated, are accepted without a word", () => {
  class Helpers extends Protocol {
    readonly connectionLosts = 0;
    dataReceivedCount(): void {}
    onDataReceived(): void {}
    receivedData(): void {}
    handleData(): void {}
    getBuffers(): void {}
    buffer(): void {}
    bufferUpdate(): void {}
    _connectionLost(): void {}
    connectionLost_(): void {}
    isConnectionMade(): void {}
    reconnectionMade(): void {}
    pausedWriting(): void {}
    get dataReceivd(): () => void {
      throw new Error("read");
    }
    override dataReceived(): void {}
    override pauseWriting(): void {}
  }
  // With the callback itself there, a name beside it is the author's own.
  class Beside extends Protocol {
    override dataReceived(): void {}
    dataRecieved(): void {}
    data_received(): void {}
  }
  class Inner {
    #inner = new Recorder();
    connectionMade = this.#inner.connectionMade.bind(this.#inner);
    dataReceived(data: Uint8Array): void {
      this.#inner.dataReceived(data);
    }
    connectionLost(error: Error | null): void {
      this.#inner.connectionLost(error);
    }
  }
  class Counter extends BufferedProtocol {
    override bufferUpdated(): void {}
  }
  class Discard extends BufferedProtocol {
    override getBuffer(): Uint8Array {
      return new Uint8Array(10);
    }
  }
  for (
    const protocol of [
      {},
      Object.create(null),
      new BaseProtocol(),
      new Protocol(),
      new BufferedProtocol(),
      new Recorder(),
      new BufferedRecorder(),
      new Helpers(),
      new Beside(),
      new Inner(),
      new Counter(),
      new Discard(),
      { dataReceived: nothing, dataRecieved: nothing },
      { connectionMade: nothing, total: 0, next: nothing },
      { onDataReceived: nothing, isDataReceived: nothing, dataReceivedAt: nothing },
    ]
  ) assertEquals(warnings(protocol), []);
  assertEquals(warnings(new DatagramProtocol(), "datagram"), []);
  assertEquals(warnings(new SubprocessProtocol(), "subprocess"), []);
  assertEquals(warnings(new Protocol(), "datagram"), []);
});

Deno.test("debug mode reports async callbacks of a stream, once for each class", () => {
  class Async extends Protocol {
    override async dataReceived(): Promise<void> {}
    // The types refuse this one, JavaScript does not.
    override eofReceived = (async () => {}) as unknown as () => void;
  }
  const { loop, messages } = makeLoop(true);
  for (let i = 0; i < 3; i++) checkCallbacks(loop, "createServer()", new Async(), "stream");
  const expected = [
    "Protocol Async has an async dataReceived(): the next call does not wait for this one to end",
    "Protocol Async has an async eofReceived(): its answer comes too late, so the transport closes",
  ];
  assertEquals(messages, expected);
  // Another loop has not been told.
  const other = makeLoop(true);
  checkCallbacks(other.loop, "createServer()", new Async(), "stream");
  assertEquals(other.messages, expected);
  const quiet = makeLoop(false);
  checkCallbacks(quiet.loop, "createServer()", new Async(), "stream");
  assertEquals(quiet.messages, []);
  assertEquals(warnings({ getBuffer: async () => {}, async bufferUpdated() {} }), [
    "has an async bufferUpdated(): the memory is read into again before this call has ended",
    "has an async getBuffer(): it returns a promise, not memory",
  ]);
});

Deno.test("a protocol of frames with a misspelt callback is refused, and debug mode reports what may be one", () => {
  class Misspelt extends LineProtocol {
    frameRecieved(): void {}
  }
  assertEquals(refusal(new Misspelt()), "has frameRecieved(), which is never called; did you mean frameReceived()?");
  class Raw extends LineProtocol {
    raw_received(): void {}
  }
  assertEquals(refusal(new Raw()), "has raw_received(), which is never called; did you mean rawReceived()?");
  class Generates extends NetstringProtocol {
    override *frameReceived(): Generator {}
  }
  assertEquals(refusal(new Generates()), "has a generator function as frameReceived(), whose body would never run");
  class FromTwisted extends LineProtocol {
    lineReceived(): void {}
  }
  assertEquals(warnings(new FromTwisted()), [
    "has lineReceived(), which is like frameReceived(), but no frameReceived()",
  ]);
  class Async extends LengthPrefixedProtocol {
    override async frameReceived(): Promise<void> {}
  }
  assertEquals(warnings(new Async()), [
    "has an async frameReceived(): the next frame does not wait for this call to end, and can overwrite this one",
  ]);
  // Only what the class calls: other protocols can have methods of these names, and so can one with both.
  class Both extends FixedLengthProtocol {
    override frameReceived(): void {}
    framesReceived(): void {}
    rawRecieved(): void {}
  }
  assertEquals(warnings(new Both({ length: 1 })), []);
  assertEquals(warnings({ async frameReceived() {}, frameRecieved: nothing, lineReceived: nothing }), []);
});

Deno.test("debug mode reports what may be a mistake, and no error is made of it", () => {
  class List extends Protocol {
    connectionList(): void {}
    override dataReceived(): void {}
    getBuffer(): void {}
  }
  assertEquals(warnings(new List()), [
    "has connectionList(), which is like connectionLost(), but no connectionLost()",
    "has getBuffer() but no bufferUpdated(), so it receives by dataReceived()",
  ]);
  class Fast extends Recorder {
    getBuffer(): Uint8Array {
      return new Uint8Array(1);
    }
    bufferUpdated(): void {
      this.dataReceived(new Uint8Array(1));
    }
  }
  assertEquals(warnings(new Fast()), [
    "has dataReceived(), which is never called, because it also has getBuffer() and bufferUpdated()",
  ]);
  assertEquals(warnings(new Recorder(), "datagram"), [
    "has dataReceived(), which a datagram transport does not call",
  ]);
});

Deno.test("checkCallbacks() reads no getter, and accepts a proxy that throws", () => {
  const unread = {
    get dataReceived(): never {
      throw new Error("read");
    },
    get bufferUpdated(): never {
      throw new Error("read");
    },
    get getBuffer(): never {
      throw new Error("read");
    },
  };
  assertEquals(warnings(unread), []);
  const throws = () => {
    throw new EvalError("of the proxy");
  };
  for (const trap of ["ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf"]) {
    assertEquals(warnings(new Proxy({ dataRecieved: nothing }, { [trap]: throws })), []);
  }
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertEquals(warnings(proxy), []);
});

Deno.test("checkCallbacks() looks at a class and a factory of plain objects once", () => {
  const { loop } = makeLoop(false);
  let looks = 0;
  const looked = <T extends object>(target: T): T =>
    new Proxy(target, {
      ownKeys(target) {
        looks++;
        return Reflect.ownKeys(target);
      },
    });
  class Echo extends Protocol {}
  for (let i = 0; i < 3; i++) checkCallbacks(loop, "createServer()", looked(new Echo()), "stream");
  assertEquals(looks, 1);
  const factory = () => looked({ dataReceived: nothing });
  for (let i = 0; i < 3; i++) checkCallbacks(loop, "createServer()", factory(), "stream", factory);
  assertEquals(looks, 2);
});

Deno.test("checkCallbacks() costs less than a microsecond for all but the first of a class", () => {
  const { loop } = makeLoop(false);
  const protocol = new Recorder();
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    const start = performance.now();
    for (let i = 0; i < 10_000; i++) checkCallbacks(loop, "createServer()", protocol, "stream");
    times.push((performance.now() - start) / 10_000);
  }
  // 20 to 40 ns on a quiet machine; the bound allows for a busy one.
  assertLess(Math.min(...times), 0.001);
});
