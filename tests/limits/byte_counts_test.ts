/** The counts of bytes that the limits of a server compare. */
import { connectionOf } from "../../transports/stream_transport.ts";
import { BufferedRecorder, connect, makeRandom, pattern, Recorder, turn } from "../kit.ts";
import { assertEquals, assertGreater } from "../std.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const TOTAL = 1_000_000;

const MAKERS: (() => Recorder | BufferedRecorder)[] = [() => new Recorder(), () => new BufferedRecorder(5000)];

for (const encrypted of [false, true]) {
  for (const make of MAKERS) {
    const name = `${make().constructor.name}${encrypted ? " over TLS" : ""}`;
    Deno.test(`each byte is counted once where it arrives and where it is sent, also across pauses: ${name}`, async () => {
      const tls = encrypted && { server: { tls: SERVER }, client: { tls: TRUSTING } };
      await using pair = await connect(make, () => new Recorder(), { ...tls });
      const random = makeRandom(7);
      const { serverSide: { transport }, clientTransport } = pair;
      for (let sent = 0; sent < TOTAL; sent += 50_000) {
        clientTransport.write(pattern(20_000));
        clientTransport.writeOwned(pattern(25_000));
        clientTransport.writelines([pattern(4000), pattern(1000)]);
        if (random(2) === 0) transport.pauseReading();
        await turn();
        if (random(2) === 0) transport.resumeReading();
        await turn();
      }
      transport.resumeReading();
      await pair.serverSide.untilReceived(TOTAL);
      while (clientTransport.getWriteBufferSize() > 0) await turn();
      const [client, server] = [connectionOf(clientTransport)!, connectionOf(transport)!];
      assertEquals([client.sent, server.receiver.received], [TOTAL, TOTAL]);
      assertEquals([server.sent, client.receiver.received], [0, 0]);
      assertEquals([client.unsent, server.receiver.ended], [0, false]);
      if (encrypted) assertGreater(client.progress, 2 * TOTAL);
    });
  }
}
