"""Serves the metadata documents of clients by TLS, good ones and others.

Prints its port, and then the path of each request. The client of /keyed.json signs with one of
the keys at /jwks.json, which are those in the file JWKS.

Usage: documents.py CERTIFICATE KEY [JWKS]
"""

import gzip
import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE_BYTES = 16 << 20


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        print(self.path, flush=True)
        document = {
            "client_id": f"https://localhost:{self.server.server_port}{self.path}",
            "client_name": "Desk",
            "redirect_uris": [
                "http://127.0.0.1/callback",
                "http://127.0.0.1/oauth/callback",
                "http://localhost/oauth/callback",
            ],
            "token_endpoint_auth_method": "none",
        }
        if self.path == "/other":
            document["client_id"] += "s"
        if self.path == "/keyed.json":
            jwks_uri = document["client_id"].replace("keyed", "jwks")
            keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": jwks_uri}
            document.update(keyed)
        body = json.dumps(document).encode()
        if self.path == "/jwks.json":
            body = Path(self.server.jwks).read_bytes()
        if self.path == "/twice":
            body = body.replace(b"{", b'{"client_name": "Bank", ', 1)
        if self.path == "/large":
            body = body.replace(b"{", b'{"x": "' + b"x" * LARGE_BYTES + b'", ', 1)
        if self.path == "/gzip":
            body = gzip.compress(body)
        self.send_response({"/redirect": 302, "/missing": 404}.get(self.path, 200))
        media_type = "text/html" if self.path == "/html" else "application/json"
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        if self.path == "/redirect":
            self.send_header("location", "/client.json")
        if self.path == "/gzip":
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        try:
            if self.path != "/slow":
                self.wfile.write(body)
            for byte in body if self.path == "/slow" else []:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(1)
        except OSError:
            pass  # The client has had enough.

    def log_message(self, *_) -> None:
        """Says nothing else."""


def main(certificate: str, key: str, jwks: str | None = None) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.jwks = jwks
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
