"""The other side of openssl_python_test.ts: sockets of the ssl module, one for each connection.

A line of standard input is a task in JSON: {"id", "connect": port} or {"id", "serve": count}, and options of a context. The
answers are lines "ID.0 JSON" and so on: the port of a server, and a report of each connection.
"""
import hashlib, hmac, json, socket, ssl, sys

contexts, sessions = {}, {}

def make(task):
    server = "serve" in task
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(task["ca"])
    if "cert" in task:
        made.load_cert_chain(task["cert"], task["key"])
    if "crl" in task:
        made.load_verify_locations(task["crl"])
        made.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if "verify" in task:
        made.verify_mode = ssl.VerifyMode[task["verify"]]
    if "min" in task:
        made.minimum_version = ssl.TLSVersion[task["min"]]
    if "max" in task:
        made.maximum_version = ssl.TLSVersion[task["max"]]
    if "ciphers" in task:
        made.set_ciphers(task["ciphers"])
    if "curve" in task:
        made.set_ecdh_curve(task["curve"])
    if "alpn" in task:
        made.set_alpn_protocols(task["alpn"])
    if "keylog" in task:
        made.keylog_filename = task["keylog"]
    return made

def expand_label(secret, label, context, length, digest):
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    return hmac.new(secret, info + b"\1", digest).digest()[:length]

def exporter_binding(task, tls):
    """RFC 9266 and RFC 8446, 7.5, from the key log: the ssl module has no exporter."""
    digest = "sha384" if tls.cipher()[0].endswith("SHA384") else "sha256"
    lines = [line.split() for line in open(task["keylog"]) if line.startswith("EXPORTER_SECRET ")]
    empty = hashlib.new(digest, b"").digest()
    secret = expand_label(bytes.fromhex(lines[-1][2]), b"EXPORTER-Channel-Binding", empty, len(empty), digest)
    return expand_label(secret, b"exporter", empty, 32, digest).hex()

def first_of(path):
    """The first certificate of a file, which may have a chain."""
    end = "-----END CERTIFICATE-----\n"
    return open(path).read().split(end)[0] + end

def report(task, tls):
    peer = tls.getpeercert(True)
    certificate = ssl.PEM_cert_to_DER_cert(first_of(task["cert"])) if tls.server_side else peer
    names = dict(pair for names in (tls.getpeercert() or {}).get("subject", ()) for pair in names)
    said = {
        "version": tls.version(), "cipher": tls.cipher()[0], "alpn": tls.selected_alpn_protocol(),
        "reused": tls.session_reused, "peer": names.get("commonName"),
        "endPoint": hashlib.sha256(certificate).hexdigest(), "chain": len(tls._sslobj.get_verified_chain() or []),
    }
    if "keylog" in task and tls.version() == "TLSv1.3":
        said["exporter"] = exporter_binding(task, tls)
    return said

def talk(task, context, plain):
    plain.settimeout(10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    tls = None
    try:
        if "serve" in task:
            tls = context.wrap_socket(plain, server_side=True)
            tls.sendall(b"x")
        else:
            name = task.get("session", task["id"])
            tls = context.wrap_socket(plain, server_hostname="localhost", session=sessions.get(name))
            assert tls.recv(1) == b"x"
            sessions[name] = tls.session
        said = report(task, tls)
        if "serve" in task:
            assert tls.recv(1) == b""
        tls.unwrap()
        return said
    except ssl.SSLCertVerificationError as error:
        return {"error": error.verify_message}
    except OSError as error:
        # Some reasons of OpenSSL have no name in Python.
        return {"error": getattr(error, "reason", None) or str(error)}
    finally:
        (tls or plain).close()

for line in sys.stdin:
    task = json.loads(line)
    say = lambda i, answer: print(f"{task['id']}.{i}", json.dumps(answer), flush=True)
    name = task.get("session", task["id"])
    if name not in contexts:
        contexts[name] = make(task)
    context = contexts[name]
    if "connect" in task:
        say(0, talk(task, context, socket.create_connection(("127.0.0.1", task["connect"]))))
        continue
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(0, listener.getsockname()[1])
        for i in range(task["serve"]):
            say(i + 1, talk(task, context, listener.accept()[0]))
