"""The outbox in a real OpenBao, and a real receiver that goes away, comes back and is asked by several at a time."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from event_receiver import Receiver, receiving
from keyrail.adapters.vault_outbox import VaultEventOutbox
from keyrail.adapters.vault_session import VaultSession
from keyrail.domain.events import LifecycleEvent
from keyrail.event_delivery import EventsReport, deliver_events
from keyrail.operations import issue_key, rotate_due
from keyrail.ports import Services
from vault_mount import NOW, Mount
from vault_world import VaultWorld, vault_world

RIGHTS = 'path "MOUNT/*" { capabilities = ["create", "read", "update", "list", "delete"] }'
FLUSH_AND_DIE = """
import os, signal
from keyrail.bootstrap import build_services
from keyrail.event_delivery import deliver_events
from keyrail.settings import load_settings
services = build_services(load_settings())
send = services.event_sink.send
def send_and_die(event, seconds):
    assert send(event, seconds)
    os.kill(os.getpid(), signal.SIGKILL)
services.event_sink.send = send_and_die
deliver_events(services, services.clock.elapsed_seconds() + 20)
"""


def event(number: int, **changes: Any) -> LifecycleEvent:
    at = NOW + timedelta(minutes=7 * number, microseconds=number)
    given: dict[str, Any] = {"event_id": f"{9999 - number:032x}", "name": "key.issued", "at": at, "tenant": "acme"}
    return LifecycleEvent(**given | {"subject": "0Keyrail0Unit0Id", "facts": {"n": number}} | changes)


@pytest.fixture
def outbox(mount: Mount) -> Iterator[VaultEventOutbox]:
    session = VaultSession(mount.config(token=mount.token(RIGHTS)))
    yield VaultEventOutbox(session)
    session.close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as made:
        yield made


@pytest.fixture
def world(mount: Mount, receiver: Receiver) -> Iterator[VaultWorld]:
    with vault_world(mount, K_SINK=receiver.url) as made:
        yield made


class TestOutbox:
    def test_gives_back_what_was_put_the_oldest_first_over_hours(self, outbox: VaultEventOutbox) -> None:
        for number in (11, 3, 0, 25, 4):
            outbox.put(event(number))
        assert outbox.pending(10) == [event(number) for number in (0, 3, 4, 11, 25)]
        assert outbox.pending(2) == [event(0), event(3)]
        assert outbox.waiting() == 5

    def test_an_event_put_twice_is_there_once(self, outbox: VaultEventOutbox) -> None:
        outbox.put(event(1))
        outbox.put(event(1))
        assert outbox.waiting() == 1

    def test_what_was_removed_is_gone_and_may_be_removed_again(self, outbox: VaultEventOutbox) -> None:
        outbox.put(event(1))
        outbox.put(event(2))
        outbox.remove(event(1))
        outbox.remove(event(1))
        assert outbox.pending(10) == [event(2)]

    def test_is_empty_before_anything_was_put(self, outbox: VaultEventOutbox) -> None:
        assert outbox.pending(10) == []
        assert outbox.waiting() == 0

    def test_a_malformed_event_holds_up_no_other(self, outbox: VaultEventOutbox, mount: Mount) -> None:
        outbox.put(event(1))
        mount.put(f"outbox/2020010100/0000000000-{'0' * 32}", {"no": "event"})
        mount.put("outbox/2020010100/stranger", {})
        mount.put("outbox/other/thing", {})
        assert outbox.pending(1) == [event(1)]

    def test_one_at_a_time_has_the_turn(self, outbox: VaultEventOutbox) -> None:
        turn = outbox.take_turn(NOW, 30)
        assert turn is not None
        assert outbox.take_turn(NOW + timedelta(seconds=29), 30) is None
        outbox.end_turn("somebody else's")
        assert outbox.take_turn(NOW, 30) is None
        outbox.end_turn(turn)
        assert outbox.take_turn(NOW, 30) is not None
        assert outbox.waiting() == 0

    @pytest.mark.parametrize("seconds_later", [31, -4000])
    def test_a_turn_left_behind_or_from_a_wrong_clock_is_taken_over(
        self, outbox: VaultEventOutbox, seconds_later: int
    ) -> None:
        assert outbox.take_turn(NOW, 30) is not None
        assert outbox.take_turn(NOW + timedelta(seconds=seconds_later), 30) is not None

    def test_of_many_at_once_one_gets_the_turn(self, outbox: VaultEventOutbox) -> None:
        turns: list[str | None] = []
        racers = [threading.Thread(target=lambda: turns.append(outbox.take_turn(NOW, 30))) for _ in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len([turn for turn in turns if turn is not None]) == 1


def issue(world: VaultWorld, count: int) -> list[str]:
    issued = [
        world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name=f"key {n}", lifetime_seconds=86_400)
        for n in range(count)
    ]
    return [each.key_id for each in issued]


def flush(world: VaultWorld, seconds: float = 30.0) -> EventsReport:
    return deliver_events(world.services, world.clock.elapsed_seconds() + seconds)


def test_a_receiver_that_was_away_for_a_while_misses_nothing(world: VaultWorld, receiver: Receiver) -> None:
    receiver.kill()
    key_ids = issue(world, 3)
    for _ in range(2):
        assert flush(world) == EventsReport(sent=0, waiting=3)
    key_ids += issue(world, 2)
    assert world.services.outbox is not None
    put = [each.event_id for each in world.services.outbox.pending(10)]
    receiver.start()
    receiver.answers("503")
    assert flush(world) == EventsReport(sent=0, waiting=5)
    asked = len(receiver.requests())
    receiver.answers("202")
    assert flush(world) == EventsReport(sent=5, waiting=0)
    assert receiver.ids()[asked:] == put
    assert [each["headers"]["ce-subject"] for each in receiver.requests()[asked:]] == key_ids
    assert flush(world) == EventsReport(sent=0, waiting=0)
    assert len(receiver.requests()) == asked + 5


def test_killed_after_the_post_it_is_sent_again_under_the_same_id(world: VaultWorld, receiver: Receiver) -> None:
    issue(world, 2)
    command = [sys.executable, "-c", FLUSH_AND_DIE]
    died = subprocess.run(command, env={**os.environ, **world.env}, capture_output=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    (first,) = receiver.ids()
    assert flush(world) == EventsReport(sent=0, waiting=2)  # the turn of whoever was killed still lasts
    world.clock.seconds += 60
    assert flush(world) == EventsReport(sent=2, waiting=0)
    assert receiver.ids() == [first, *dict.fromkeys(receiver.ids())]


def test_two_ticks_side_by_side_send_each_event_once_and_in_order(world: VaultWorld, receiver: Receiver) -> None:
    issue(world, 12)
    others = [world.new_services() for _ in range(2)]
    ends_at = world.clock.elapsed_seconds() + 30
    reports: list[EventsReport] = []
    senders = [threading.Thread(target=lambda s=s: reports.append(deliver_events(s, ends_at))) for s in others]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    reports.append(flush(world))
    assert sum(report.sent for report in reports) == 12
    assert len(set(receiver.ids())) == len(receiver.ids()) == 12
    times = [request["headers"]["ce-time"] for request in receiver.requests()]
    assert times == sorted(times)


def test_a_tick_sends_and_reports_and_fails_for_no_receiver(world: VaultWorld, receiver: Receiver) -> None:
    issue(world, 2)
    receiver.answers("500")
    reply = world.call(rotate_due.OPERATION)
    assert (reply.events_sent, reply.events_waiting, reply.failed, reply.http_status) == (0, 2, 0, 200)
    receiver.answers("202")
    reply = world.call(rotate_due.OPERATION)
    assert (reply.events_sent, reply.events_waiting) == (2, 0)
    metrics = world.services.metrics.exposition()[0].decode()
    assert "keyrail_events_sent_total 2.0" in metrics
    assert "keyrail_outbox_waiting 0.0" in metrics


def test_validation_touches_neither_outbox_nor_receiver(world: VaultWorld, receiver: Receiver, mount: Mount) -> None:
    from keyrail.operations import validate_key

    issued = world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name="a key")
    before = len(mount.audited())
    assert world.call(validate_key.OPERATION, key=issued.key).valid
    assert not [path for _, path in mount.audited()[before:] if "outbox" in path]
    assert receiver.requests() == []


def test_the_policies_allow_to_put_and_only_rotate_to_send(world: VaultWorld, receiver: Receiver, mount: Mount) -> None:
    functions = Path(__file__).parents[2] / "functions"

    def under_policy_of(function: str) -> Services:
        rules = (functions / function / "policy.hcl").read_text().replace('"keyrail/', '"MOUNT/')
        return world.new_services(VAULT_TOKEN=mount.token(rules))

    world.services = under_policy_of("issue_key")
    issue(world, 2)
    assert flush(world) == EventsReport(sent=0, waiting=None)
    assert receiver.requests() == []
    world.services = under_policy_of("rotate")
    assert flush(world) == EventsReport(sent=2, waiting=0)
