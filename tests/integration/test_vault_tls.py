"""TLS to Vault: whose certificate is believed, which one is shown, and that a handshake has its deadline too."""

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hvac
import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import FEED_HEAD, index_folder
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.openbao import OpenBao, Tls
from keyrail.domain.errors import Unavailable
from vault_mount import Mount, RecordedMetrics
from vault_servers import answering, drip, reply

SLACK_SECONDS = 5.0  # a loaded machine; without a deadline these servers hold us for 25 seconds


@dataclass(frozen=True)
class Pki:
    """PEM files: a CA, a certificate of it good for 127.0.0.1 on either side, and a CA that signed neither."""

    ca: Path
    cert: Path
    key: Path
    other_ca: Path


@pytest.fixture(scope="module")
def pki(root: hvac.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pki]:
    folder = tmp_path_factory.mktemp("pki")
    made = {}
    for name in ("ours", "other"):
        root.sys.enable_secrets_engine("pki", path=f"pki-{name}")
        made[name] = _write(root, f"pki-{name}/root/generate/internal", common_name=f"{name} CA", key_type="ec")
    _write(root, "pki-ours/roles/any", allow_any_name=True, allow_ip_sans=True, key_type="ec")
    leaf = _write(root, "pki-ours/issue/any", common_name="vault.test", ip_sans="127.0.0.1", ttl="1h")
    files = Pki(folder / "ca.pem", folder / "cert.pem", folder / "key.pem", folder / "other.pem")
    files.ca.write_text(made["ours"]["certificate"])
    files.other_ca.write_text(made["other"]["certificate"])
    files.cert.write_text(leaf["certificate"])
    files.key.write_text(leaf["private_key"])
    yield files
    for name in ("ours", "other"):
        root.sys.disable_secrets_engine(f"pki-{name}")


def _write(root: hvac.Client, path: str, **data: Any) -> Any:
    return root.write_data(path, data=data)["data"]


@pytest.fixture(scope="module")
def config(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultConfig]:
    """For a Vault that asks every client for a certificate, with everything that it takes."""
    tls = Tls(pki.cert, pki.key, pki.ca, client_ca=pki.ca)
    with OpenBao(tmp_path_factory.mktemp("tls"), tls=tls) as server:
        client = hvac.Client(server.address, server.root_token, verify=str(pki.ca), cert=(str(pki.cert), str(pki.key)))
        mount = Mount.make(server, client)
        mount.put("feed/head", {"seq": 0})
        yield mount.config(cacert=str(pki.ca), client_cert=str(pki.cert), client_key=str(pki.key))


def refused(config: VaultConfig) -> str:
    with pytest.raises(Unavailable) as caught:
        VaultSession(config).read(FEED_HEAD)
    return caught.value.detail


def test_with_its_ca_and_a_client_certificate_vault_is_read_written_and_listed(config: VaultConfig) -> None:
    session = VaultSession(config)
    found = session.read(FEED_HEAD)
    assert found is not None
    assert session.replace(FEED_HEAD, {"seq": 1}, found.version) == found.version + 1
    assert session.list(index_folder("acme")) == []


def test_a_connection_is_used_again(config: VaultConfig) -> None:
    session = VaultSession(config)
    session.read(FEED_HEAD)
    idle = session._process().channel._transport._idle
    ((first, _),) = idle
    session.read(FEED_HEAD)
    ((second, _),) = idle
    assert second is first


def test_a_certificate_of_another_ca_is_not_believed(config: VaultConfig, pki: Pki) -> None:
    assert refused(replace(config, cacert=str(pki.other_ca))) == "read at Vault failed: SSLCertVerificationError"
    assert refused(replace(config, cacert=None)) == "read at Vault failed: SSLCertVerificationError"


def test_a_certificate_for_another_name_is_not_believed(config: VaultConfig) -> None:
    elsewhere = replace(config, address=config.address.replace("127.0.0.1", "localhost"))
    assert refused(elsewhere) == "read at Vault failed: SSLCertVerificationError"


def test_a_ca_named_in_the_environment_changes_nothing(
    config: VaultConfig, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(pki.other_ca))
    assert VaultSession(config).list(index_folder("acme")) == []


def test_skip_verify_believes_any_certificate_on_loopback(config: VaultConfig, pki: Pki) -> None:
    assert VaultSession(replace(config, cacert=str(pki.other_ca), skip_verify=True)).read(FEED_HEAD) is not None


def test_without_a_client_certificate_vault_does_not_talk_to_us(config: VaultConfig) -> None:
    assert refused(replace(config, client_cert=None, client_key=None)).startswith("read at Vault failed: SSL")


@pytest.mark.parametrize("broken", ["cacert", "client_cert", "client_key"])
@pytest.mark.parametrize("content", [None, "no PEM"])
def test_a_file_that_is_missing_or_no_certificate_is_unavailable(
    config: VaultConfig, tmp_path: Path, broken: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    expected = "SSLError" if content else "FileNotFoundError"
    assert refused(replace(config, **{broken: str(file)})) == f"read at Vault failed: {expected}"  # type: ignore[arg-type]


def test_a_handshake_that_never_ends_is_cut_off(pki: Pki, metrics: RecordedMetrics) -> None:
    with answering(lambda connection: drip(connection, b"\x16\x03\x03\x40\x00" + b"x" * 500)) as address:
        config = VaultConfig(address=address.replace("http:", "https:"), token="t", connect_seconds=0.3)
        started_at = time.monotonic()
        with pytest.raises(Unavailable):
            VaultSession(config, metrics).read(FEED_HEAD)
        assert time.monotonic() - started_at < 0.3 + SLACK_SECONDS
    assert metrics.calls == [("read", "timeout")]


@pytest.mark.parametrize("dripped", ["headers", "body"])
def test_a_slow_drip_through_tls_is_cut_off(pki: Pki, metrics: RecordedMetrics, dripped: str) -> None:
    def answer(connection: socket.socket) -> None:
        text = reply("200 OK", b" " * 500)
        sent = 10 if dripped == "headers" else text.index(b"\r\n\r\n") + 4
        connection.sendall(text[:sent])
        drip(connection, text[sent:])

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.cert, pki.key)
    with answering(answer, tls=context) as address:
        config = VaultConfig(address=address, token="t", cacert=str(pki.ca), deadline_seconds=0.4)
        started_at = time.monotonic()
        with pytest.raises(Unavailable):
            VaultSession(config, metrics).read(FEED_HEAD)
        assert time.monotonic() - started_at < 0.4 + SLACK_SECONDS
    assert metrics.calls == [("read", "timeout")]
