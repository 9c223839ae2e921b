/** The PROXY protocol of connections: read by a server, written by a client. */
import { checkOptions, namesOf } from "../check_options.ts";
import { checkOneOf, checkTimeout } from "../checks.ts";
import { toError } from "../errors.ts";
import { encodeHeader, PROXY_HEADER_OPTIONS, type ProxyHeaderOptions } from "../proxy_protocol/encode_header.ts";
import { ProxyHeaderError } from "../proxy_protocol/proxy_header_error.ts";
import { TrustedPeers } from "../proxy_protocol/trusted_peers.ts";
import { MAX_HANDSHAKES } from "../tls/tls_options.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { orClose } from "../transports/or_close.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import { PendingSet } from "./pending_set.ts";
import { readProxyHeader } from "./read_proxy_header.ts";
import { ReportInterval } from "./report_interval.ts";

/** The default time limit of a header, in milliseconds. The specification asks for 3 seconds or more, for a lost packet. */
const TIMEOUT = 5000;

/** The PROXY protocol of a server: which peers are proxies. */
export interface ProxyProtocolOptions {
  /**
   * The proxies, by the addresses of their sockets: IP addresses, networks such as `"10.0.0.0/8"` or `"fd00::/8"`, and
   * `"unix"` for every peer of a Unix socket. An IPv4 address in the form `::ffff:10.0.0.1` counts as IPv4. Each connection of
   * a trusted peer must begin with a header, of version 1 or 2.
   */
  trusted: readonly string[];
  /**
   * What to do with a connection of any other peer. `"serve"` serves it with the addresses of its socket, and reads no header:
   * if the peer sends one, it is ordinary data. `"refuse"` closes it, and calls the exception handler, at most once a minute.
   *
   * @default {"serve"}
   */
  untrusted?: "serve" | "refuse" | undefined;
  /**
   * How long a header may take to arrive, in milliseconds.
   *
   * @default {5000}
   */
  timeout?: number | undefined;
}

/** The option of a client. */
export interface ProxyClientOptions {
  /**
   * Send a header of the PROXY protocol before everything else, TLS included, for a server that expects one. Without `source`
   * and `destination`, the header has the addresses of the connection itself.
   *
   * @default {undefined} no header
   */
  proxyProtocol?: ProxyHeaderOptions | undefined;
}

/** The options of a server, checked. */
export interface ProxyPlan {
  trusted: TrustedPeers;
  refuses: boolean;
  timeout: number;
}

const OPTIONS = namesOf<ProxyProtocolOptions>({ trusted: true, untrusted: true, timeout: true });

/** Checks the option of a server. */
export function planProxyServer(method: string, options: ProxyProtocolOptions | undefined): ProxyPlan | null {
  if (options === undefined) return null;
  const prefix = "proxyProtocol.";
  checkOptions(method, options, OPTIONS, { prefix, name: "proxyProtocol" });
  const { trusted, untrusted = "serve", timeout = TIMEOUT } = options;
  checkOneOf(method, `${prefix}untrusted`, untrusted, ["serve", "refuse"]);
  checkTimeout(method, `${prefix}timeout`, timeout, 1);
  return { trusted: new TrustedPeers(method, `${prefix}trusted`, trusted), refuses: untrusted === "refuse", timeout };
}

/** What stands between a server's listeners and its connections: reads the headers. */
export class ProxyGate {
  #loop: LoopContext;
  #plan: ProxyPlan;
  #serve: (end: StreamEnd) => void;
  #settle: () => void;
  /** The headers that are being read. */
  #pending = new PendingSet();
  /** Of peers that are not trusted: any client can be one. */
  #refused = new ReportInterval();

  /** `serve` gets each connection that may go on. `settle` is called when one is not pending any more. */
  constructor(loop: LoopContext, plan: ProxyPlan, serve: (end: StreamEnd) => void, settle: () => void) {
    this.#loop = loop;
    this.#plan = plan;
    this.#serve = serve;
    this.#settle = settle;
  }

  /** The number of headers that are being read. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Ends the connections whose headers are being read, and returns their number. `reason` is not reported. */
  abort(reason: unknown): number {
    return this.#pending.abort(reason);
  }

  /** Takes a connection. `abandoned`: the reason of an `abort()`. */
  accept(end: StreamEnd, abandoned: unknown): void {
    const { trusted, refuses } = this.#plan;
    if (trusted.has(end.extra.peername)) {
      this.#read(end, abandoned);
    } else if (refuses) {
      end.handle.close(true);
      const more = this.#refused.next(this.#loop.time());
      if (more !== null) this.#report(end, new ProxyHeaderError("its address is not in proxyProtocol.trusted"), more);
    } else {
      this.#serve(end);
    }
  }

  async #read(end: StreamEnd, abandoned: unknown): Promise<void> {
    const controller = this.#pending.add(MAX_HANDSHAKES, () => {
      return new ProxyHeaderError(
        `its PROXY header had to make room for newer ones: at most ${MAX_HANDSHAKES} are read`,
      );
    });
    let known: StreamEnd | null = null;
    try {
      known = await readProxyHeader(this.#loop, end, this.#plan.timeout, controller.signal);
    } catch (error) {
      if (error !== abandoned) this.#report(end, toError(error));
    }
    this.#pending.delete(controller);
    // Between the header and this line, the server may have given up its clients.
    if (controller.signal.aborted) known?.handle.close(true);
    else if (known !== null) this.#serve(known);
    this.#settle();
  }

  #report({ extra: { peername } }: StreamEnd, error: Error, more = ""): void {
    const from = peername !== undefined && "hostname" in peername
      ? `${peername.hostname} port ${peername.port}`
      : "a client";
    const message = `Connection from ${from} refused by the PROXY protocol${more}`;
    this.#loop.report({ message, error, ...peername !== undefined && { peername } });
  }
}

/** Makes the header of a connection, whose addresses are in `extra`. */
export type HeaderMaker = (extra: StreamEnd["extra"]) => Uint8Array;

/** Checks the option of a client, before anything connects. */
export function planProxyClient(method: string, options: ProxyHeaderOptions | undefined): HeaderMaker | null {
  if (options === undefined) return null;
  const prefix = "proxyProtocol.";
  checkOptions(method, options, PROXY_HEADER_OPTIONS, { prefix, name: "proxyProtocol" });
  // Copied, because the connection comes later. Checked without the addresses of the connection, which are not known yet.
  const given = { ...options };
  const header = encodeHeader(method, prefix, given);
  const { command, source, destination } = given;
  if (command === "local" || source !== undefined || destination !== undefined) return () => header;
  return ({ sockname, peername }) => {
    return encodeHeader(method, prefix, { ...given, source: sockname ?? null, destination: peername ?? null });
  };
}

/** Writes the header of a connection. If it rejects, the connection is closed. */
export async function writeProxyHeader(
  loop: LoopContext,
  end: StreamEnd,
  makeHeader: HeaderMaker,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { handle, extra } = end;
  await orClose(loop, handle, signal, async () => {
    let rest = makeHeader(extra);
    while (rest.length > 0) {
      rest = rest.subarray(await handle.write(rest));
      signal?.throwIfAborted();
    }
  });
}
