"""A tick that proves itself by a signed token: every way in which the token may be wrong, with real keys and a real
server that publishes them. The HTTP function answers it all, over a store in memory."""

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from keyrail.adapters.oidc_keys import KEEP_SECONDS, REFETCH_SECONDS, IssuerKeys
from keyrail.adapters.oidc_tokens import LEEWAY_SECONDS
from keyrail.bootstrap import build_services
from keyrail.dev.ports import free_ports
from keyrail.domain.errors import Internal, Unavailable
from keyrail.operations import issue_key, rotate, rotate_due
from keyrail.settings import load_settings
from keyrail.triggers.http_function import HttpFunction
from keyrail.triggers.http_messages import HttpReply, HttpRequest

ISSUER, AUDIENCE, EMAIL = "https://issuer.example.com", "https://keyrail.example.com", "ticks@project.example.com"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    made: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return made | {"kid": kid, "use": "sig"} | more


KEYS = [
    jwk(RSA, "rsa", alg="RS256"),
    jwk(EC, "ec"),
    jwk(SHORT_RSA, "short"),
    jwk(P384, "p384"),
    jwk(RSA, "for-encryption", use="enc"),
    jwk(RSA, "rs512", alg="RS512"),
    {"kid": "oct", "kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")},
    {"kid": "broken", "kty": "RSA", "n": "!" * 400, "e": "AQAB"},
]


class Publisher:
    """A server that publishes keys, and counts how often it is asked."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = json.dumps({"keys": KEYS}).encode(), 200, 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(publisher.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(publisher.body)))
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.stop()


def settings(jwks: str, **changes: str) -> dict[str, str]:
    return {
        "KEYRAIL_STORE": "memory",
        "KEYRAIL_FEED_POLL": "inline",
        "KEYRAIL_TICK_OIDC_ISSUER": ISSUER,
        "KEYRAIL_TICK_OIDC_AUDIENCE": AUDIENCE,
        "KEYRAIL_TICK_OIDC_SUBJECT": EMAIL,
        "KEYRAIL_TICK_OIDC_JWKS": jwks,
    } | changes


Tick = Callable[..., HttpReply]


def ticking(environ: dict[str, str]) -> Tick:
    services = build_services(load_settings(environ))

    def tick(token: str, operation: Any = rotate_due.OPERATION, body: bytes = b"{}", key_id: str = "") -> HttpReply:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        path = operation.path.replace("{key_id}", key_id)
        request = HttpRequest(operation.method, path, "", headers.get, lambda limit: body[:limit])
        return HttpFunction(operation).answer(request, services)

    return tick


@pytest.fixture
def tick(publisher: Publisher) -> Tick:
    return ticking(settings(publisher.url))


def claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "1234567890", "email": EMAIL, "email_verified": True}
    times = {"iat": now, "exp": now + timedelta(hours=1)}
    return {name: value for name, value in (good | times | changes).items() if value is not None}


def token(key: Any = RSA, kid: str | None = "rsa", algorithm: str = "RS256", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm, headers=headers)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "good",
    [
        lambda: token(),
        lambda: token(EC, "ec", "ES256"),
        lambda: token(aud=["https://another.example.com", AUDIENCE]),
        lambda: token(sub=EMAIL, email=None, email_verified=None),
        lambda: token(exp=ago(LEEWAY_SECONDS - 10)),
        lambda: token(iat=ago(10 - LEEWAY_SECONDS), nbf=ago(10 - LEEWAY_SECONDS)),
    ],
)
def test_a_token_for_this_deployment_may_tick(good: Callable[[], str], tick: Tick) -> None:
    reply = tick(good())
    assert reply.status == 200, reply.body


def unsigned(header: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value, default=str).encode()).decode().rstrip("=")

    now = int(datetime.now(UTC).timestamp())
    return f"{part(header)}.{part(claims(iat=now, exp=now + 3600))}."


def signed_with_the_public_key() -> str:
    """HMAC with the public key as its secret: what a verifier that trusts `alg` would accept."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = unsigned({"alg": "HS256", "kid": "rsa"}).rstrip(".")
    mac = hmac.digest(public, head.encode(), "sha256")
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


