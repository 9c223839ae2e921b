/** New keys for a connection that goes on: key updates of TLS 1.3 are followed, renegotiation of TLS 1.2 is refused. */
import { TlsError } from "../../mod.ts";
import { assertEquals, assertInstanceOf } from "../std.ts";
import { bytes, concat, pattern, Recorder, tempPath, turn } from "../kit.ts";
import { foreign } from "../program.ts";
import { dial, Echo, ENGINES, serve, SERVER, TRUSTING } from "../tls/kit.ts";
import { type Child, opensslClient, opensslServer } from "./kit.ts";

/** What openssl is told on its standard input: `k` updates its own keys, `K` asks the other side for the same. */
const COMMANDS = ["k", "K", "K", "k", "K"];

/**
 * Updates keys again and again, with data both ways in between.
 *
 * openssl takes a command only at the start of what it reads at once, and drops what is behind it there.
 *
 * @param obeyed Waits until openssl has obeyed so many commands.
 */
async function updateKeys(child: Child, protocol: Recorder, obeyed: (count: number) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  for (const command of COMMANDS) {
    await child.write(`${command}\n`);
    await obeyed(lines.length + 1);
    const data = pattern(300_000, lines.length);
    protocol.transport.write(data);
    lines.push(`line ${lines.length}\n`);
    await child.write(lines.at(-1)!);
    await protocol.untilReceived(lines.join("").length);
    // With the answer to a `K` in front of it, which goes with what is sent next.
    protocol.transport.write(data);
    await child.untilLast(concat([data, data]));
  }
  assertEquals(protocol.text, lines.join(""));
}

for (const { name, native } of ENGINES) {
  foreign("openssl", `createServer() follows the key updates of openssl s_client (${name} engine)`, async () => {
    await using served = await serve(() => new Recorder(), { ...SERVER, native });
    await using child = opensslClient(served.port, "-tls1_3");
    await updateKeys(child, await served.first(), async (count) => {
      await child.until(new RegExp(`(KEYUPDATE[^]*){${count}}`));
    });
  });

  foreign(
    "openssl",
    `createConnection() follows the key updates of openssl s_server, and answers those that ask (${name} engine)`,
    async () => {
      using messages = tempPath("messages");
      await using child = await opensslServer(["-tls1_3", "-msg", "-msgfile", messages.path]);
      const [transport, protocol] = await dial(child.port, { ...TRUSTING, native });
      let said = 0;
      await updateKeys(child, protocol, async (count) => {
        // s_server keeps its report to itself until it prints something that it has received.
        const reported = () => child.output.split("SSL_do_handshake -> 1").length > count;
        while (!reported()) {
          transport.write(bytes(`done ${++said}?\n`));
          await child.until(new RegExp(`done ${said}\\?`));
        }
      });
      await child.write("Q\n");
      assertEquals(await child.exit(), 0);
      const log = await Deno.readTextFile(messages.path);
      const updates = (direction: string) => log.match(new RegExp(`^${direction} .*KeyUpdate$`, "gm"))?.length;
      assertEquals([updates(">>>"), updates("<<<")], [5, 3]);
      await protocol.untilLost();
      await turn();
    },
  );

  foreign("openssl", `createServer() refuses openssl s_client to renegotiate, at once (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, native });
    await using child = opensslClient(served.port, "-tls1_2");
    await child.write("hello\n");
    await child.until(/^hello$/m);
    await child.write("R\n");
    await child.until(/no renegotiation/);
    assertEquals(await child.exit(), 1);
    const protocol = await served.first();
    await protocol.untilLost();
    assertInstanceOf(protocol.error, TlsError);
    assertEquals(protocol.error.code, "ALERT");
    assertEquals(protocol.text, "hello\n");
  });

  foreign(
    "openssl",
    `createConnection() refuses openssl s_server to renegotiate, at once (${name} engine)`,
    async () => {
      await using child = await opensslServer(["-tls1_2"]);
      const [, protocol] = await dial(child.port, { ...TRUSTING, native });
      await child.write("hello\n");
      await protocol.untilReceived(6);
      await child.write("R\n");
      await protocol.untilLost();
      await turn();
      await child.until(/no renegotiation/);
      assertInstanceOf(protocol.error, TlsError);
      assertEquals(protocol.error.code, "ALERT");
    },
  );
}
