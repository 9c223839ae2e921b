/** TLS for the scenarios: pairs of recorders; the twin of tls_stage.py. */
import type { TlsOptions } from "../../mod.ts";
import { loop, portOf } from "../kit.ts";
import { clientTls, readCert, serverTls } from "../tls/kit.ts";
import type { BufferedRecorder, Recorder } from "./recorders.ts";
import type { Stage } from "./stage.ts";

/** Either kind of recorder. */
export type AnyRecorder = Recorder | BufferedRecorder;

/** What the scenarios change. */
export interface TlsChoices extends TlsOptions {
  /** The file of the authority that the client trusts. */
  ca?: string;
  /** The protocols of the server; `alpnProtocols` is the client's. */
  serverAlpn?: string[];
}

/** A client's `tls`. */
export function clientSide({ ca = "ca", serverAlpn: _, ...tls }: TlsChoices = {}): TlsOptions {
  return clientTls({ caCerts: [readCert(`${ca}.pem`)], ...tls });
}

/** Connects two recorders from the first byte on. */
export async function connectTls(t: Stage, client: AnyRecorder, server: AnyRecorder, choices: TlsChoices = {}) {
  const { serverAlpn } = choices;
  const listening = await t.serve(() => server, { tls: serverTls({ ...serverAlpn && { alpnProtocols: serverAlpn } }) });
  await loop.createConnection(() => client, { port: portOf(listening), tls: clientSide(choices) });
  await server.until("connection_made");
}

/** Connects two recorders in the clear. */
export async function connectPlain(t: Stage, client: AnyRecorder, server: AnyRecorder): Promise<void> {
  const listening = await t.serve(() => server);
  await t.connect(listening, client);
  await server.until("connection_made");
}

/** Upgrades a client. */
export async function ask(client: AnyRecorder, choices: TlsChoices = {}): Promise<void> {
  client.transport = await loop.startTls(client.transport, client, clientSide(choices));
}

/** Upgrades a server. */
export async function answer(server: AnyRecorder, tls: TlsOptions = {}): Promise<void> {
  server.transport = await loop.startTls(server.transport, server, { ...serverTls(tls), serverSide: true });
}

/** Upgrades both. */
export async function upgrade(client: AnyRecorder, server: AnyRecorder): Promise<void> {
  await Promise.all([ask(client), answer(server)]);
}
