"""What VaultConfig refuses before anything is opened, and that it never repeats a value."""

from typing import Any

import pytest

from keyrail.adapters.vault_config import SERVICE_ACCOUNT_JWT, VaultConfig

ADDRESS = "https://vault.example.com:8200"


@pytest.mark.parametrize("token", ["hvs.abc\n", "hvs.a\r\nX-Evil: 1", "hvs a", "hvs.\x00", "hvs.ü", "hvs.\t", ""])
def test_a_token_with_a_character_no_token_has_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is what is looked at
        VaultConfig(address=ADDRESS, token=token)
    assert "token" in str(caught.value)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["https://vault.example.com", "https://10.0.0.1:8200", "https://127.0.0.1.example.com", "https://localhost.evil"],
)
def test_skip_verify_is_refused_off_loopback(address: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        VaultConfig(address=address, token="t", skip_verify=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"])
def test_skip_verify_is_taken_on_loopback(host: str) -> None:
    assert VaultConfig(address=f"https://{host}:8200", token="t", skip_verify=True).is_loopback


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault.example.com:8200",
        "ftp://vault.example.com",
        "https://",
        "https://vault.example.com:port",
        "https://vault.example.com:99999",
        "https://user:pass-word@vault.example.com",
        "https://vault.example.com/?token=pass-word",
        "https://vault.example.com/#pass-word",
        "https://vault.example.com/pass-word here",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="VAULT_ADDR") as caught:
        VaultConfig(address=address, token="t")
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "token"),
        ({"auth": "approle"}, "role_id"),
        ({"auth": "kubernetes"}, "role"),
        ({"auth": "jwt", "jwt_file": "/jwt"}, "role"),
        ({"auth": "jwt", "role": "r"}, "jwt_file"),
        ({"auth": "ldap", "token": "t"}, "auth"),
        ({"token": "t", "mount": "../sys"}, "mount"),
        ({"token": "t", "mount": "keyrail/"}, "mount"),
        ({"token": "t", "auth_mount": "a/../b"}, "auth_mount"),
        ({"token": "t", "namespace": "a\nb"}, "namespace"),
        ({"token": "t", "client_key": "/key"}, "VAULT_CLIENT_CERT"),
    ],
)
def test_what_is_missing_or_malformed_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        VaultConfig(address=ADDRESS, **fields)


@pytest.mark.parametrize("fields", [{"mount": "team-a/keyrail"}, {"namespace": "org/team/"}, {"auth_mount": "k8s/eu"}])
def test_mounts_and_namespaces_may_have_several_parts(fields: dict[str, str]) -> None:
    VaultConfig(address=ADDRESS, token="t", **fields)  # type: ignore[arg-type]


def test_a_pods_own_token_is_the_default_of_kubernetes() -> None:
    assert VaultConfig(address=ADDRESS, auth="kubernetes", role="r").jwt_file == SERVICE_ACCOUNT_JWT


def test_no_token_is_shown_by_repr() -> None:
    assert "hvs.secret" not in repr(VaultConfig(address=ADDRESS, token="hvs.secret"))
