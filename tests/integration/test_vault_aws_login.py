"""Logging in to Vault by AWS IAM. OpenBao has no such method, so a small server does what Vault does with a login:
checks the server id, has STS say who asks, and gives a token. Signatures are worked out here once more, by the text of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from aws_faults import Answer, serving
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_login import login_body
from keyrail.adapters.vault_paths import PEPPER
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.aws import CREDENTIALS
from keyrail.domain.errors import Unavailable

SERVER_ID = "vault.example.com"
TOKEN = "a-batch-token"
SECRET = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]


def config(address: str = "http://127.0.0.1:1", **changes: Any) -> VaultConfig:
    given = {"auth": "aws", "role": "validate_key", "aws_server_id": SERVER_ID, **changes}
    return VaultConfig(address=address, deadline_seconds=10.0, **given)


def plain(body: dict[str, str], name: str) -> str:
    return base64.b64decode(body[name], validate=True).decode()


def signature_of(url: str, headers: dict[str, str], body: str, secret: str) -> str:
    """Of a POST, over the headers that it says are signed."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=\w+/(\d{8})/([\w-]+)/sts/aws4_request, SignedHeaders=([\w;-]+), "
        r"Signature=([0-9a-f]{64})",
        headers["Authorization"],
    )
    assert found is not None
    day, region, signed = found[1], found[2], found[3]
    lower = {name.lower(): value for name, value in headers.items()}
    assert {"host", "x-amz-date", "x-vault-aws-iam-server-id"} <= set(signed.split(";"))
    lines = "".join(f"{name}:{lower[name]}\n" for name in signed.split(";"))
    path = "/" + url.split("/", 3)[3]
    canonical = f"POST\n{path}\n\n{lines}\n{signed}\n{hashlib.sha256(body.encode()).hexdigest()}"
    scope = f"{day}/{region}/sts/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{lower['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    assert found[4] == expected
    return expected


class Vault:
    """Its AWS auth method, and one document."""

    def __init__(self, sts: str) -> None:
        self.sts = sts
        self.server_id = SERVER_ID
        self.logins: list[dict[str, str]] = []

    def answer(self, headers: Any, body: bytes) -> Answer:
        if not body:
            assert headers["X-Vault-Token"] == TOKEN
            return 200, json.dumps({"data": {"data": {"a": 1}, "metadata": {"version": 3}}}).encode()
        login = json.loads(body)
        self.logins.append(login)
        signed = json.loads(plain(login, "iam_request_headers"))
        signature_of(plain(login, "iam_request_url"), signed, plain(login, "iam_request_body"), SECRET)
        if signed["X-Vault-AWS-IAM-Server-ID"] != self.server_id:
            return 400, b'{"errors": ["server id"]}'
        who = urllib3.request("POST", self.sts, headers=signed, body=plain(login, "iam_request_body"), retries=False)
        if who.status != 200 or b"GetCallerIdentityResult" not in who.data:
            return 400, b'{"errors": ["sts"]}'
        return 200, json.dumps({"auth": {"client_token": TOKEN, "lease_duration": 600}}).encode()


@pytest.fixture
def vault(aws_endpoint: str, aws_credentials: None) -> Vault:
    return Vault(aws_endpoint)


@pytest.fixture
def session(vault: Vault) -> Iterator[VaultSession]:
    with serving(vault.answer) as url:
        made = VaultSession(config(url))
        yield made
        made.close()


def test_who_is_known_to_iam_gets_a_token(vault: Vault, session: VaultSession) -> None:
    for _ in range(2):
        found = session.read(PEPPER)
        assert found is not None
        assert (found.data, found.version) == ({"a": 1}, 3)
    (login,) = vault.logins
    assert (login["role"], login["iam_http_request_method"]) == ("validate_key", "POST")
    assert plain(login, "iam_request_url") == "https://sts.amazonaws.com/"
    assert plain(login, "iam_request_body") == "Action=GetCallerIdentity&Version=2011-06-15"
    assert len(login) == 5


def test_a_login_for_another_vault_is_refused_and_unavailable(vault: Vault, session: VaultSession) -> None:
    vault.server_id = "another.example.com"
    with pytest.raises(Unavailable) as refused:
        session.read(PEPPER)
    assert refused.value.detail == "Vault refused our aws login with 400"


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
def test_a_regional_sts_is_asked_where_vault_asks_it(aws_credentials: None, region: str) -> None:
    body = login_body(config(aws_region=region))
    url, headers = plain(body, "iam_request_url"), json.loads(plain(body, "iam_request_headers"))
    assert url == f"https://sts.{region}.amazonaws.com/"
    assert headers["Host"] == f"sts.{region}.amazonaws.com"
    assert f"/{region}/sts/aws4_request" in headers["Authorization"]
    assert signature_of(url, headers, plain(body, "iam_request_body"), SECRET)


def test_a_roles_session_token_is_signed_and_the_secret_is_nowhere(
    aws_credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-it")
    body = login_body(config())
    headers = json.loads(plain(body, "iam_request_headers"))
    assert headers["X-Amz-Security-Token"] == "a-session-token"
    assert "x-amz-security-token" in headers["Authorization"]
    assert signature_of(plain(body, "iam_request_url"), headers, plain(body, "iam_request_body"), "the-secret-of-it")
    decoded = [plain(body, name) for name in body if name.startswith("iam_request_")]
    assert not [text for text in decoded if "the-secret-of-it" in text]


def test_without_credentials_there_is_no_login(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    with pytest.raises(Unavailable, match="key store") as refused:
        login_body(config())
    assert refused.value.detail == "there are no AWS credentials"
