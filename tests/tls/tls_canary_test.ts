/** A Deno that does not say what rustls finds wrong with a certificate. */
import tls from "node:tls";
import { Protocol } from "../../mod.ts";
import { captureExceptions, loop, portOf, Recorder } from "../kit.ts";
import { assertEquals, assertRejects } from "../std.ts";
import { loadNodeTls, NO_STREAM } from "../../tls/node/node_tls.ts";
import { clientTls, HOST, serverTls } from "./kit.ts";

/** The class inside a `TLSSocket`. */
function classInside(): { verifyError(): string } {
  const socket = new tls.TLSSocket(NO_STREAM, { isServer: false });
  socket.on("error", () => {});
  const inside = Object.getPrototypeOf((socket as unknown as { _handle: object })._handle);
  socket.destroy();
  return inside;
}

Deno.test("createConnection() rejects where Deno does not tell what is wrong with a certificate", async () => {
  await loadNodeTls();
  using captured = captureExceptions();
  const inside = classInside();
  const { verifyError } = inside;
  const server = await loop.createServer(() => new Recorder(), { hostname: HOST, port: 0, tls: serverTls() });
  try {
    inside.verifyError = () => "";
    const where = { hostname: HOST, port: portOf(server) };
    const error = await assertRejects(
      () => loop.createConnection(() => new Protocol(), { ...where, tls: clientTls() }),
      Deno.errors.NotSupported,
    );
    assertEquals(/no server can be verified$/.test(error.message), true);
  } finally {
    inside.verifyError = verifyError;
    server.close();
    server.abortClients();
    await server.waitClosed();
  }
  // The client has closed its socket, which the server may report.
  captured.contexts.length = 0;
});
