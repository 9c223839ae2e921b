"""Asks clients for the certificates that client_verifiers.ts expects by number, and welcomes those it lets in."""
import json, os, socket, ssl, sys, tempfile, threading

order = json.loads(sys.stdin.readline())
identity = tempfile.NamedTemporaryFile("w", suffix=".pem")
identity.write(order["cert"] + order["key"])
identity.flush()

def serve(plain):
    with plain:
        try:
            number = int.from_bytes(plain.recv(2), "big")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=order["roots"][number])
            context.verify_mode = ssl.CERT_REQUIRED
            # What later Pythons add; openssl -x509_strict says what that comes to.
            context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
            context.load_cert_chain(identity.name)
            with context.wrap_socket(plain, server_side=True) as tls:
                tls.sendall(b"welcome\n")
                tls.recv(1)
        except (OSError, ValueError):  # SSLError is an OSError.
            pass

def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
identity.close()
os._exit(0)
