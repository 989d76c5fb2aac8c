"""An HTTP server that is not Vault: a receiver of events, or whoever publishes an issuer's keys."""

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class WebServer:
    """`ca_pem`: certificates of CAs to trust beside the system's. `setting` is named where the address is wrong.

    Raises: ValueError, without the address: it may hold a password.
    """

    address: str = field(repr=False)
    setting: str
    ca_pem: str | None = field(default=None, repr=False)
    connect_seconds: float = CONNECT_SECONDS
    pool_maxsize: int = 4

    def __post_init__(self) -> None:
        try:
            url = self.url
            good = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            good = False
        if not good or not self.address.isascii() or not self.address.isprintable() or " " in self.address:
            raise ValueError(f"{self.setting} must look like https://events.example.com/path")
        if self.url.username is not None or self.url.password is not None or self.url.fragment:
            raise ValueError(f"{self.setting} must hold no user, password or fragment")

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.address)

    @property
    def target(self) -> str:
        """Path and query, as the request names them."""
        return (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")

    @property
    def is_loopback(self) -> bool:
        host = self.url.hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    def tls_context(self) -> ssl.SSLContext:
        """Raises: ssl.SSLError where `ca_pem` is no certificate."""
        context = ssl.create_default_context()
        if self.ca_pem is not None:
            context.load_verify_locations(cadata=self.ca_pem)
        return context
