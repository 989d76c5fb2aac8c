"""What every EventOutbox keeps to, over memory and over a real Vault."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from keyrail.adapters.memory_outbox import MemoryEventOutbox
from keyrail.adapters.vault_outbox import VaultEventOutbox
from keyrail.domain.errors import Unavailable
from keyrail.domain.events import LifecycleEvent, event_id
from keyrail.rotation_ports import EventOutbox
from vault_mount import NOW, Mount

LEAST = """
path "MOUNT/data/outbox/+/+" { capabilities = ["create", "read"] }
path "MOUNT/metadata/outbox/*" { capabilities = ["list", "delete"] }
"""


@pytest.fixture(params=["memory", "vault"])
def outbox(request: pytest.FixtureRequest) -> EventOutbox:
    if request.param == "memory":
        return MemoryEventOutbox()
    return VaultEventOutbox(request.getfixturevalue("deleting_session"))


def event(number: int = 0) -> LifecycleEvent:
    at = NOW + timedelta(minutes=7 * number)
    return LifecycleEvent(
        event_id("key.issued", f"key {number}", "1"), "key.issued", at, "acme", f"key {number}", {"actor": "somebody"}
    )


def test_is_empty_at_first(outbox: EventOutbox) -> None:
    assert (outbox.pending(10), outbox.waiting()) == ([], 0)


def test_gives_back_what_was_put_the_oldest_first(outbox: EventOutbox) -> None:
    events = [event(number) for number in (0, 1, 9, 30, 200)]
    for each in reversed(events):
        outbox.put(each)
    assert outbox.pending(10) == events
    assert outbox.pending(2) == events[:2]
    assert outbox.waiting() == 5


def test_put_twice_it_is_there_once_and_the_first_stays(outbox: EventOutbox) -> None:
    outbox.put(event())
    outbox.put(event())
    outbox.put(replace(event(), facts={"actor": "somebody else"}))
    assert outbox.pending(10) == [event()]


def test_removed_twice_it_is_gone(outbox: EventOutbox) -> None:
    for number in range(3):
        outbox.put(event(number))
    for _ in range(2):
        outbox.remove(event(1))
    assert outbox.pending(10) == [event(0), event(2)]


def test_put_by_many_at_once_it_is_there_once(outbox: EventOutbox) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(outbox.put, [event(number % 8) for number in range(64)]))
    assert outbox.pending(100) == [event(number) for number in range(8)]


def test_an_event_told_again_later_is_the_same_where_it_says_when_it_was(outbox: EventOutbox) -> None:
    """As announce() tells a rotation that was promoted: at the time of the change, not of the telling."""
    tell: Callable[[], LifecycleEvent] = event
    outbox.put(tell())
    outbox.put(tell())
    assert outbox.waiting() == 1


def test_in_vault_what_stands_can_be_changed_by_nobody_who_puts(mount: Mount) -> None:
    """Create-only: an event that was put stays as it is until it is sent."""
    from keyrail.adapters.vault_session import VaultSession

    session = VaultSession(mount.config(token=mount.token(LEAST)))
    outbox = VaultEventOutbox(session)
    outbox.put(event())
    outbox.put(replace(event(), facts={"actor": "a liar"}))
    (standing,) = outbox.pending(1)
    assert standing == event()
    outbox.remove(event())
    outbox.put(event())
    assert outbox.pending(1) == [event()]
    with pytest.raises(Unavailable):
        session.replace(_only_path(mount), {"a": 1}, 1)
    session.close()


def _only_path(mount: Mount) -> object:
    from keyrail.adapters.vault_paths import SecretPath

    hours = mount.root.secrets.kv.v2.list_secrets("outbox", mount_point=mount.name)["data"]["keys"]
    names = mount.root.secrets.kv.v2.list_secrets(f"outbox/{hours[0]}", mount_point=mount.name)["data"]["keys"]
    return SecretPath(("outbox", hours[0].rstrip("/"), names[0]))
