"""kill -9 of a sender of events right before and right after each change that sending makes in Vault: between two of
them it posts. Nothing is lost, nothing gets another id, and the next ticks end it."""

from collections.abc import Iterator

import pytest
from canary import Canary
from deployed import FULL, Deployment
from vault_proxy import Asked, Proxy, killed_at, proxy_to

from event_receiver import Receiver, receiving
from keyrail.dev.openbao import OpenBao

CHANGES = ["turn", "-event", "-event", "-turn"]  # of a tick that finds two events, and nothing due
MOMENTS = [(number, when) for number in range(1, len(CHANGES) + 1) for when in ("before", "after")]
SAMPLE = [(1, "after"), (2, "before"), (2, "after"), (4, "before")]
TURN = "outbox/sender/turn"


class Sending:
    def __init__(self, deployment: Deployment, receiver: Receiver, proxy: Proxy) -> None:
        self.deployment, self.receiver, self.proxy = deployment, receiver, proxy
        self.sender = deployment.launch("rotate", vault_address=proxy.address, K_SINK=receiver.url)
        self.sender.wait()

    def issue_two(self) -> list[str]:
        """Their events' ids, the oldest first."""
        for _ in range(2):
            self.deployment.api.issue()
        return [path.split("-")[1] for path in self.waiting()]

    def waiting(self) -> list[str]:
        return [path for path in self.deployment.paths("outbox/") if path != TURN]

    def tick(self) -> None:
        self.deployment.api.call("rotate", "POST", "/v1/rotation/tick", {}, at=self.sender.url).ok()

    def changes(self) -> list[str]:
        seen: list[str] = []
        self.proxy.before = lambda asked: seen.append(_name(asked)) if _is_sending(asked) else None
        self.tick()
        self.proxy.before = lambda _: None
        return seen

    def dies(self, change: int, when: str) -> None:
        """In a tick, `when` its `change`-th change passes. Then it is started again."""
        assert killed_at(self.proxy, change, when, _is_sending, self.sender.kill, self.tick) is not None
        self.sender.restart()

    def end_turn(self) -> None:
        """As its time does: nobody waits a minute here."""
        if TURN in self.deployment.paths("outbox/"):
            self.deployment.overwrite(TURN, {"turn": "of one that was killed", "until": "2020-01-01T00:00:00+00:00"})


def _is_sending(asked: Asked) -> bool:
    return "/outbox/" in asked.path and (asked.is_write or asked.method == "DELETE")


def _name(asked: Asked) -> str:
    return ("-" if asked.method == "DELETE" else "") + ("turn" if asked.path.endswith("/turn") else "event")


@pytest.fixture(scope="module")
def sending(openbao: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sending]:
    folder = tmp_path_factory.mktemp("sending")
    with receiving(folder) as receiver, proxy_to(openbao.address) as proxy:
        deployment = Deployment(openbao, folder, canary, K_SINK=receiver.url)
        try:
            deployment.start("issue_key")
            yield Sending(deployment, receiver, proxy)
        finally:
            deployment.stop()


def test_the_changes_of_a_tick_that_sends_are_those_above(sending: Sending) -> None:
    sending.issue_two()
    assert sending.changes() == CHANGES


@pytest.mark.parametrize(("number", "when"), MOMENTS if FULL else SAMPLE)
def test_killed_around_a_change_every_event_arrives_under_its_id(sending: Sending, number: int, when: str) -> None:
    told, before = sending.issue_two(), len(sending.receiver.ids())
    assert len(told) == 2
    sending.dies(number, when)
    sending.end_turn()
    sending.tick()
    arrived = sending.receiver.ids()[before:]
    assert list(dict.fromkeys(arrived)) == told, "each, the oldest first"
    assert len(arrived) <= 3, "at most the one under way is sent again"
    assert sending.waiting() == []
