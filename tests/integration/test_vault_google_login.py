"""Logging in to a real OpenBao with the token of a Google service account."""

import secrets
from collections.abc import Iterator
from typing import Any

import hvac
import jwt
import pytest
from google_metadata import ISSUER, Metadata

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_login import login_body
from keyrail.adapters.vault_paths import PEPPER
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.openbao import OpenBao
from keyrail.domain.errors import Unavailable
from vault_mount import Mount, RecordedMetrics

EMAIL = "keyrail-validate-key@acme-keys.iam.gserviceaccount.com"
AUDIENCE = "https://vault.example.com:8200"


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    made = Metadata(EMAIL)
    with made.serving():
        yield made


@pytest.fixture
def auth_mount(openbao: OpenBao, mount: Mount, metadata: Metadata) -> Iterator[str]:
    """As infra/terraform/vault makes it, with a key in place of Google's address."""
    root, path = hvac.Client(openbao.address, openbao.root_token), f"google-{secrets.token_hex(4)}"
    root.sys.enable_auth_method("jwt", path=path)
    root.write_data(
        f"auth/{path}/config",
        data={"jwt_validation_pubkeys": [metadata.public_key], "bound_issuer": ISSUER},
    )
    root.sys.create_or_update_policy(path, f'path "{mount.name}/data/pepper" {{\n  capabilities = ["read"]\n}}\n')
    root.write_data(
        f"auth/{path}/role/keyrail-validate_key",
        data={
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": [AUDIENCE],
            "bound_claims": {"email": EMAIL},
            "token_policies": [path],
            "token_type": "batch",
            "token_ttl": 900,
            "token_no_default_policy": True,
        },
    )
    root.secrets.kv.v2.create_or_update_secret("pepper", {"current": 1}, mount_point=mount.name, cas=0)
    yield path
    root.sys.disable_auth_method(path)
    root.sys.delete_policy(path)


def config(vault: OpenBao, mount: Mount, metadata: Metadata, **changes: Any) -> VaultConfig:
    given = {"role": "keyrail-validate_key", "google_audience": AUDIENCE, "mount": mount.name, **changes}
    return VaultConfig(
        address=vault.address, auth="google", google_metadata_host=metadata.host, deadline_seconds=10.0, **given
    )


def detail_of(failed: pytest.ExceptionInfo[Unavailable]) -> str:
    """What the log tells; the answer to a caller says nothing of it."""
    return failed.value.detail


def read_pepper(config: VaultConfig) -> Any:
    session = VaultSession(config, RecordedMetrics())
    try:
        return session.read(PEPPER)
    finally:
        session.close()


def test_a_function_reads_as_its_service_account(
    openbao: OpenBao, mount: Mount, metadata: Metadata, auth_mount: str
) -> None:
    found = read_pepper(config(openbao, mount, metadata, auth_mount=auth_mount))
    assert found.data == {"current": 1}


def test_another_service_account_is_refused(
    openbao: OpenBao, mount: Mount, metadata: Metadata, auth_mount: str
) -> None:
    metadata.email = "somebody@acme-keys.iam.gserviceaccount.com"
    with pytest.raises(Unavailable) as failed:
        read_pepper(config(openbao, mount, metadata, auth_mount=auth_mount))
    assert detail_of(failed) == "Vault refused our google login with 400"


def test_a_token_for_somebody_else_is_refused(
    openbao: OpenBao, mount: Mount, metadata: Metadata, auth_mount: str
) -> None:
    """Without the setting it is for the address by which this process knows Vault."""
    with pytest.raises(Unavailable) as failed:
        read_pepper(config(openbao, mount, metadata, auth_mount=auth_mount, google_audience=None))
    assert detail_of(failed) == "Vault refused our google login with 400"


def test_the_token_is_for_vaults_address_unless_told_otherwise(
    openbao: OpenBao, mount: Mount, metadata: Metadata
) -> None:
    body = login_body(config(openbao, mount, metadata, google_audience=None))
    assert jwt.decode(body["jwt"], options={"verify_signature": False})["aud"] == openbao.address
    assert body["role"] == "keyrail-validate_key"


def test_it_is_vaults_jwt_method_that_is_asked(openbao: OpenBao, mount: Mount, metadata: Metadata) -> None:
    assert config(openbao, mount, metadata).login_mount == "jwt"


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_account_without_a_token_is_unavailable(
    openbao: OpenBao, mount: Mount, metadata: Metadata, status: int
) -> None:
    metadata.status = status
    with pytest.raises(Unavailable) as failed:
        login_body(config(openbao, mount, metadata))
    assert detail_of(failed) == f"Google's metadata server gives no token: {status}"


def test_outside_google_cloud_the_store_is_unavailable(openbao: OpenBao, mount: Mount, metadata: Metadata) -> None:
    metadata.host = "127.0.0.1:1"
    with pytest.raises(Unavailable) as failed:
        read_pepper(config(openbao, mount, metadata))
    assert "ConnectionRefusedError" in detail_of(failed)


def test_a_role_must_be_named() -> None:
    with pytest.raises(ValueError, match="google needs role"):
        VaultConfig(address="http://127.0.0.1:1", auth="google")
