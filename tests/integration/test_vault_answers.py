"""What Vault's answers are taken for: absent, lost, denied or a fault, each told from the others."""

import json
import socket

import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import FEED_HEAD, PEPPER, ROLES, index_folder
from keyrail.adapters.vault_replies import Denied
from keyrail.adapters.vault_session import VaultSession, Versioned
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.telemetry import correlation_id
from vault_mount import Mount, RecordedMetrics
from vault_servers import answering, reply


def test_a_document_is_read_with_its_version(mount: Mount, vault_session: VaultSession) -> None:
    mount.put("feed/head", {"seq": 0})
    mount.put("feed/head", {"seq": 1}, cas=1)
    assert vault_session.read(FEED_HEAD) == Versioned({"seq": 1}, 2)


def test_what_was_never_written_is_absent(vault_session: VaultSession, metrics: RecordedMetrics) -> None:
    assert vault_session.read(FEED_HEAD) is None
    assert vault_session.list(index_folder("acme")) == []
    assert metrics.calls == [("read", "absent"), ("list", "absent")]


@pytest.mark.parametrize("how", ["deleted", "destroyed", "purged"])
def test_what_was_deleted_is_absent(mount: Mount, vault_session: VaultSession, how: str) -> None:
    mount.put("feed/head", {"seq": 0})
    kv = mount.root.secrets.kv.v2
    if how == "deleted":
        kv.delete_latest_version_of_secret("feed/head", mount_point=mount.name)
    elif how == "destroyed":
        kv.destroy_secret_versions("feed/head", [1], mount_point=mount.name)
    else:
        kv.delete_metadata_and_all_versions("feed/head", mount_point=mount.name)
    assert vault_session.read(FEED_HEAD) is None


def test_nothing_is_made_where_something_was_deleted(mount: Mount, vault_session: VaultSession) -> None:
    mount.put("feed/head", {"seq": 0})
    mount.root.secrets.kv.v2.delete_latest_version_of_secret("feed/head", mount_point=mount.name)
    with pytest.raises(Unavailable, match="can't answer"):
        vault_session.create(FEED_HEAD, {})


@pytest.mark.parametrize("missing", [{"mount": "no-such-mount"}, {"namespace": "no-such-namespace"}])
def test_a_missing_mount_or_namespace_is_a_fault_and_not_absent(
    mount: Mount, metrics: RecordedMetrics, missing: dict[str, str]
) -> None:
    config = VaultConfig(
        **{"address": mount.server.address, "mount": mount.name, "token": mount.server.root_token, **missing}
    )
    session = VaultSession(config, metrics)
    for call in (session.read, session.list):
        with pytest.raises(Unavailable) as caught:
            call(FEED_HEAD)
        assert caught.value.detail == "Vault answered with 404"


def test_an_unknown_token_is_unavailable_and_never_a_refusal_of_the_caller(mount: Mount) -> None:
    session = VaultSession(mount.config(token="s.unknown"))
    for call in (
        lambda: session.read(FEED_HEAD),
        lambda: session.create(FEED_HEAD, {}),
        lambda: session.replace(FEED_HEAD, {}, 1),
        lambda: session.list(FEED_HEAD),
    ):
        with pytest.raises(Denied) as caught:
            call()
        assert (caught.value.kind, caught.value.code) == ("UNAVAILABLE", "UNAVAILABLE")


def test_a_policy_that_does_not_allow_it_is_unavailable(mount: Mount) -> None:
    mount.put("feed/head", {"seq": 0})
    session = VaultSession(mount.config(token=mount.token('path "MOUNT/data/pepper" { capabilities = ["read"] }')))
    assert session.read(PEPPER) is None
    with pytest.raises(Denied):
        session.read(FEED_HEAD)


def test_under_create_alone_a_taken_path_is_told_from_a_missing_right(mount: Mount, metrics: RecordedMetrics) -> None:
    rules = """
        path "MOUNT/data/feed/head" { capabilities = ["create", "read"] }
        path "MOUNT/data/pepper" { capabilities = ["read"] }
    """
    session = VaultSession(mount.config(token=mount.token(rules)), metrics)
    assert session.create(FEED_HEAD, {"seq": 0}) is None
    assert session.create(FEED_HEAD, {"seq": 1}) == Versioned({"seq": 0}, 1)
    assert metrics.calls == [("write", "ok"), ("write", "denied"), ("read", "ok")]
    for path in (PEPPER, ROLES):
        with pytest.raises(Denied):
            session.create(path, {})


def test_a_lost_race_is_told_from_a_bad_request(
    mount: Mount, vault_session: VaultSession, metrics: RecordedMetrics
) -> None:
    mount.put("feed/head", {"seq": 0})
    assert vault_session.replace(FEED_HEAD, {"seq": 1}, version=2) is None
    assert metrics.calls == [("write", "conflict")]
    with (
        answer_of("400 Bad Request", b'{"errors":["check-and-set parameter required for this call"]}') as address,
        pytest.raises(Unavailable),
    ):
        VaultSession(VaultConfig(address=address, token="t")).replace(FEED_HEAD, {"seq": 1}, version=2)


def test_a_document_too_large_for_vault_fails_without_changing_anything(
    mount: Mount, vault_session: VaultSession
) -> None:
    mount.put("feed/head", {"seq": 0})
    with pytest.raises(DeadlineExceeded):  # Vault says 500, which on a write may mean anything
        vault_session.replace(FEED_HEAD, {"big": "x" * 2_000_000}, version=1)
    assert vault_session.read(FEED_HEAD) == Versioned({"seq": 0}, 1)