REFUSED: dict[str, Callable[[], str]] = {
    "another issuer": lambda: token(iss="https://issuer.example.org"),
    "no issuer": lambda: token(iss=None),
    "another audience": lambda: token(aud="https://another.example.com"),
    "no audience": lambda: token(aud=None),
    "another subject": lambda: token(email="other@project.example.com"),
    "an email in another case": lambda: token(email=EMAIL.upper()),
    "an email that nobody verified": lambda: token(email_verified=False),
    "an email verified by text": lambda: token(email_verified="true"),
    "no verification": lambda: token(email_verified=None),
    "no subject": lambda: token(sub=None),
    "alg none": lambda: unsigned({"alg": "none", "kid": "rsa"}),
    "alg None": lambda: unsigned({"alg": "None", "kid": "rsa"}),
    "no alg": lambda: unsigned({"kid": "rsa"}),
    "alg a list": lambda: unsigned({"alg": ["RS256"], "kid": "rsa"}),
    "HS256 with the public key": signed_with_the_public_key,
    "HS256 with a published secret": lambda: token(b"k" * 32, "oct", "HS256"),
    "RS256 with a published secret": lambda: token(RSA, "oct"),
    "RS512": lambda: token(RSA, "rsa", "RS512"),
    "PS256": lambda: token(RSA, "rsa", "PS256"),
    "a key for another algorithm": lambda: token(RSA, "rs512"),
    "a key for encryption": lambda: token(RSA, "for-encryption"),
    "a short key": lambda: token(SHORT_RSA, "short"),
    "a broken key": lambda: token(RSA, "broken"),
    "another curve": lambda: token(P384, "p384", "ES384"),
    "ES256 by an RSA key's id": lambda: token(EC, "rsa", "ES256"),
    "RS256 by an EC key's id": lambda: token(RSA, "ec"),
    "somebody else's signature": lambda: token(OTHER_RSA),
    "unknown kid": lambda: token(kid="new"),
    "no kid": lambda: token(kid=None),
    "a long kid": lambda: token(kid="k" * 300),
    "expired": lambda: token(exp=ago(LEEWAY_SECONDS + 5)),
    "no expiry": lambda: token(exp=None),
    "an expiry that is text": lambda: jwt.encode(claims(exp="9999999999"), RSA, "RS256", {"kid": "rsa"}),
    "an endless expiry": lambda: jwt.encode(claims(exp=float("nan")), RSA, "RS256", {"kid": "rsa"}),
    "issued in the future": lambda: token(iat=ago(-LEEWAY_SECONDS - 5)),
    "no time of issue": lambda: token(iat=None),
    "not valid yet": lambda: token(nbf=ago(-LEEWAY_SECONDS - 5)),
    "huge": lambda: token(filler="x" * 10_000),
    "dots": lambda: "." * 5000,
    "two dots": lambda: "..",
    "no JSON": lambda: "YQ.YQ.YQ",
    "deep JSON": lambda: base64.urlsafe_b64encode(b"[" * 4000).decode().rstrip("=") + ".YQ.YQ",
    "a header that is a list": lambda: base64.urlsafe_b64encode(b"[1]").decode().rstrip("=") + ".e30.YQ",
    "changed on the way": lambda: token()[:-6] + "AAAAAA",
}


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_token_is_refused(name: str, tick: Tick, capfd: pytest.CaptureFixture[str]) -> None:
    sent = REFUSED[name]()
    reply = tick(sent)
    assert (reply.status, json.loads(reply.body)["code"]) == (401, "TOKEN_REFUSED")
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
    assert sent not in reply.body.decode()
    assert sent not in "".join(capfd.readouterr())


@pytest.mark.parametrize("operation", [rotate.OPERATION, issue_key.OPERATION])
def test_a_token_may_nothing_but_tick(operation: Any, tick: Tick) -> None:
    reply = tick(token(), operation, key_id="0Keyrail0Nobody0")
    assert (reply.status, json.loads(reply.body)["code"]) == (401, "MALFORMED")


def test_without_settings_no_token_counts() -> None:
    reply = ticking({"KEYRAIL_STORE": "memory"})(token())
    assert (reply.status, json.loads(reply.body)["code"]) == (401, "MALFORMED")


