"""The pepper, replaced under running instances on a real OpenBao."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from keyrail.adapters.pepper_admin import PepperAdmin, PepperStatus
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_pepper import VaultPepperPlace
from keyrail.domain.decisions import Code, Need
from keyrail.domain.errors import Conflict, InvalidArgument, Unavailable
from keyrail.operations import issue_key, revoke_key, rotate, update_key
from keyrail.ports import Services
from keyrail.validation import check_key
from vault_mount import Mount
from vault_world import VaultWorld, vault_world


@pytest.fixture
def world(mount: Mount) -> Iterator[VaultWorld]:
    with vault_world(mount) as made:
        yield made


@pytest.fixture
def pepper(world: VaultWorld, mount: Mount) -> PepperAdmin:
    vault = AdminVault(VaultConfig(address=mount.server.address, token=mount.server.root_token, mount=mount.name))
    services = world.new_services(VAULT_TOKEN=mount.server.root_token)
    return PepperAdmin(
        VaultPepperPlace(vault, mount.name), services, settle_seconds=-5
    )  # the server tells whole seconds


def issue(world: VaultWorld) -> Any:
    return world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name="a key")


def code(key: str, services: Services) -> Code:
    return check_key(key, Need(tenant="acme"), services).code


def versions(mount: Mount) -> dict[str, str]:
    document = mount.root.secrets.kv.v2.read_secret_version(
        "pepper", mount_point=mount.name, raise_on_deleted_version=True
    )
    kept: dict[str, str] = document["data"]["data"]["versions"]
    return kept


def test_new_digests_use_the_new_version_and_old_keys_go_on(world: VaultWorld, pepper: PepperAdmin) -> None:
    old, others = issue(world), world.new_services()
    assert code(old.key, others) is Code.VALID
    assert pepper.rotate().note == "version 2 is current"
    world.clock.seconds += 2
    new = issue(world)
    for services in (world.services, others):
        assert code(old.key, services) is Code.VALID
        assert code(new.key, services) is Code.VALID
    assert pepper.status() == PepperStatus(current=2, keys_by_version={1: 1, 2: 1}, looked_at=2)


def test_an_instance_that_has_not_heard_of_it_reads_it_when_it_meets_it(
    world: VaultWorld, pepper: PepperAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, others = issue(world), world.new_services()
    assert code(issued.key, others) is Code.VALID
    published: list[str] = []
    monkeypatch.setattr(pepper.services.feed, "publish", published.append)
    pepper.rotate()
    assert published == ["pepper"]
    world.services = world.new_services()
    new = issue(world)
    assert code(new.key, others) is Code.VALID


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # how the instance is ended
def test_a_real_instance_uses_it_within_a_second(
    world: VaultWorld, pepper: PepperAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keyrail.bootstrap import build_services
    from keyrail.settings import load_settings

    instance = build_services(load_settings(world.env | {"KEYRAIL_FEED_POLL": "background"}))
    assert instance.lookup.peppers().current == 1
    pepper.rotate()
    began_at = time.monotonic()
    while instance.lookup.peppers().current == 1:
        assert time.monotonic() - began_at < 2.5
        time.sleep(0.05)
    monkeypatch.setattr(instance.feed, "head", _exit)
    while any(thread.name == "keyrail-feed" for thread in threading.enumerate()):
        time.sleep(0.05)  # other tests count threads


def _exit() -> None:
    raise SystemExit  # of the thread that asks


def test_a_version_in_use_is_not_dropped_and_the_keys_are_named(
    world: VaultWorld, pepper: PepperAdmin, mount: Mount
) -> None:
    first, second = issue(world), issue(world)
    pepper.rotate()
    with pytest.raises(Conflict) as error:
        pepper.drop(1)
    assert error.value.code == "PEPPER_IN_USE"
    assert {first.key_id, second.key_id} <= set(error.value.public.replace(",", " ").replace(".", " ").split())
    world.call(rotate.OPERATION, key_id=first.key_id, grace_seconds=3600)
    world.call(revoke_key.OPERATION, key_id=second.key_id)
    with pytest.raises(Conflict):  # the first is in its grace
        pepper.drop(1)
    world.clock.seconds += 3601
    assert pepper.status().keys_by_version == {1: 0, 2: 1}
    assert pepper.drop(1).note == "dropped"
    assert list(versions(mount)) == ["2"]
    assert pepper.drop(1).outcome == "kept"


@pytest.mark.parametrize("state", ["disabled", "expired"])
def test_a_key_that_may_come_back_keeps_its_pepper(state: str, world: VaultWorld, pepper: PepperAdmin) -> None:
    issued = issue(world)
    if state == "disabled":
        world.call(update_key.OPERATION, key_id=issued.key_id, state="disabled")
    else:
        world.clock.seconds += 91 * 86_400
        assert code(issued.key, world.services) is Code.EXPIRED
    pepper.rotate()
    with pytest.raises(Conflict):
        pepper.drop(1)


def test_after_a_drop_everything_else_is_answered_as_before(world: VaultWorld, pepper: PepperAdmin) -> None:
    rotated, revoked = issue(world), issue(world)
    pepper.rotate()
    world.clock.seconds += 2
    now = world.call(rotate.OPERATION, key_id=rotated.key_id, grace_seconds=0)
    world.call(revoke_key.OPERATION, key_id=revoked.key_id)
    pepper.drop(1)
    others = world.new_services()
    assert code(now.key, others) is Code.VALID
    assert code(rotated.key, others) is Code.NOT_FOUND
    assert code(revoked.key, others) is Code.NOT_FOUND  # never UNAVAILABLE: that would be asked again for ever


def test_the_current_version_and_a_fresh_change_are_refused(world: VaultWorld, pepper: PepperAdmin) -> None:
    with pytest.raises(InvalidArgument):
        pepper.drop(1)
    pepper.rotate()
    with pytest.raises(Conflict, match="a moment ago"):
        PepperAdmin(pepper.place, pepper.services).drop(1)


def test_of_rotations_side_by_side_each_adds_a_version_or_says_that_it_lost(pepper: PepperAdmin, mount: Mount) -> None:
    outcomes: list[str] = []

    def run() -> None:
        try:
            outcomes.append(pepper.rotate().outcome)
        except Conflict:
            outcomes.append("lost")

    runners = [threading.Thread(target=run) for _ in range(6)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert len(outcomes) == 6
    assert len(versions(mount)) == 1 + outcomes.count("made")
    assert len(set(versions(mount).values())) == len(versions(mount))


def test_a_write_whose_answer_was_lost_is_looked_up(
    pepper: PepperAdmin, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = AdminVault.replace_document

    def written_without_an_answer(*given: Any) -> bool:
        write(*given)
        raise Unavailable("no answer")

    monkeypatch.setattr(AdminVault, "replace_document", written_without_an_answer)
    assert pepper.rotate().outcome == "made"
    assert list(versions(mount)) == ["1", "2"]


def test_a_record_that_can_not_be_read_stops_a_drop(world: VaultWorld, pepper: PepperAdmin, mount: Mount) -> None:
    pepper.rotate()
    mount.put("keys/0K/0Keyrail0Broken0", {"no": "record"})
    with pytest.raises(Unavailable):
        pepper.drop(1)
    assert list(versions(mount)) == ["1", "2"]


@pytest.mark.parametrize("document", [{}, {"current": 2, "versions": {"1": "ab" * 32}}])
def test_a_malformed_pepper_is_left_alone(document: dict[str, Any], pepper: PepperAdmin, mount: Mount) -> None:
    mount.put("pepper", document, cas=1)
    with pytest.raises(InvalidArgument):
        pepper.rotate()
