/** PROXY headers of other programs: curl writes one, python3 writes and reads them by the layout of the specification. */
import { Protocol, type Transport } from "../../mod.ts";
import { assertEquals } from "../std.ts";
import { bytes, loop, Recorder } from "../kit.ts";
import { certs, execute, foreign } from "../program.ts";
import { SERVER } from "../tls/kit.ts";
import { Child } from "./kit.ts";

const proxyProtocol = { trusted: ["127.0.0.1"] };

/** Answers an HTTP request with the addresses of the client. */
class WhoAmI extends Protocol {
  #transport!: Transport;
  #request = "";

  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }

  override dataReceived(data: Uint8Array): void {
    this.#request += new TextDecoder().decode(data);
    if (!this.#request.endsWith("\r\n\r\n")) return;
    const names = (["peername", "sockname", "proxyPeername", "proxySockname"] as const).map((key) =>
      this.#transport.getExtraInfo(key)
    );
    const body = JSON.stringify([...names, this.#transport.getExtraInfo("proxyProtocol")?.version]);
    this.#transport.write(
      bytes(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`),
    );
    this.#transport.close();
  }
}

for (const scheme of ["http", "https"]) {
  foreign("curl", `createServer() with proxyProtocol serves ${scheme} to curl --haproxy-protocol`, async () => {
    const tls = scheme === "https" ? SERVER : false;
    await using server = await loop.createServer(() => new WhoAmI(), {
      hostname: "127.0.0.1",
      port: 0,
      proxyProtocol,
      tls,
    });
    const url = `${scheme}://localhost:${server.port}/`;
    const args = ["-sS", "--ipv4", "--noproxy", "*", "--cacert", `${certs}ca.pem`, "--haproxy-protocol", url];
    const { code, stdout, stderr } = await execute("curl", args);
    assertEquals([code, stderr], [0, ""]);
    const [peername, sockname, proxyPeername, proxySockname, version] = JSON.parse(stdout);
    // curl is a client that speaks for itself.
    assertEquals([peername, sockname, version], [proxyPeername, proxySockname, 1]);
  });
}

/** Sends a header of version 2 with a CRC-32C and a line, in one segment, and prints the answer. */
const SENDER = `
import socket, struct, sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
def tlv(type, value):
    return struct.pack("!BH", type, len(value)) + value
addresses = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "::1")
block = addresses + struct.pack("!HH", 56324, 443) + tlv(2, b"example.com")
ssl = tlv(0x20, struct.pack("!BI", 1, 0) + tlv(0x21, b"TLSv1.3"))
def header(crc):
    rest = block + ssl + tlv(3, struct.pack("!I", crc)) + tlv(5, b"id")
    return b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n" + struct.pack("!BBH", 0x21, 0x21, len(rest)) + rest
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    s.sendall(header(crc32c(header(0))) + b"hello")
    s.shutdown(socket.SHUT_WR)
    print(s.recv(100).decode())
`;

foreign(
  "python3",
  "createServer() with proxyProtocol reads a header of version 2 that python3 has packed",
  async () => {
    const made = Promise.withResolvers<Recorder>();
    class Answers extends Recorder {
      override eofReceived(): boolean {
        this.transport.write(bytes("bye"));
        made.resolve(this);
        return super.eofReceived();
      }
    }
    await using server = await loop.createServer(() => new Answers(), {
      hostname: "127.0.0.1",
      port: 0,
      proxyProtocol,
    });
    const { code, stdout, stderr } = await execute("python3", ["-c", SENDER, `${server.port}`]);
    assertEquals([code, stdout, stderr], [0, "bye\n", ""]);
    const { text, transport } = await made.promise;
    assertEquals(text, "hello");
    assertEquals(transport.getExtraInfo("peername"), { transport: "tcp", hostname: "2001:db8::7", port: 56324 });
    assertEquals(transport.getExtraInfo("sockname"), { transport: "tcp", hostname: "::1", port: 443 });
    const { authority, ssl, uniqueId, tlvs } = transport.getExtraInfo("proxyProtocol")!;
    assertEquals([authority, ssl, uniqueId, tlvs], [
      "example.com",
      { client: 1, verify: 0, version: "TLSv1.3" },
      bytes("id"),
      [],
    ]);
  },
);

/** Takes one connection, reads it to its end and prints the header. */
const RECEIVER = `
import socket, struct
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    conn, _ = server.accept()
    data = b""
    while (piece := conn.recv(1000)): data += piece
    assert data[:12] == b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n"
    command, family, size = struct.unpack("!BBH", data[12:16])
    head, rest = data[:16 + size], data[16 + size:]
    source, destination, a, b = struct.unpack("!4s4sHH", head[16:28])
    print(hex(command), hex(family), socket.inet_ntoa(source), socket.inet_ntoa(destination), a, b)
    tlvs, checked = head[28:], False
    while tlvs:
        type, size = struct.unpack("!BH", tlvs[:3])
        value, tlvs = tlvs[3:3 + size], tlvs[3 + size:]
        if type == 3:
            at = len(head) - len(tlvs) - 4
            checked = struct.unpack("!I", value)[0] == crc32c(head[:at] + bytes(4) + head[at + 4:])
        else:
            print(type, value.decode())
    print(checked, rest.decode(), flush=True)
`;

foreign(
  "python3",
  "createConnection() with proxyProtocol sends a header of version 2 that python3 unpacks",
  async () => {
    await using child = new Child("python3", ["-c", RECEIVER]);
    const port = Number((await child.until(/^\d+$/m))[0]);
    const recorder = new Recorder();
    const [transport] = await loop.createConnection(() => recorder, {
      port,
      proxyProtocol: {
        source: { hostname: "203.0.113.7", port: 56324 },
        destination: { hostname: "192.0.2.1", port: 443 },
        authority: "example.com",
        alpn: "h2",
        checksum: true,
      },
    });
    transport.write(bytes("hello"));
    transport.close();
    await child.until(/0x21 0x11 203\.0\.113\.7 192\.0\.2\.1 56324 443\n1 h2\n2 example\.com\nTrue hello\n/);
    await recorder.untilLost();
  },
);
