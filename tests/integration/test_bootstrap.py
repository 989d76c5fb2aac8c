"""`keyrail bootstrap` against a real server: what it makes, keeps, mends and refuses."""

import json
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hvac
import pytest
from bootstrapping import FUNCTIONS, Place

from keyrail.adapters.setup_documents import Step
from keyrail.dev.openbao import OpenBao
from keyrail.domain.errors import InvalidArgument, KeyrailError
from keyrail.domain.key_format import ANY_KEY
from keyrail.domain.records import Tombstone
from keyrail.domain.roles import BUILT_IN_ROLES


@pytest.fixture
def place(openbao: OpenBao) -> Iterator[Place]:
    made = Place.make(openbao)
    yield made
    made.remove()


def outcomes(steps: list[Step]) -> dict[str, str]:
    return {step.what: step.outcome for step in steps}


def write_once_ready(place: Place, path: str, mount: str = "") -> None:
    """A new mount answers 400 for a moment, while it sets itself up."""
    ends_at = time.monotonic() + 10
    while True:
        try:
            return place.root.secrets.kv.v2.create_or_update_secret(path, {"a": 1}, mount_point=mount or place.mount)
        except hvac.exceptions.InvalidRequest:
            assert time.monotonic() < ends_at
            time.sleep(0.05)


def test_the_first_run_makes_everything_and_the_second_changes_nothing(place: Place, tmp_path: Path) -> None:
    first, keys = place.bootstrap(identities=tmp_path / "ids")
    made = outcomes(first)
    assert made.pop("auth method approle/") in ("made", "kept")  # the server is shared, other tests may have it
    assert set(made.values()) == {"made"}
    assert len(keys) == 1

    before = {path: place.document(path) for path in ("pepper", "rbac/roles", "feed/head", "bootstrap/admin")}
    files = {file.name: file.read_text() for file in (tmp_path / "ids").iterdir()}
    second, no_keys = place.bootstrap(identities=tmp_path / "ids")
    assert set(outcomes(second).values()) == {"kept"}
    assert no_keys == []
    assert before == {path: place.document(path) for path in before}
    assert files == {file.name: file.read_text() for file in (tmp_path / "ids").iterdir()}


def test_the_admin_key_works_and_its_record_holds_no_key(place: Place) -> None:
    _, (key,) = place.bootstrap()
    assert place.code_of(key) == "VALID"
    (key_id,) = place.live_admin_keys()
    record = place.document(f"keys/{key_id[:2]}/{key_id}")
    assert (record["tenant"], record["roles"]) == ("system", ["admin"])
    assert record["expires_at"] is not None
    assert key not in json.dumps(record)
    assert place.document("bootstrap/admin") == {"key_id": key_id, "handed_over": True, "replaces": []}


def test_a_new_admin_key_replaces_the_one_before(place: Place) -> None:
    _, (lost,) = place.bootstrap()
    _, (found,) = place.bootstrap(new_admin=True)
    assert (place.code_of(lost), place.code_of(found)) == ("REVOKED", "VALID")
    assert ANY_KEY.fullmatch(found)
    assert place.document("feed/head")["ring"] == [lost.split("_")[2]], "warm instances must hear of it"


def test_a_dead_admin_key_is_said_and_replaced_only_where_asked(place: Place) -> None:
    _, (dead,) = place.bootstrap()
    key_id = dead.split("_")[2]
    place.services().keys.revoke(
        Tombstone(key_id=key_id, revoked_at=datetime.now(UTC), revoked_by="a test", reason="leaked")
    )
    steps, none = place.bootstrap()
    assert (steps[-1].outcome, none) == ("kept", [])
    assert "is revoked" in steps[-1].note
    _, (alive,) = place.bootstrap(replace_dead_admin=True)
    assert place.code_of(alive) == "VALID"


def test_the_admin_key_ends_by_the_deployments_own_lifetime(place: Place) -> None:
    _, (key,) = place.bootstrap()
    stored = place.services().keys.find(key.split("_")[2])
    assert stored is not None
    lifetime = timedelta(seconds=place.settings.default_lifetime_seconds)
    assert stored.record.expires_at == stored.record.created_at + lifetime


