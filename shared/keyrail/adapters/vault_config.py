"""How to reach Vault and who to be there. Nothing is opened here."""

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from keyrail.adapters.vault_paths import MOUNT

AuthMethod = Literal["token", "approle", "kubernetes", "jwt", "google", "aws"]

SERVICE_ACCOUNT_JWT = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # where every pod finds its own

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_NEEDED_BY: dict[str, tuple[str, ...]] = {
    "token": ("token",),
    "approle": ("role_id",),
    "kubernetes": ("role", "jwt_file"),
    "jwt": ("role", "jwt_file"),
    "google": ("role",),
    "aws": ("role", "aws_server_id"),
}
_REGION = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig:
    """Raises: ValueError, whose text names the field and never its value.

    address           http(s)://host[:port][/prefix]; `skip_verify` is refused unless the host is loopback
    auth_mount        where the auth method is mounted; the method's own name by default, and jwt for Google
    secret_id_file    AppRole only; None where the role asks for no secret id. Read at each login, as is `jwt_file`
    jwt_file          Kubernetes and JWT; the pod's own token by default for Kubernetes
    google_audience   Google only: what the token is to be for; Vault's address by default
    aws_server_id     AWS only: what Vault's iam_server_id_header_value says
    aws_region        of the STS endpoint that Vault asks; us-east-1 is the global one
    deadline_seconds  wall clock for one call of VaultSession, a login on the way included
    """

    address: str
    auth: AuthMethod = "token"
    token: str | None = field(default=None, repr=False)
    role: str | None = None
    role_id: str | None = None
    secret_id_file: str | None = None
    jwt_file: str | None = None
    google_audience: str | None = None
    google_metadata_host: str = "metadata.google.internal"
    aws_server_id: str | None = None
    aws_region: str = "us-east-1"
    auth_mount: str | None = None
    mount: str = "keyrail"
    namespace: str | None = None
    cacert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    skip_verify: bool = False
    connect_seconds: float = 1.0  # an address that swallows packets must leave time for another one
    deadline_seconds: float = 2.0
    pool_maxsize: int = 32  # idle connections kept; FACTS: 32 threads want 32

    def __post_init__(self) -> None:
        _check_address(self.url)
        if self.skip_verify and not self.is_loopback:
            raise ValueError("VAULT_SKIP_VERIFY is for a Vault on a loopback address only; give VAULT_CACERT instead")
        if self.auth not in _NEEDED_BY:
            raise ValueError(f"the Vault auth method must be one of {', '.join(_NEEDED_BY)}")
        if self.auth == "kubernetes" and self.jwt_file is None:
            object.__setattr__(self, "jwt_file", SERVICE_ACCOUNT_JWT)
        for name in _NEEDED_BY[self.auth]:
            if not getattr(self, name):
                raise ValueError(f"Vault auth method {self.auth} needs {name}")
        if self.token is not None and not is_header_safe(self.token):
            raise ValueError("the Vault token holds a space, a line break or another character no token has")
        _check_aws(self.aws_region, self.aws_server_id)
        for name in ("mount", "auth_mount", "namespace"):
            value = getattr(self, name)
            if value is not None and not MOUNT.fullmatch(value.strip("/") if name == "namespace" else value):
                raise ValueError(f"the Vault {name} is malformed")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("VAULT_CLIENT_KEY without VAULT_CLIENT_CERT")

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.address)

    @property
    def is_loopback(self) -> bool:
        host = self.url.hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def tls_context(self) -> ssl.SSLContext:
        """Raises: OSError, ssl.SSLError where a file is missing or is no certificate."""
        context = ssl.create_default_context(cafile=self.cacert)
        if self.client_cert is not None:
            context.load_cert_chain(self.client_cert, self.client_key)
        if self.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def login_mount(self) -> str:
        return self.auth_mount or ("jwt" if self.auth == "google" else self.auth)


def is_header_safe(value: str) -> bool:
    """True for what a token, secret id or JWT may hold: visible ASCII, so that it can't end a header line."""
    return _HEADER_SAFE.fullmatch(value) is not None


def _check_aws(region: str, server_id: str | None) -> None:
    if not _REGION.fullmatch(region):
        raise ValueError("the region of the Vault login by AWS is malformed")
    if server_id is not None and not is_header_safe(server_id):
        raise ValueError("the server id of the Vault login by AWS is malformed")


def _check_address(url: SplitResult) -> None:
    try:
        url.port  # noqa: B018 - raises where it is no number
        ok = url.scheme in ("http", "https") and bool(url.hostname) and is_header_safe(url.geturl())
    except ValueError:
        ok = False
    if not ok:
        raise ValueError("VAULT_ADDR must look like https://vault.example.com:8200")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError("VAULT_ADDR must hold no user, password, query or fragment")
