"""Vault under an administrator's token: what `keyrail bootstrap` and `keyrail doctor` need, and no function uses.

Answers are told apart by status, never by an exception's text, which can hold a secret.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from keyrail.adapters.vault_config import VaultConfig
from keyrail.domain.errors import InvalidArgument, PermissionDenied, Unavailable

TIMEOUT_SECONDS = (3.0, 10.0)  # connect, read; a person is waiting
NEVER_STALE = {"X-Vault-Inconsistent": "forward-active-node"}  # a standby would answer with what was
CAS_LOST = "check-and-set parameter did not match the current version"  # the server's only sign of it


class AdminVault:
    """Logs in with `config.token`. Opens no connection before its first call.

    Every method raises Unavailable (no connection, sealed, 5xx), PermissionDenied (403: the token may not do that)
    and InvalidArgument (the server finds the request wrong).
    """

    def __init__(self, config: VaultConfig) -> None:
        self.address = config.address
        self._config = config

    def get(self, path: str) -> dict[str, Any] | None:
        """The answer's `data`; None where there is nothing at `path`."""
        return self._call("GET", path)

    def names(self, path: str) -> list[str]:
        """What lies in the folder `path`; folders in it end with a slash."""
        found = self._call("GET", path, params={"list": "true"})
        return [] if found is None else [str(name) for name in found["keys"]]

    def put(self, path: str, **body: Any) -> dict[str, Any]:
        return self._call("POST", path, json=body) or {}

    def read_document(self, mount: str, path: str) -> tuple[dict[str, Any], int] | None:
        """A KV v2 document and its version. Raises: InvalidArgument where it was deleted and can be undeleted."""
        found = self._call("GET", f"{mount}/data/{path}")
        return None if found is None else (dict(found["data"]), int(found["metadata"]["version"]))

    def create_document(self, mount: str, path: str, data: dict[str, Any]) -> bool:
        """False where there is one already, which then stays as it is."""
        return self.replace_document(mount, path, data, version=0)

    def replace_document(self, mount: str, path: str, data: dict[str, Any], version: int) -> bool:
        """False where the stored version is another one, which then stays as it is."""
        try:
            self._call("POST", f"{mount}/data/{path}", json={"data": data, "options": {"cas": version}})
        except InvalidArgument as error:
            if CAS_LOST in error.public:
                return False
            raise
        return True

    def seal_status(self) -> tuple[dict[str, Any], datetime | None]:
        """sys/seal-status, which needs no token, and the server's own time (whole seconds)."""
        answer = self._request("GET", "sys/seal-status")
        if answer.status_code != 200:
            raise Unavailable(f"GET sys/seal-status at {self.address}: status {answer.status_code}")
        date = answer.headers.get("Date")
        return _json(answer), parsedate_to_datetime(date) if date else None

    def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any] | None:
        answer = self._request(method, path, **kwargs)
        return self._data(method, path, answer.status_code, _json(answer))

    def _request(self, method: str, path: str, **kwargs: Any) -> Any:
        import requests

        try:
            return self._adapter.request(method, f"/v1/{path}", headers=NEVER_STALE, raise_exception=False, **kwargs)
        except requests.RequestException as error:
            why = "its certificate is not trusted" if isinstance(error, requests.exceptions.SSLError) else "no answer"
            raise Unavailable(f"{method} {path} at {self.address}: {why}") from None  # its text may hold the request
        except OSError as error:  # a CA bundle or client certificate that is not there
            raise InvalidArgument(f"a TLS file can't be read: {type(error).__name__}") from None

    def _data(self, method: str, path: str, status: int, body: dict[str, Any]) -> dict[str, Any] | None:
        errors = [str(each) for each in body.get("errors") or ()]
        if status == 403:
            raise PermissionDenied(f"Vault refused {method} {path}: the token may not do that.", code="VAULT_DENIED")
        if status == 404 and body.get("errors") == []:
            return None
        if status == 404 and body.get("data"):
            raise InvalidArgument(f"{path} was deleted; undelete it, or delete its metadata to begin anew.")
        if status in (400, 404, 405):
            raise InvalidArgument(f"Vault finds {method} {path} wrong: {'; '.join(errors) or status}")
        if 300 <= status < 400:
            raise Unavailable(f"{self.address} redirects, as a standby does: name the active server, or a balancer")
        if not 200 <= status < 300:
            raise Unavailable(f"{method} {path} at {self.address}: status {status} {'; '.join(errors)}".rstrip())
        data = body.get("data")
        return data if isinstance(data, dict) else {}

    @cached_property
    def _adapter(self) -> Any:
        """hvac's own transport. No redirects (they would carry the token to another host), no proxy, no netrc."""
        import hvac
        import requests

        config, verify = self._config, self._config.cacert or not self._config.skip_verify
        session = requests.Session()
        session.trust_env = False
        session.verify, session.cert = verify, _client_certificate(config)
        client = hvac.Client(
            url=config.address,
            token=config.token,
            namespace=config.namespace,
            session=session,
            verify=verify,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            adapter=hvac.adapters.RawAdapter,
        )
        return client.adapter


@dataclass(frozen=True)
class MountDocuments:
    """The documents of one KV v2 mount. Raises: what AdminVault does."""

    vault: AdminVault
    mount: str

    def read(self, name: str) -> tuple[dict[str, Any], int] | None:
        return self.vault.read_document(self.mount, name)

    def write(self, name: str, data: dict[str, Any], version: int) -> bool:
        return self.vault.replace_document(self.mount, name, data, version)


def _json(answer: Any) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _client_certificate(config: VaultConfig) -> tuple[str, str] | str | None:
    if config.client_cert is None or config.client_key is None:
        return config.client_cert
    return config.client_cert, config.client_key
