/** Clients that break the handshake, at every moment at which they can: the server names the cause, and goes on. */
import { connect as connectNode } from "node:net";
import { TlsError, type TlsOptions } from "../../mod.ts";
import { assertEquals, assertInstanceOf, assertMatch } from "../std.ts";
import { bytes, captureExceptions, concat, pattern, portOf, Recorder } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { readAll, readBytes, resetNode, writeAll } from "../streams/kit.ts";
import { CA, createServer, ENGINES, HOST, roundTrip, SERVER } from "./kit.ts";

/** The header of a record has its type, its version and its length. */
const HEADER = 5;

/** A server of both engines, which must take one good client after every bad one. */
async function besiege(
  native: boolean,
  attack: (port: number) => Promise<void>,
  check: (error: Error) => void,
  tls: TlsOptions = {},
): Promise<void> {
  using captured = captureExceptions();
  let made = 0;
  const factory = () => (made++, new Recorder());
  await using server = await createServer(factory, {
    hostname: HOST,
    port: 0,
    tls: { ...SERVER, native, ...tls },
  });
  await attack(portOf(server));
  await captured.log.has("TLS handshake with 127.0.0.1 port ");
  check(captured.contexts[0]!.error as Error);
  assertEquals(made, 0);
  using conn = await Deno.connectTls({ hostname: "localhost", port: portOf(server), caCerts: [CA] });
  await conn.handshake();
  await conn.closeWrite();
  assertEquals(await readAll(conn), new Uint8Array());
  assertEquals([captured.contexts.length, made], [1, 1]);
}

/** What a client of Deno's begins with. */
async function clientHello(): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  const dialling = Deno.connectTls({ hostname: "localhost", port: listener.addr.port, caCerts: [CA] });
  using conn = await listener.accept();
  const client = await dialling;
  const handshake = client.handshake().catch(() => {});
  const header = await readBytes(conn, HEADER);
  const hello = concat([header, await readBytes(conn, header[3]! * 256 + header[4]!)]);
  client.close();
  await handshake;
  return hello;
}

/** What somebody sends who then waits for an answer. */
const OPENINGS: { what: string; opening: () => Promise<Uint8Array> | Uint8Array; code: string }[] = [
  { what: "plain HTTP", opening: () => bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), code: "NOT_TLS" },
  {
    what: "a record that says it has 65535 bytes",
    opening: () => new Uint8Array([22, 3, 1, 255, 255, 1]),
    code: "NOT_TLS",
  },
  { what: "a record of a type that there is not", opening: () => new Uint8Array([99, 3, 3, 0, 1, 0]), code: "NOT_TLS" },
  { what: "data before any handshake", opening: () => new Uint8Array([23, 3, 3, 0, 2, 1, 2]), code: "FAILED" },
  { what: "an alert", opening: () => new Uint8Array([21, 3, 3, 0, 2, 2, 40]), code: "ALERT" },
  {
    what: "an alert behind its ClientHello",
    opening: async () => concat([await clientHello(), new Uint8Array([21, 3, 3, 0, 2, 2, 42])]),
    code: "ALERT",
  },
  {
    what: "garbage behind its ClientHello",
    opening: async () => concat([await clientHello(), pattern(2000, 99)]),
    code: "NOT_TLS",
  },
  {
    what: "a ClientHello with a bit flipped in its body",
    opening: async () => {
      const hello = await clientHello();
      hello[HEADER + 1]! ^= 128;
      return hello;
    },
    code: "NOT_TLS",
  },
];

for (const { name, native } of ENGINES) {
  for (const { what, opening, code } of OPENINGS) {
    Deno.test(`createServer() names what is wrong with ${what}, and goes on (${name} engine)`, async () => {
      await besiege(native, async (port) => {
        using conn = await Deno.connect({ hostname: HOST, port });
        await writeAll(conn, await opening());
        // The server gives up at once, though this side does not.
        await readAll(conn).catch(() => {});
      }, (error) => {
        assertInstanceOf(error, TlsError);
        // OpenSSL calls what is out of place an unexpected message.
        if (isOverOpenssl() && /unexpected message/.test(error.message)) assertEquals(error.code, "FAILED");
        else assertEquals(error.code, code, error.message);
      });
    });
  }

  for (const part of ["nothing", "half a ClientHello", "a ClientHello"]) {
    const bytesOf = async () => {
      const hello = part === "nothing" ? new Uint8Array() : await clientHello();
      return part.startsWith("half") ? hello.subarray(0, hello.length / 2) : hello;
    };

    const waits = async () => {
      await besiege(native, async (port) => {
        using conn = await Deno.connect({ hostname: HOST, port });
        await writeAll(conn, await bytesOf());
        await readAll(conn).catch(() => {});
      }, (error) => {
        assertEquals(error.name, "TimeoutError");
        assertMatch(error.message, /^handshakeTimeout: /);
      }, { handshakeTimeout: 100 });
    };
    if (!native) Deno.test(`createServer() waits no longer than handshakeTimeout after ${part}`, waits);

    Deno.test(`createServer() outlives FIN after ${part} (${name} engine)`, async () => {
      await besiege(native, async (port) => {
        using conn = await Deno.connect({ hostname: HOST, port });
        await writeAll(conn, await bytesOf());
        await conn.closeWrite();
        await readAll(conn).catch(() => {});
      }, (error) => assertInstanceOf(error, Deno.errors.UnexpectedEof));
    });

    Deno.test(`createServer() outlives RST after ${part} (${name} engine)`, async () => {
      await besiege(native, async (port) => {
        const socket = connectNode(port, HOST);
        await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
        socket.write(await bytesOf());
        if (part === "a ClientHello") await new Promise((resolve) => void socket.once("data", resolve));
        // The server has accepted it by then.
        else await roundTrip();
        await resetNode(socket);
      }, (error) => assertInstanceOf(error, Deno.errors.ConnectionReset));
    });
  }
}
