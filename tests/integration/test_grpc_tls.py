"""TLS and mTLS of the gRPC container: who is refused, whom a certificate stands for, and renewal under load."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from canary import Canary
from deployed import Deployment
from grpc_container import Client, Container, Load, running, wait_until

from keyrail.dev.openbao import OpenBao
from keyrail.v1 import keys_pb2
from own_ca import OwnCa, Pair

GATEWAY, READER, NOBODY = "spiffe://cluster/ns/ml/sa/gateway", "reader.acme.svc", "nobody.acme.svc"
CLIENTS = {GATEWAY: {"tenant": "acme", "scopes": ["keys:validate"]}, READER: {"tenant": "acme", "roles": ["auditor"]}}
CALL_SECONDS = 5.0


@pytest.fixture(scope="module")
def ca() -> OwnCa:
    return OwnCa()


@pytest.fixture(scope="module")
def folder(ca: OwnCa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mounted")
    ca.issue("127.0.0.1").write(made, "tls")
    (made / "ca.pem").write_bytes(ca.pem)
    (made / "clients.json").write_text(json.dumps(CLIENTS))
    return made


@pytest.fixture(scope="module")
def settings(folder: Path) -> dict[str, str]:
    return {"KEYRAIL_GRPC_TLS_CERT": str(folder / "tls.pem"), "KEYRAIL_GRPC_TLS_KEY": str(folder / "tls.key")}


@pytest.fixture(scope="module")
def mutual(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    more = {"KEYRAIL_GRPC_CLIENT_CA": folder / "ca.pem", "KEYRAIL_GRPC_CLIENTS": folder / "clients.json"}
    return settings | {name: str(file) for name, file in more.items()}


@pytest.fixture(scope="module")
def world(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(openbao, tmp_path_factory.mktemp("grpc-tls"), canary)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def container(world: Deployment, mutual: dict[str, str]) -> Iterator[Container]:
    with running(world, **mutual) as made:
        yield made


def channel_to(container: Container, ca: bytes, pair: Pair | None = None, name: str = "") -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(ca, *((pair.key, pair.chain) if pair else ()))
    options = [("grpc.use_local_subchannel_pool", 1), *([("grpc.ssl_target_name_override", name)] if name else [])]
    return grpc.secure_channel(container.address, credentials, options)


def code_or_status(channel: grpc.Channel, key: str | None = None) -> str:
    """What a caller gets that has its certificate alone, or `key` besides."""
    client = Client(channel, key)
    asked = keys_pb2.ValidateKeyRequest(key="nonsense")
    try:
        return str(client.keys.ValidateKey(asked, metadata=client.metadata, timeout=CALL_SECONDS).code)
    except grpc.RpcError as error:
        return str(error.code().name)


def test_a_certificate_stands_for_its_principal(container: Container, ca: OwnCa) -> None:
    before = len(container.lines("request"))
    with channel_to(container, ca.pem, ca.issue("ignored.svc", GATEWAY)) as channel:
        assert code_or_status(channel) == "MALFORMED"  # the verdict: it may ask
    assert container.wait_for_line("request", before + 1)["actor"] == f"mtls:{GATEWAY}"


def test_a_principal_has_its_rights_and_no_other(container: Container, ca: OwnCa, world: Deployment) -> None:
    with channel_to(container, ca.pem, ca.issue(READER)) as channel:
        assert code_or_status(channel) == "PERMISSION_DENIED"
        client = Client(channel, None)
        assert not client.call(client.keys.ListKeys, keys_pb2.ListKeysRequest(tenant="acme")).keys
        with pytest.raises(grpc.RpcError) as caught:
            client.call(client.keys.ListKeys, keys_pb2.ListKeysRequest(tenant="other"))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_certificate_that_stands_for_nobody_still_needs_a_key(
    container: Container, ca: OwnCa, world: Deployment
) -> None:
    with channel_to(container, ca.pem, ca.issue(NOBODY)) as channel:
        assert code_or_status(channel) == "UNAUTHENTICATED"
        assert code_or_status(channel, world.admin_key) == "MALFORMED"


def test_a_key_that_is_refused_is_not_saved_by_a_certificate(container: Container, ca: OwnCa) -> None:
    with channel_to(container, ca.pem, ca.issue(GATEWAY)) as channel:
        assert code_or_status(channel, "nonsense") == "UNAUTHENTICATED"


def test_no_certificate_is_refused(container: Container, ca: OwnCa, world: Deployment) -> None:
    with channel_to(container, ca.pem) as channel:
        assert code_or_status(channel, world.admin_key) == "UNAVAILABLE"


def test_plaintext_is_refused(container: Container, world: Deployment) -> None:
    with grpc.insecure_channel(container.address) as channel:
        assert code_or_status(channel, world.admin_key) == "UNAVAILABLE"


@pytest.mark.parametrize("ends_in", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clients_certificate_of_another_ca_or_expired_is_refused(
    container: Container, ca: OwnCa, world: Deployment, ends_in: timedelta
) -> None:
    issuer = ca if ends_in < timedelta() else OwnCa()
    with channel_to(container, ca.pem, issuer.issue(GATEWAY, ends_in=ends_in)) as channel:
        assert code_or_status(channel, world.admin_key) == "UNAVAILABLE"


def test_a_client_refuses_a_server_of_another_ca_or_name(container: Container, ca: OwnCa) -> None:
    good = ca.issue(GATEWAY)
    with channel_to(container, OwnCa().pem, good) as channel:
        assert code_or_status(channel) == "UNAVAILABLE"
    with channel_to(container, ca.pem, good, name="other.acme.svc") as channel:
        assert code_or_status(channel) == "UNAVAILABLE"
    with channel_to(container, ca.pem, good) as channel:
        assert code_or_status(channel) == "MALFORMED"


def test_files_renewed_under_load_fail_no_call(
    container: Container, ca: OwnCa, world: Deployment, folder: Path
) -> None:
    """Each call on a connection of its own, so that each sees the certificate of its moment."""
    good = ca.issue(GATEWAY)

    def call() -> str:
        with channel_to(container, ca.pem, good) as channel:
            return code_or_status(channel)

    served_before = served(container, ca, good)
    with Load(call) as load:
        for n in range(5):
            load.wait_for(20)
            ca.issue("127.0.0.1").write(folder, "tls")
            container.wait_for_line("certificate", n + 1)
        load.wait_for(20)
    assert set(load.outcomes) == {"MALFORMED"}
    assert served(container, ca, good) != served_before


def served(container: Container, ca: OwnCa, pair: Pair) -> bytes:
    """The certificate that the server shows now."""
    import ssl
    import tempfile

    context = ssl.create_default_context(cadata=ca.pem.decode())
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*pair.write(Path(folder), "client"))
    import socket

    with (
        socket.create_connection(("127.0.0.1", container.port), CALL_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""


def test_half_of_a_renewal_changes_nothing(container: Container, ca: OwnCa, folder: Path) -> None:
    """A certificate without its key: the old pair is kept until both are there."""
    good, new = ca.issue(GATEWAY), ca.issue("127.0.0.1")
    before = served(container, ca, good)
    old_key = (folder / "tls.key").read_bytes()
    Pair(new.chain, old_key).write(folder, "tls")
    assert served(container, ca, good) == before
    assert container.lines("certificate")[-1]["code"] == "KEPT"
    new.write(folder, "tls")
    wait_until(lambda: served(container, ca, good) != before)


def test_a_certificate_from_vault_is_renewed_under_load_without_a_failed_call(world: Deployment) -> None:
    root_ca = issue_from_vault(world)
    env = {
        "KEYRAIL_GRPC_PKI_ROLE": "keyrail-grpc",
        "KEYRAIL_GRPC_PKI_MOUNT": world.pki_mount,
        "KEYRAIL_GRPC_PKI_NAME": "keyrail.svc,localhost",
        "KEYRAIL_GRPC_PKI_TTL_SECONDS": "10",
    }
    with running(world, **env) as container:

        def call() -> str:
            with channel_to(container, root_ca, name="keyrail.svc") as channel:
                return code_or_status(channel, world.admin_key)

        with Load(call, threads=2) as load:
            container.wait_for_line("certificate", 2)
            load.wait_for(20)
        assert set(load.outcomes) == {"MALFORMED"}


def issue_from_vault(world: Deployment) -> bytes:
    """The root certificate of a PKI engine that has the container's role."""
    root, mount = world.root, world.pki_mount
    root.sys.enable_secrets_engine("pki", path=mount, config={"max_lease_ttl": "24h"})
    made = root.secrets.pki.generate_root("internal", "test root", {"ttl": "24h", "key_type": "ec"}, mount_point=mount)
    role = {
        "allowed_domains": "keyrail.svc,localhost",
        "allow_bare_domains": True,
        "key_type": "ec",
        "max_ttl": "1h",
        "not_before_duration": "30s",
    }
    root.secrets.pki.create_or_update_role("keyrail-grpc", role, mount_point=mount)
    return str(made["data"]["certificate"]).encode()