def test_nothing_secret_is_printed_where_the_key_goes_to_a_file(place: Place, tmp_path: Path) -> None:
    key_file, ids = tmp_path / "admin.key", tmp_path / "ids"
    done = place.keyrail(
        *("bootstrap", "--functions", str(FUNCTIONS), "--identities", str(ids), "--admin-key-file", str(key_file))
    )
    assert (done.returncode, done.stdout) == (0, "")
    hidden = [key_file.read_text().strip(), place.vault.root_token, *place.document("pepper")["versions"].values()]
    hidden += [file.read_text().strip() for file in ids.glob("*.secret-id")]
    assert len(hidden) == 3 + len(list(FUNCTIONS.glob("*/policy.hcl")))
    assert [secret for secret in hidden if secret in done.stderr] == []
    assert "made    pepper" in done.stderr


def test_files_with_secrets_are_for_their_owner_alone(place: Place, tmp_path: Path) -> None:
    ids = tmp_path / "new" / "ids"
    place.bootstrap(identities=ids)
    assert stat.S_IMODE(ids.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in ids.iterdir()} == {0o600}
    (ids / "rotate.secret-id").chmod(0o644)
    place.bootstrap(identities=ids)
    assert stat.S_IMODE((ids / "rotate.secret-id").stat().st_mode) == 0o600


def test_stdout_is_the_key_and_nothing_else(place: Place) -> None:
    done = place.keyrail("bootstrap", "--functions", str(FUNCTIONS))
    assert ANY_KEY.fullmatch(done.stdout.strip())
    again = place.keyrail("bootstrap", "--functions", str(FUNCTIONS))
    assert (again.returncode, again.stdout) == (0, "")


def test_json_tells_the_steps_and_the_key(place: Place) -> None:
    done = place.keyrail("bootstrap", "--functions", str(FUNCTIONS), "--json")
    told = json.loads(done.stdout)
    assert {"what": "pepper", "outcome": "made", "note": ""} in told["steps"]
    assert place.code_of(told["admin_key"]["key"]) == "VALID"
    assert (told["error"], done.stderr) == (None, "")


def test_a_file_that_is_no_key_is_never_overwritten(place: Place, tmp_path: Path) -> None:
    precious = tmp_path / "notes.txt"
    precious.write_text("dear diary\n")
    done = place.keyrail("bootstrap", "--functions", str(FUNCTIONS), "--admin-key-file", str(precious))
    assert done.returncode == 2
    assert precious.read_text() == "dear diary\n"
    assert place.admin.get("sys/mounts") is not None
    assert f"{place.mount}/" not in (place.admin.get("sys/mounts") or {}), "nothing was begun"


def test_what_somebody_changed_is_mended_and_said(place: Place) -> None:
    place.bootstrap()
    name = place.plan.name_of("rotate")
    place.admin.put(f"sys/policies/acl/{name}", policy='path "*" { capabilities = ["read"] }')
    place.admin.put(f"auth/approle/role/{name}", token_ttl=99, token_bound_cidrs=["127.0.0.0/8"])
    place.admin.put(f"{place.mount}/config", cas_required=False, max_versions=7)
    steps, _ = place.bootstrap()
    mended = {step.what: step.note for step in steps if step.outcome != "kept"}
    assert mended == {
        f"settings of {place.mount}/": "cas_required was false, max_versions was 7",
        f"policy {name}": "",
        f"role {name}": "token_ttl",
    }
    role = place.admin.get(f"auth/approle/role/{name}")
    assert role is not None
    assert role["token_bound_cidrs"] == ["127.0.0.0/8"], "an operator's own tightening stays"


def test_roles_of_ones_own_are_kept_and_missing_ones_added(place: Place) -> None:
    place.bootstrap()
    own = {"admin": ["*"], "auditor": ["keys:read"], "data-science": ["ml:*"]}
    place.admin.replace_document(place.mount, "rbac/roles", own, version=1)
    steps, _ = place.bootstrap()
    missing = ", ".join(role for role in BUILT_IN_ROLES if role not in own)
    assert Step("default roles", "mended", f"added {missing}") in steps
    roles = place.document("rbac/roles")
    assert (roles["data-science"], roles["auditor"]) == (["ml:*"], ["keys:read"])
    assert "roles" in place.document("feed/head")["ring"]


def test_a_pepper_is_never_overwritten(place: Place) -> None:
    place.bootstrap()
    place.admin.replace_document(place.mount, "pepper", {"current": 2, "versions": {"1": "short"}}, version=1)
    with pytest.raises(InvalidArgument, match="pepper is malformed"):
        place.bootstrap()
    place.root.secrets.kv.v2.delete_latest_version_of_secret("pepper", mount_point=place.mount)
    with pytest.raises(InvalidArgument, match="pepper was deleted"):
        place.bootstrap()


