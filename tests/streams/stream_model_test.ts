/** Random programs against a stream transport whose every completion is the test's; the promises must hold in all. */
import type { StreamCallbacks, Transport } from "../../mod.ts";
import type { StreamTransport } from "../../transports/stream_transport.ts";
import { assert, assertEquals } from "../std.ts";
import { captureExceptions, concat, makeRandom, pattern, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

/** One random program: what was done to a transport, what it did, and what must be true of the two. */
class Program {
  readonly #random: (below: number) => number;
  readonly #handle = new FakeHandle();
  readonly #transport: StreamTransport;
  readonly #history: string[] = [];
  /** Set while a method of the transport runs: only pauseWriting() may be called then. */
  #calling = false;
  #paused = false;
  #stopped = false;
  #aborted = false;
  #made = 0;
  #lost: (Error | null)[] = [];
  #error: Error | null = null;
  #eofs = 0;
  #eofWritten = false;
  #ended = false;
  #writingPaused = false;
  #delivered = 0;
  readonly #received: Uint8Array[] = [];
  readonly #written: Uint8Array[] = [];
  readonly #takenLater: Uint8Array[] = [];

  constructor(seed: number) {
    this.#random = makeRandom(seed);
    if (this.#random(4) === 0) this.#handle.takesAtOnce = 1 + this.#random(3000);
    const closeWrite = this.#handle.closeWrite.bind(this.#handle);
    this.#handle.closeWrite = () => {
      assert(same(this.#taken, concat(this.#written)), "the end comes after all that was written");
      return closeWrite();
    };
    this.#transport = makeTransport(this.#protocol(), this.#handle);
  }

  /** What the handle has taken, one way or the other. */
  get #taken(): Uint8Array {
    const atOnce = this.#handle.takesAtOnce;
    return concat(
      atOnce === undefined ? this.#takenLater : this.#handle.writes.map((data) => data.subarray(0, atOnce)),
    );
  }

  get history(): string {
    return this.#history.join(", ");
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) await this.#step();
    // To an end: all is delivered, all is taken, and then it closes.
    this.#call("resumeReading", (transport) => transport.resumeReading());
    this.#paused = false;
    for (let i = 0; i < 200; i++) {
      await turn();
      await this.#take(Infinity);
      if (this.#paused && !this.#stopped) {
        this.#call("resumeReading", (transport) => transport.resumeReading());
        this.#paused = false;
      }
    }
    if (!this.#stopped) {
      assert(same(concat(this.#received), pattern(this.#delivered)), "all that was delivered is received");
      assertEquals(this.#eofs, this.#ended ? 1 : 0);
      assert(same(this.#taken, concat(this.#written)), "all that was written is taken");
      assertEquals(this.#handle.closeWrites, this.#eofWritten ? 1 : 0);
      this.#end("close");
    }
    await turn();
    await this.#take(Infinity);
    await turn();
    assertEquals(this.#lost, [this.#error]);
    assertEquals([this.#made, this.#handle.closed], [1, true]);
    const received = concat(this.#received);
    assert(same(received, pattern(this.#delivered).subarray(0, received.length)), "received in order");
    const taken = this.#taken;
    assert(same(taken, concat(this.#written).subarray(0, taken.length)), "taken in order");
    if (!this.#aborted) assertEquals(taken.length, concat(this.#written).length, "all is flushed by close()");
  }

  async #step(): Promise<void> {
    switch (this.#random(12)) {
      case 0:
      case 1:
      case 2:
        return this.#deliver();
      case 3:
        return turn();
      case 4:
        return microtasks();
      case 5:
      case 6:
        return await this.#take(1 + this.#random(4000));
      case 7:
        if (this.#random(10) === 0) this.#finishReading();
        return;
      default:
        this.#act(false);
    }
  }

  #deliver(): void {
    const target = this.#handle.target;
    if (target === null) return;
    const count = Math.min(target.length, 1 + this.#random(2 ** this.#random(13)));
    this.#history.push(`deliver ${count}`);
    const data = pattern(this.#delivered + count).subarray(this.#delivered);
    this.#delivered += count;
    this.#handle.deliver(data);
  }

  /** The peer ends its half, or the connection breaks. */
  #finishReading(): void {
    if (!this.#handle.reading) return;
    if (this.#random(2) === 0) {
      this.#history.push("end");
      this.#ended = true;
      this.#handle.end();
    } else if (!this.#paused && !this.#stopped) {
      this.#history.push("fail");
      this.#stopped = this.#aborted = true;
      this.#error = new Deno.errors.ConnectionReset("reset");
      this.#handle.failRead(this.#error);
    }
  }

  async #take(count: number): Promise<void> {
    while (this.#handle.writing) {
      const posted = this.#handle.posted!;
      const n = Math.min(count, posted.length);
      this.#takenLater.push(posted.slice(0, n));
      await this.#handle.take(n);
      if (count !== Infinity) return;
    }
  }

  /** Does something to the transport, from outside or inside of a callback. */
  #act(inside: boolean): void {
    const size = 1 + this.#random(2 ** this.#random(15));
    switch (this.#random(inside ? 14 : 18)) {
      case 0:
      case 1:
        return this.#write("write", pattern(size, size));
      case 2:
        return this.#write("writeOwned", pattern(size, size));
      case 3:
      case 4:
        this.#paused = true;
        return this.#call("pauseReading", (transport) => transport.pauseReading());
      case 5:
      case 6:
      case 7:
        this.#paused = false;
        return this.#call("resumeReading", (transport) => transport.resumeReading());
      case 8:
        return this.#call("setProtocol", (transport) => transport.setProtocol(this.#protocol()));
      case 9: {
        const high = this.#random(5000);
        return this.#call(`high ${high}`, (transport) => transport.setWriteBufferLimits({ high }));
      }
      case 10:
        if (this.#random(8) > 0) return;
        this.#eofWritten ||= !this.#stopped;
        return this.#call("writeEof", (transport) => transport.writeEof());
      case 11:
        if (this.#random(20) === 0) this.#end("close");
        return;
      case 12:
        if (this.#random(40) === 0) this.#end("abort");
        return;
    }
  }

  #end(how: "close" | "abort"): void {
    this.#stopped = true;
    this.#aborted ||= how === "abort";
    this.#call(how, (transport) => transport[how]());
  }

  #write(method: "write" | "writeOwned", data: Uint8Array): void {
    if (this.#eofWritten) return;
    if (!this.#stopped) this.#written.push(new Uint8Array(data));
    this.#call(`${method} ${data.length}`, (transport) => transport[method](data));
    // It is the caller's again.
    if (method === "write") data.fill(255);
  }

  #call(what: string, call: (transport: Transport) => void): void {
    this.#history.push(what);
    assertEquals(this.#calling, false, "no callback but pauseWriting() runs inside a method");
    this.#calling = true;
    call(this.#transport);
    this.#calling = false;
  }

  /** What every callback must find. */
  #enter(what: string, isData: boolean): void {
    this.#history.push(what);
    assertEquals(this.#calling, false, `${what} inside a method`);
    assertEquals([this.#made, this.#lost.length], [1, 0], `${what} outside of the two ends`);
    if (isData) assertEquals([this.#paused, this.#stopped, this.#eofs], [false, false, 0], `${what} out of place`);
  }

  #protocol(): StreamCallbacks {
    const base: StreamCallbacks = {
      connectionMade: () => void this.#made++,
      eofReceived: () => {
        this.#enter("eofReceived", true);
        this.#eofs++;
        this.#act(true);
        const keepOpen = this.#random(3) > 0;
        this.#stopped ||= !keepOpen;
        return keepOpen;
      },
      pauseWriting: () => {
        this.#history.push("pauseWriting");
        assertEquals([this.#writingPaused, this.#lost.length], [false, 0]);
        this.#writingPaused = true;
      },
      resumeWriting: () => {
        this.#enter("resumeWriting", false);
        assertEquals(this.#writingPaused, true);
        this.#writingPaused = false;
        if (this.#random(4) === 0) this.#act(true);
      },
      connectionLost: (error) => {
        this.#enter("connectionLost", false);
        this.#lost.push(error);
      },
    };
    return this.#random(2) === 0 ? this.#plain(base) : this.#buffered(base);
  }

  #plain(base: StreamCallbacks): StreamCallbacks {
    return {
      ...base,
      dataReceived: (data) => {
        this.#enter(`dataReceived ${data.length}`, true);
        this.#received.push(new Uint8Array(data));
        if (this.#random(3) === 0) this.#write("writeOwned", data);
        if (this.#random(2) === 0) this.#act(true);
      },
    };
  }

  #buffered(base: StreamCallbacks): StreamCallbacks {
    const buffer = new Uint8Array(1 + this.#random(2 ** this.#random(14)));
    return {
      ...base,
      getBuffer: (sizeHint) => {
        assert(sizeHint > 0);
        assertEquals(this.#calling, false, "getBuffer() inside a method");
        return buffer;
      },
      bufferUpdated: (nbytes) => {
        this.#enter(`bufferUpdated ${nbytes}`, true);
        this.#received.push(buffer.slice(0, nbytes));
        if (this.#random(3) === 0) this.#write("writeOwned", buffer.subarray(0, nbytes));
        if (this.#random(2) === 0) this.#act(true);
      },
    };
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

Deno.test("a stream transport keeps its promises in 400 random programs", async () => {
  using captured = captureExceptions();
  for (let seed = 0; seed < 400; seed++) {
    const program = new Program(seed);
    let failure: Error | undefined;
    await program.run(60).catch((error) => failure = error);
    // What a callback finds out of order is told to the exception handler; it comes first.
    failure = captured.contexts[0]?.error ?? failure;
    if (failure) {
      throw new Error(`seed ${seed}: ${failure.message}\nafter ${program.history}`, { cause: failure });
    }
  }
});