def test_the_log_names_whom_the_token_was_for(publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "keyrail"):
        ticking(settings(publisher.url))(token())
    (line,) = [record.facts for record in caplog.records if record.msg == "request"]  # type: ignore[attr-defined]
    assert line["actor"] == f"oidc:{EMAIL}"


@pytest.mark.parametrize("status", [500, 302, 404])
def test_while_the_keys_can_not_be_read_it_is_503(status: int, publisher: Publisher, tick: Tick) -> None:
    publisher.status = status
    reply = tick(token())
    assert (reply.status, json.loads(reply.body)["code"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"keys": {}}', b'{"keys": ["a"]}', b" " * 300_000])
def test_a_set_of_keys_that_is_none_is_503(body: bytes, publisher: Publisher, tick: Tick) -> None:
    publisher.body = body
    assert tick(token()).status == 503


def test_nobody_publishes_is_503() -> None:
    assert ticking(settings(f"http://127.0.0.1:{free_ports(1)[0]}/"))(token()).status == 503


def test_the_keys_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": KEYS}))
    assert ticking(settings(str(file)))(token()).status == 200
    assert ticking(settings(str(tmp_path / "none.json")))(token()).status == 503


class TestIssuerKeys:
    """How often they are asked for."""

    @pytest.fixture
    def now(self) -> list[float]:
        return [1000.0]

    @pytest.fixture
    def keys(self, publisher: Publisher, now: list[float]) -> IssuerKeys:
        return IssuerKeys(publisher.url, lambda: now[0])

    def test_are_read_once_and_kept(self, keys: IssuerKeys, publisher: Publisher, now: list[float]) -> None:
        assert keys.find("rsa") is not None
        now[0] += KEEP_SECONDS
        assert keys.find("ec") is not None
        assert publisher.asked == 1
        now[0] += 1
        assert keys.find("ec") is not None
        assert publisher.asked == 2

    def test_made_up_ids_have_them_read_no_more_than_so_often(
        self, keys: IssuerKeys, publisher: Publisher, now: list[float]
    ) -> None:
        assert [keys.find(f"made-up-{n}") for n in range(50)] == [None] * 50
        assert publisher.asked == 1
        now[0] += REFETCH_SECONDS
        publisher.body = json.dumps({"keys": [*KEYS, jwk(OTHER_RSA, "new")]}).encode()
        assert keys.find("new") is not None
        assert publisher.asked == 2

    def test_known_keys_are_found_while_nobody_publishes(
        self, keys: IssuerKeys, publisher: Publisher, now: list[float]
    ) -> None:
        assert keys.find("rsa") is not None
        publisher.status = 500
        now[0] += REFETCH_SECONDS
        with pytest.raises(Unavailable):
            keys.find("new")
        assert keys.find("rsa") is not None
        now[0] += KEEP_SECONDS
        with pytest.raises(Unavailable):
            keys.find("rsa")

    @pytest.mark.parametrize("place", ["http://keys.example.com/", "ftp://127.0.0.1/", "https://user:pw@example.com/"])
    def test_are_taken_from_https_or_loopback_only(self, place: str) -> None:
        with pytest.raises(ValueError, match="KEYRAIL_TICK_OIDC_JWKS"):
            IssuerKeys(place, lambda: 0.0)


def test_several_subjects_may_tick_and_no_part_of_one(publisher: Publisher) -> None:
    tick = ticking(settings(publisher.url, KEYRAIL_TICK_OIDC_SUBJECT="source:tick, source:sweep"))
    for name in ("source:tick", "source:sweep"):
        assert tick(token(sub=name, email=None, email_verified=None)).status == 200
    for name in ("source", "source:tick,source:sweep", "source:tick, source:sweep", "", "sweep"):
        assert tick(token(sub=name, email=None, email_verified=None)).status == 401


@pytest.mark.parametrize("missing", ["ISSUER", "AUDIENCE", "SUBJECT", "JWKS"])
def test_half_of_the_settings_is_refused(missing: str) -> None:
    environ = settings("keys.json")
    del environ[f"KEYRAIL_TICK_OIDC_{missing}"]
    with pytest.raises(Internal) as error:
        build_services(load_settings(environ))
    assert f"KEYRAIL_TICK_OIDC_{missing}" in error.value.detail
