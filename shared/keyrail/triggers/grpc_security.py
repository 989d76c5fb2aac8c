"""From the settings: how connections to the gRPC server are protected, and whom their certificates stand for."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import grpc

from keyrail.bootstrap import certificate_issuer
from keyrail.domain.access import Principal
from keyrail.domain.errors import Internal
from keyrail.settings import Settings
from keyrail.triggers.grpc_calls import PrincipalOf
from keyrail.triggers.grpc_tls import CertificateFiles, credentials, principal_by_certificate, read_clients
from keyrail.triggers.grpc_vault_tls import IssuedCertificate


@dataclass(frozen=True, slots=True)
class Security:
    """Without `credentials` all is sent in plaintext."""

    credentials: grpc.ServerCredentials | None
    principal_of: PrincipalOf
    close: Callable[[], None] = lambda: None


def security_of(settings: Settings) -> Security:
    """Raises: Internal where they don't go together; Unavailable where Vault is to issue the certificate and can't."""
    clients = {} if settings.grpc_clients is None else read_clients(Path(settings.grpc_clients))
    principal_of = principal_by_certificate(clients) if clients else _nobody
    files = (settings.grpc_tls_cert, settings.grpc_tls_key)
    if clients and settings.grpc_client_ca is None:
        raise _wrong("KEYRAIL_GRPC_CLIENTS needs KEYRAIL_GRPC_CLIENT_CA")
    if settings.grpc_pki_role is not None:
        if any(files):
            raise _wrong("KEYRAIL_GRPC_PKI_ROLE stands in place of KEYRAIL_GRPC_TLS_CERT and _TLS_KEY")
        issued = IssuedCertificate(certificate_issuer(settings), _client_ca(settings))
        return Security(credentials(issued.first(), issued), principal_of, issued.close)
    if files[0] is not None and files[1] is not None:
        source = CertificateFiles(Path(files[0]), Path(files[1]), _path(settings.grpc_client_ca))
        return Security(credentials(source.first(), source), principal_of)
    if any(files) or settings.grpc_client_ca is not None:
        raise _wrong("KEYRAIL_GRPC_TLS_CERT and KEYRAIL_GRPC_TLS_KEY go together, and with KEYRAIL_GRPC_CLIENT_CA")
    if not settings.grpc_plaintext and not _is_loopback(settings.grpc_address):
        raise _wrong("beyond loopback the server needs a certificate, or KEYRAIL_GRPC_PLAINTEXT=true")
    return Security(None, principal_of)


def _wrong(text: str) -> Internal:
    return Internal(f"settings: {text}")


def _nobody(_: grpc.ServicerContext) -> Principal | None:
    return None


def _path(file: str | None) -> Path | None:
    return None if file is None else Path(file)


def _client_ca(settings: Settings) -> bytes | None:
    try:
        return None if settings.grpc_client_ca is None else Path(settings.grpc_client_ca).read_bytes()
    except OSError as error:
        raise _wrong("KEYRAIL_GRPC_CLIENT_CA can't be read") from error


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
