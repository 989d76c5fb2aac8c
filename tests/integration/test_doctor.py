"""`keyrail doctor` against a real server: all well after a bootstrap, and each fault found and told apart."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from bootstrapping import FUNCTIONS, Place

from keyrail.dev.openbao import OpenBao
from vault_servers import answering, reply

Break = Callable[[Place, Path], Any]


@pytest.fixture
def place(openbao: OpenBao) -> Iterator[Place]:
    made = Place.make(openbao)
    yield made
    made.remove()


@pytest.fixture
def identities(place: Place, tmp_path: Path) -> Path:
    """Of a place where all is well."""
    place.bootstrap(identities=tmp_path / "ids")
    return tmp_path / "ids"


def findings(place: Place, *more: str, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = place.keyrail_here("doctor", "--functions", str(FUNCTIONS), "--json", *more, **env)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    return done.returncode, {each["check"]: each for each in told["checks"]}


def failed(found: dict[str, dict[str, Any]]) -> set[str]:
    return {check for check, finding in found.items() if not finding["ok"]}


def test_after_a_bootstrap_all_is_well(place: Place, identities: Path) -> None:
    code, found = findings(place, "--identities", str(identities))
    assert (code, failed(found)) == (0, set())
    functions = len(list(FUNCTIONS.glob("*/policy.hcl")))
    assert len(found) == 5 + 3 + 2 * functions + 5 + functions
    assert "version 2." in found["address"]["note"]


def test_lines_say_ok_or_fail_and_what_to_do(place: Place) -> None:
    done = place.keyrail("doctor", "--functions", str(FUNCTIONS))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "ok    transport: no TLS, on loopback" in lines
    assert lines[lines.index(f"FAIL  mount {place.mount}/: is not there") + 1] == "      Run `keyrail bootstrap`."
    assert done.stderr.endswith("failed.\n")


def policy(place: Place, _: Path) -> None:
    place.admin.put(f"sys/policies/acl/{place.plan.name_of('rotate')}", policy='path "*" { capabilities = ["read"] }')


def role(place: Place, _: Path) -> None:
    place.admin.put(f"auth/approle/role/{place.plan.name_of('rotate')}", token_policies=["default"])


def mount_settings(place: Place, _: Path) -> None:
    place.admin.put(f"{place.mount}/config", cas_required=False)


def pepper(place: Place, _: Path) -> None:
    place.admin.replace_document(place.mount, "pepper", {"current": 1, "versions": {"1": "short"}}, 1)


def roles(place: Place, _: Path) -> None:
    place.admin.replace_document(place.mount, "rbac/roles", {"admin": ["*"]}, 1)


def feed(place: Place, _: Path) -> None:
    place.admin.replace_document(place.mount, "feed/head", {"seq": "many"}, 1)


def admin_key(place: Place, _: Path) -> None:
    document, version = place.admin.read_document(place.mount, "bootstrap/admin") or ({}, 0)
    place.admin.replace_document(place.mount, "bootstrap/admin", {**document, "handed_over": False}, version)


def wide_file(_: Place, ids: Path) -> None:
    (ids / "rotate.secret-id").chmod(0o644)


def lost_file(_: Place, ids: Path) -> None:
    (ids / "rotate.env").unlink()


def wrong_secret_id(_: Place, ids: Path) -> None:
    (ids / "rotate.secret-id").write_text("another\n")


@pytest.mark.parametrize(
    ("fault", "checks", "told"),
    [
        (policy, {"policy {rotate}", "identity rotate"}, "is not what policy.hcl says"),
        (role, {"role {rotate}", "identity rotate"}, "token_policies"),
        (mount_settings, {"mount {mount}/"}, "cas_required"),
        (pepper, {"pepper"} | {f"identity {name.parent.name}" for name in FUNCTIONS.glob("*/main.py")}, "malformed"),
        (roles, {"roles"}, "lack"),
        (feed, {"change feed"} | {f"identity {name.parent.name}" for name in FUNCTIONS.glob("*/main.py")}, "malformed"),
        (admin_key, {"admin key"}, "cut off"),
        (wide_file, {"identity rotate"}, "can be read by others"),
        (lost_file, {"identity rotate"}, "is not there"),
        (wrong_secret_id, {"identity rotate"}, "refused our approle login"),
    ],
)
def test_each_fault_is_found_and_only_that(
    fault: Break, checks: set[str], told: str, place: Place, identities: Path
) -> None:
    fault(place, identities)
    code, found = findings(place, "--identities", str(identities))
    names = {check.format(mount=place.mount, rotate=place.plan.name_of("rotate")) for check in checks}
    if fault is policy:  # a read of everything lets its identity read, too
        names.remove("identity rotate")
    assert (code, failed(found)) == (1, names)
    assert told in " ".join(found[check]["note"] for check in names)
    assert all(found[check]["advice"] for check in names)


@pytest.mark.parametrize(
    ("env", "check", "told"),
    [
        ({"VAULT_ADDR": "http://127.0.0.1:1"}, "address", "no answer"),
        ({"VAULT_TOKEN": "wrong"}, "token", "may not do that"),
    ],
)
def test_nothing_more_is_asked_of_a_server_that_does_not_let_us(
    env: dict[str, str], check: str, told: str, place: Place
) -> None:
    code, found = findings(place, **env)
    assert (code, failed(found)) == (1, {check})
    assert list(found)[-1] == check
    assert told in found[check]["note"]


def server(body: bytes, *headers: str) -> AbstractContextManager[str]:
    return answering(lambda connection: connection.sendall(reply("200 OK", body, *headers)))


def test_a_sealed_server_is_told_as_such(place: Place) -> None:
    with server(b'{"initialized": true, "sealed": true, "version": "1"}') as address:
        _, found = findings(place, VAULT_ADDR=address)
    assert failed(found) == {"seal"}
    assert "operator unseal" in found["seal"]["advice"]


def test_a_clock_that_differs_is_told_with_by_how_much(place: Place) -> None:
    date = "Date: Sat, 01 Jan 2022 00:00:00 GMT"
    with server(b'{"initialized": true, "sealed": false, "version": "1"}', date) as address:
        _, found = findings(place, VAULT_ADDR=address)
    assert failed(found) == {"clock"}
    assert "ahead of the server" in found["clock"]["note"]


def test_it_changes_nothing(place: Place, identities: Path) -> None:
    before = [place.document(path) for path in ("pepper", "rbac/roles", "feed/head", "bootstrap/admin")]
    mount_settings(place, identities)
    findings(place, "--identities", str(identities))
    assert (place.admin.get(f"{place.mount}/config") or {})["cas_required"] is False
    assert before == [place.document(path) for path in ("pepper", "rbac/roles", "feed/head", "bootstrap/admin")]
