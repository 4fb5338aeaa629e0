"""An identity provider's token endpoint, as small as can be: client credentials in, a signed token out."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE, ISSUER = "kafka-of-the-tests", "issuer-of-the-tests"


class TokenSigner:
    """Signs tokens (RS256), and says with which key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_keys(self) -> bytes:
        """A JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": _big(numbers.n), "e": _big(numbers.e)}
        return json.dumps({"keys": [key]}).encode()

    def token(self, subject: str, scope: str, lifetime: float) -> str:
        now = int(time.time())
        claims = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + int(lifetime)}
        claims |= {"scope": scope} if scope else {}
        head = _json({"alg": "RS256", "kid": "1", "typ": "JWT"}) + "." + _json(claims)
        return head + "." + _bytes(self._key.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256()))


@dataclass
class TokenEndpoint:
    """What it accepts, and what it was asked."""

    url: str
    clients: dict[str, str]
    lifetime: float = 300.0
    asked: list[dict[str, str]] = field(default_factory=list)
    refused: int = 0


@contextmanager
def token_endpoint(
    signer: TokenSigner, clients: dict[str, str], certificate: tuple[Path, Path] | None = None
) -> Iterator[TokenEndpoint]:
    """Serve tokens to ``clients`` (name to secret), over https where there is a certificate (and key)."""
    endpoint = TokenEndpoint("", clients)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
            kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
            name, _, secret = base64.b64decode(credentials).decode().partition(":") if kind == "Basic" else ("", "", "")
            name, secret = urllib.parse.unquote(name), urllib.parse.unquote(secret)
            endpoint.asked.append(form | {"client": name})
            if endpoint.clients.get(name) != secret or form.get("grant_type") != "client_credentials":
                endpoint.refused += 1
                self._answer(401, {"error": "invalid_client"})
                return
            token = signer.token(name, form.get("scope", ""), endpoint.lifetime)
            answer = {"access_token": token, "token_type": "Bearer", "expires_in": int(endpoint.lifetime)}
            self._answer(200, answer)

        def _answer(self, status: int, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    endpoint.url = f"{'https' if certificate else 'http'}://localhost:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bytes(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _json(value: object) -> str:
    return _bytes(json.dumps(value).encode())


def _big(number: int) -> str:
    return _bytes(number.to_bytes((number.bit_length() + 7) // 8, "big"))
