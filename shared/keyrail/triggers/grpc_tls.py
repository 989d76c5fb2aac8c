"""The certificate that the gRPC server shows, renewed while it runs, and what clients' certificates stand for.

grpc asks before each handshake which certificate is the one now: connections that stand keep theirs.
"""

import json
import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from keyrail.domain import fields
from keyrail.domain.access import Principal
from keyrail.domain.errors import Internal
from keyrail.telemetry import log

_SAN = "x509_subject_alternative_name"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM texts; `chain` begins with the server's own, `client_ca` is whom clients' certificates must be of."""

    chain: bytes
    key: bytes
    client_ca: bytes | None = None

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


class CertificateSource(Protocol):
    def current(self) -> Certificate | None:
        """None where it is the same as at the last time, or no better one can be had. Never raises."""
        ...


class CertificateFiles:
    """Mounted files, read again when one of them has changed."""

    def __init__(self, chain: Path, key: Path, client_ca: Path | None) -> None:
        self._files = [file for file in (chain, key, client_ca) if file is not None]
        self._chain, self._key, self._client_ca = chain, key, client_ca
        self._seen: object = None
        self._lock = threading.Lock()

    def first(self) -> Certificate:
        """Raises: Internal, which names what is wrong with them."""
        self._seen = self._stamp()
        try:
            return self._read()
        except (OSError, ssl.SSLError) as error:
            told = "a file is missing" if isinstance(error, FileNotFoundError) else "they don't fit together"
            raise Internal(f"settings: KEYRAIL_GRPC_TLS_CERT, _TLS_KEY or _CLIENT_CA: {told}") from error

    def current(self) -> Certificate | None:
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            try:
                found = self._read()
            except (OSError, ssl.SSLError) as error:  # half of a renewal: the next handshake looks again
                log(logging.WARNING, "certificate", code="KEPT", detail=type(error).__name__)
                return None
            self._seen = stamp
            log(logging.INFO, "certificate", code="RENEWED")
            return found

    def _stamp(self) -> object:
        try:
            return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in (file.stat() for file in self._files)]
        except OSError:
            return None

    def _read(self) -> Certificate:
        """Raises: OSError, ssl.SSLError where key and certificate are not of each other."""
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
        client_ca = None
        if self._client_ca is not None:
            client_ca = self._client_ca.read_bytes()
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
        return Certificate(self._chain.read_bytes(), self._key.read_bytes(), client_ca)


def credentials(first: Certificate, source: CertificateSource) -> grpc.ServerCredentials:
    """Where the first one names a CA for clients, every client must show a certificate."""

    def fetch() -> Any:
        found = source.current()
        return None if found is None else found.configuration()

    return grpc.dynamic_ssl_server_credentials(
        first.configuration(), fetch, require_client_authentication=first.client_ca is not None
    )


class _Client(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    tenant: fields.Tenant
    scopes: list[fields.Scope] = Field(default=[], max_length=64)
    roles: list[fields.RoleName] = Field(default=[], max_length=16)


_CLIENTS = TypeAdapter(dict[str, _Client])


def read_clients(file: Path) -> dict[str, Principal]:
    """By subject alternative name, as the JSON file says. Raises: Internal."""
    try:
        clients = _CLIENTS.validate_python(json.loads(file.read_text()))
    except (OSError, ValueError, ValidationError) as error:
        raise Internal("settings: KEYRAIL_GRPC_CLIENTS names no file of the form in docs/grpc.md") from error
    return {
        name: Principal(f"mtls:{name}", each.tenant, tuple(each.scopes), tuple(each.roles))
        for name, each in clients.items()
    }


def principal_by_certificate(clients: dict[str, Principal]) -> Callable[[grpc.ServicerContext], Principal | None]:
    """By the first of the certificate's names (DNS, URI, address, in its own order) that stands in the file."""

    def principal_of(context: grpc.ServicerContext) -> Principal | None:
        names: Any = context.auth_context().get(_SAN, ())
        for name in names:
            found = clients.get(name.decode("utf-8", "replace"))
            if found is not None:
                return found
        return None

    return principal_of