def test_a_mount_of_somebody_else_is_left_alone(place: Place) -> None:
    place.root.sys.enable_secrets_engine("kv", path=place.mount, options={"version": "2"})
    write_once_ready(place, "their/secret")
    with pytest.raises(InvalidArgument, match="holds something else"):
        place.bootstrap()
    settings = place.admin.get(f"{place.mount}/config")
    assert settings is not None
    assert (settings["cas_required"], settings["max_versions"]) == (False, 0)


def test_a_mount_for_deliveries_that_is_somebody_elses_is_left_alone(place: Place) -> None:
    _, delivery = place.other_mounts
    place.root.sys.enable_secrets_engine("kv", path=delivery, options={"version": "2"})
    write_once_ready(place, "their/secret", delivery)
    with pytest.raises(InvalidArgument, match="is somebody else's"):
        place.bootstrap()
    settings = place.admin.get(f"{delivery}/config")
    assert settings is not None
    assert (settings["cas_required"], settings["max_versions"]) == (False, 0)


def test_a_delivered_key_has_no_history(place: Place) -> None:
    place.bootstrap()
    settings = place.admin.get(f"{place.other_mounts[1]}/config")
    assert settings is not None
    assert (settings["cas_required"], settings["max_versions"]) == (True, 1)


def test_settings_of_our_own_mounts_are_mended(place: Place) -> None:
    place.bootstrap()
    for mount in place.other_mounts:
        place.root.secrets.kv.v2.create_or_update_secret("acme/gateway", {"a": 1}, cas=0, mount_point=mount)
        place.admin.put(f"{mount}/config", cas_required=False)
    steps, _ = place.bootstrap()
    mended = {step.what: step.note for step in steps if step.outcome != "kept"}
    assert mended == {f"settings of {mount}/": "cas_required" for mount in place.other_mounts}


def test_a_mount_of_another_kind_is_refused(place: Place) -> None:
    place.root.sys.enable_secrets_engine("kv", path=place.mount, options={"version": "1"})
    with pytest.raises(InvalidArgument, match="no KV version 2 mount"):
        place.bootstrap()


def test_a_secret_id_that_was_destroyed_is_not_brought_back(place: Place, tmp_path: Path) -> None:
    place.bootstrap(identities=tmp_path)
    file = tmp_path / "rotate.secret-id"
    leaked = file.read_text().strip()
    place.admin.put(f"auth/approle/role/{place.plan.name_of('rotate')}/secret-id/destroy", secret_id=leaked)
    steps, _ = place.bootstrap(identities=tmp_path)
    assert outcomes(steps)["identity rotate"] == "made"
    assert outcomes(steps)["identity get_key"] == "kept"
    assert file.read_text().strip() != leaked
    assert place.admin.put(f"auth/approle/role/{place.plan.name_of('rotate')}/secret-id/lookup", secret_id=leaked) == {}


def test_two_at_once_agree_in_the_end(place: Place) -> None:
    keys: list[str] = []
    refusals: list[str] = []

    def run() -> None:
        try:
            keys.extend(place.bootstrap()[1])
        except KeyrailError as error:
            refusals.append(error.kind)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refusals) <= {"UNAVAILABLE", "INVALID_ARGUMENT"}
    assert len(refusals) < len(threads)
    keys += place.bootstrap()[1]
    assert [place.code_of(key) for key in keys].count("VALID") == 1
    assert len(place.live_admin_keys()) == 1


@pytest.mark.parametrize(
    ("env", "exit_code", "told"),
    [
        ({"VAULT_TOKEN": "wrong"}, 1, "VAULT_DENIED"),
        ({"VAULT_ADDR": "http://127.0.0.1:1"}, 3, "no answer"),
        ({"VAULT_TOKEN": "", "HOME": "/nonexistent"}, 2, "token"),
        ({"VAULT_ADDR": "nonsense"}, 2, "VAULT_ADDR"),
        ({"KEYRAIL_VAULT_MOUNT": "../sys"}, 2, "KEYRAIL_VAULT_MOUNT"),
    ],
)
def test_a_failure_says_what_to_do(place: Place, env: dict[str, str], exit_code: int, told: str) -> None:
    done = place.keyrail("bootstrap", "--functions", str(FUNCTIONS), **env)
    assert done.returncode == exit_code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert place.vault.root_token not in done.stderr
