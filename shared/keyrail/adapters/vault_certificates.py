"""A certificate of Vault's PKI engine, made under one of its roles.
https://developer.hashicorp.com/vault/api-docs/secret/pki#generate-certificate-and-key"""

import json
from dataclasses import dataclass, field
from typing import Any

from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_replies import document, refusal
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM texts: `chain` is the certificate and the CAs between it and the root."""

    chain: bytes
    key: bytes = field(repr=False)
    ends_at: float  # seconds since 1970, by Vault's clock


class VaultCertificates:
    """`session` is of the engine's mount. `names`: the first one is the common name too."""

    def __init__(self, session: VaultSession, role: str, names: tuple[str, ...], ttl_seconds: int) -> None:
        self._session, self._path = session, SecretPath(("issue", role))
        asked = {"common_name": names[0], "alt_names": ",".join(names), "ip_sans": "", "ttl": f"{ttl_seconds}s"}
        self._body = json.dumps(asked).encode()

    def issue(self) -> Issued:
        """Each call makes another one. Raises: Unavailable, DeadlineExceeded."""
        reply = self._session.ask("POST", self._path, self._body)
        if reply.status != 200:
            raise refusal(reply)
        match document(reply):
            case {"data": {"certificate": str(own), "private_key": str(key), "expiration": int(ends_at), **rest}}:
                chain: Any = rest.get("ca_chain") or ()
                between = [each for each in chain if isinstance(each, str)]
                return Issued("\n".join([own, *between, ""]).encode(), key.encode(), float(ends_at))
        raise Unavailable("Vault's answer to issuing a certificate holds none")
