"""The metadata server of an instance of Google's, which can't be had here: it answers as that does, and signs with a
key of its own, which a Vault must be told of."""

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://accounts.google.com"
PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
SUBJECT = "113774264463038321964"


class Metadata:
    """https://docs.cloud.google.com/compute/docs/metadata/querying-metadata"""

    def __init__(self, email: str, key: rsa.RSAPrivateKey | None = None) -> None:
        self.key = key or rsa.generate_private_key(65537, 2048)
        self.email = email
        self.status = 200
        self.host = ""

    @property
    def public_key(self) -> str:
        public = self.key.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def key_set(self) -> str:
        """As Google publishes it (RFC 7517)."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**key, "kid": "1", "alg": "RS256", "use": "sig"}]})

    def answer(self, path: str, flavor: str | None) -> tuple[int, str]:
        asked = urlsplit(path)
        if flavor != "Google":
            return 403, "Missing Metadata-Flavor:Google header."
        if asked.path != PATH or self.status != 200:
            return (404 if asked.path != PATH else self.status), "no"
        query = parse_qs(asked.query)
        return 200, self.token(query["audience"][0], with_email=query.get("format") == ["full"])

    def token(self, audience: str, *, with_email: bool) -> str:
        now = datetime.datetime.now(datetime.UTC)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": audience,
            "sub": SUBJECT,
            "azp": SUBJECT,
            "iat": now,
            "exp": now + datetime.timedelta(hours=1),
        }
        if with_email:
            claims |= {"email": self.email, "email_verified": True}
        return jwt.encode(claims, self.key, "RS256", {"kid": "1"})

    @contextmanager
    def serving(self) -> Iterator[None]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = answer(self.path, self.headers["Metadata-Flavor"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.host = f"127.0.0.1:{server.server_port}"
            Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()