def answer_of(status: str, body: bytes, *headers: str) -> "answering":  # type: ignore[valid-type]
    return answering(lambda connection: connection.sendall(reply(status, body, *headers)))


NO_DOCUMENTS = [
    b"",
    b"<html>Please log in to the hotel's network</html>",
    b"[]",
    b"null",
    b'{"data":null}',
    b'{"data":{"data":null,"metadata":{"version":1}}}',
    b'{"data":{"data":{},"metadata":{"version":"1"}}}',
    b'{"data":{"data":{},"metadata":{}}}',
    b'{"data":{"data":[],"metadata":{"version":1}}}',
    b'\xff{"data":{"data":{},"metadata":{"version":1}}}',
]


@pytest.mark.parametrize("body", NO_DOCUMENTS)
def test_a_good_status_with_anything_but_a_document_is_a_fault(body: bytes) -> None:
    with answer_of("200 OK", body) as address:
        session = VaultSession(VaultConfig(address=address, token="t"))
        with pytest.raises(Unavailable):
            session.read(FEED_HEAD)
        with pytest.raises(Unavailable):
            session.list(FEED_HEAD)
        with pytest.raises(DeadlineExceeded):  # something took the write, and nobody knows what it did with it
            session.replace(FEED_HEAD, {}, version=1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("404 Not Found", b"<html>no such page</html>"),
        ("404 Not Found", b""),
        ("404 Not Found", b"{}"),
        ("404 Not Found", b'{"errors":null}'),
        ("404 Not Found", b'{"errors":["no handler for route"]}'),
        ("400 Bad Request", b'{"errors":["check-and-set parameter required for this call"]}'),
        ("429 Too Many Requests", b'{"errors":[]}'),
        ("500 Internal Server Error", b'{"errors":[]}'),
        ("503 Service Unavailable", b'{"errors":["Vault is sealed"]}'),
    ],
)
def test_any_other_refusal_is_a_fault(status: str, body: bytes) -> None:
    with answer_of(status, body) as address, pytest.raises(Unavailable) as caught:
        VaultSession(VaultConfig(address=address, token="t")).read(FEED_HEAD)
    assert caught.value.detail == f"Vault answered with {status[:3]}"


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])
def test_a_write_that_the_server_failed_over_has_an_unknown_outcome(status: str) -> None:
    with answer_of(status, b'{"errors":["1 error occurred"]}') as address, pytest.raises(DeadlineExceeded):
        VaultSession(VaultConfig(address=address, token="t")).replace(FEED_HEAD, {}, version=1)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(status: str) -> None:
    reached: list[bytes] = []

    def other_host(connection: socket.socket) -> None:
        reached.append(b"a request")
        connection.sendall(reply("200 OK", b"{}"))

    with answering(other_host) as elsewhere:
        target = f"Location: {elsewhere}/v1/keyrail/data/feed/head"
        with answer_of(status, b"", target) as address:
            session = VaultSession(VaultConfig(address=address, token="t"))
            for call in (
                lambda: session.read(FEED_HEAD),
                lambda: session.list(FEED_HEAD),
                lambda: session.replace(FEED_HEAD, {}, version=1),
            ):
                with pytest.raises(Unavailable) as caught:
                    call()
                assert caught.value.detail == f"Vault answered with {status[:3]}"
    assert reached == []


def test_each_request_is_marked_for_the_active_node_and_with_its_correlation_id() -> None:
    heads: list[str] = []
    absent = reply("404 Not Found", b'{"errors":[]}')
    with answering(lambda connection: connection.sendall(absent), heads) as address:
        session = VaultSession(VaultConfig(address=f"{address}/behind/a/gateway", token="t", namespace="team-a"))
        token = correlation_id.set("4bf92f3577b34da6a3ce929d0e0e4736")
        try:
            session.read(FEED_HEAD)
            session.list(FEED_HEAD)
        finally:
            correlation_id.reset(token)
    first_lines = [head.split("\r\n", 1)[0] for head in heads]
    assert first_lines == [
        "GET /behind/a/gateway/v1/keyrail/data/feed/head HTTP/1.1",
        "LIST /behind/a/gateway/v1/keyrail/metadata/feed/head/ HTTP/1.1",
    ]
    for head in heads:
        for line in (
            "X-Vault-Token: t",
            "X-Vault-Request: true",
            "X-Vault-Namespace: team-a",
            "X-Vault-Inconsistent: forward-active-node",
            "X-Correlation-ID: 4bf92f3577b34da6a3ce929d0e0e4736",
        ):
            assert f"\r\n{line}\r\n" in head


def test_no_value_of_the_store_reaches_an_error(mount: Mount, metrics: RecordedMetrics) -> None:
    canary = "canary-7f3a"
    mount.put("pepper", {"current": canary, "versions": {"1": canary}})
    quoting = json.dumps({"errors": [f"1 error occurred: invalid value {canary}"]}).encode()
    with answer_of("400 Bad Request", quoting) as address, pytest.raises(Unavailable) as caught:
        VaultSession(VaultConfig(address=address, token=canary)).replace(PEPPER, {"x": canary}, version=1)
    error: BaseException | None = caught.value
    while error is not None:
        assert canary not in f"{error} {error.args} {getattr(error, 'detail', '')} {getattr(error, 'public', '')}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
