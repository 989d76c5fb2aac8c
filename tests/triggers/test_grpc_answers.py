"""triggers/grpc_answers.py: an answer is given again only while all that it stands on is as it was."""

import gc
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from deployment import Deployment, Issued, unavailable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from process_output import Output

from keyrail import tracing
from keyrail.domain.access import Principal
from keyrail.domain.errors import Unavailable
from keyrail.triggers import grpc_calls
from keyrail.triggers.dispatch import Outcome
from keyrail.triggers.grpc_answers import Answers
from keyrail.triggers.grpc_calls import Head, Limits, Serving, Streams
from keyrail.triggers.questions import JUDGING, questions_of_payload


class Context:
    def __init__(self, key: str | None, ip: str) -> None:
        self._key, self._ip = key, ip

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [] if self._key is None else [("authorization", f"Bearer {self._key}")]

    def peer(self) -> str:
        return f"ipv4:{self._ip}:4711"

    def time_remaining(self) -> None:
        return None


class Asking:
    """As ValidateKey and Envoy's Check do it. `found` counts what was not given again."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.services = deployment, deployment.services
        self.answers: Answers[str] = Answers(self.services, lambda judged: f"for {judged.code}")
        self.found = 0
        self.principal: Principal | None = None

    def ask(self, key: str, caller: str | None, ip: str = "192.0.2.7", **more: Any) -> str:
        """The code."""
        told = self.answers.ask(self._head(caller, ip), repr((key, more)).encode(), self._parse(key, more))
        assert told.reply == ("for VALID" if told.outcome.code == "VALID" else None)
        return told.outcome.code

    def ask_anew(self, key: str, caller: str | None, ip: str = "192.0.2.7", **more: Any) -> str:
        return self._head(caller, ip).ask(JUDGING, self._parse(key, more), self.services).code

    def again(self, key: str, caller: str | None, **more: Any) -> bool:
        """Whether it was given again, once all that it stands on is in memory; each time it is the same."""
        first = [self.ask(key, caller, **more) for _ in range(2)]
        before = self.found
        assert {*first, self.ask(key, caller, **more)} == {first[0]}
        return self.found == before

    def _head(self, caller: str | None, ip: str) -> Head:
        grpc_calls._arrived.at = time.monotonic()
        limits = Limits()
        context: Any = Context(caller, ip)
        return Head(context, Serving(self.services, lambda _: self.principal, limits, Streams(limits)), "a/b")

    def _parse(self, key: str, more: dict[str, Any]) -> Callable[[], Any]:
        def parse() -> Any:
            self.found += 1
            return questions_of_payload({"key": key, **more})

        return parse


@pytest.fixture
def asking(deployment: Deployment) -> Asking:
    return Asking(deployment)


@pytest.fixture
def key(deployment: Deployment) -> Issued:
    return deployment.issue(scopes=["ml:infer"], rotation={"grace_seconds": 60})


@pytest.fixture
def caller(deployment: Deployment) -> Issued:
    return deployment.issue(scopes=["keys:validate"], rotation={"grace_seconds": 60})


def test_what_was_asked_before_is_not_found_anew(asking: Asking, key: Issued, caller: Issued) -> None:
    assert asking.again(key.key, caller.key)
    assert asking.ask(key.key, caller.key) == "VALID"


def test_it_is_told_as_ever(asking: Asking, key: Issued, caller: Issued, output: Output) -> None:
    assert asking.again(key.key, caller.key)
    output.clear()
    asking.ask_anew(key.key, caller.key)
    asking.ask(key.key, caller.key)
    anew, again = output.lines("request")
    assert anew.pop("correlation_id") != again.pop("correlation_id")
    assert datetime.fromisoformat(again.pop("at")).utcoffset() == timedelta(0)
    assert again.pop("ms") >= 0
    del anew["at"], anew["ms"]
    assert anew == again
    assert (again["actor"], again["key_id"], again["code"]) == (caller.key_id, key.key_id, "VALID")


def test_where_requests_are_not_logged_it_is_only_counted(
    asking: Asking, key: Issued, caller: Issued, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asking.again(key.key, caller.key)
    output.clear()
    logging.getLogger("keyrail").setLevel(logging.WARNING)
    counted: list[str] = []
    monkeypatch.setattr(asking.services.metrics, "request", lambda name, *_: counted.append(name))
    asking.ask(key.key, caller.key)
    assert (counted, output.text) == (["validate_key"], "")


def test_uses_and_look_ups_are_counted_as_ever(
    asking: Asking, key: Issued, caller: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking.ask(key.key, caller.key)
    counted: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        asking.services.usage, "used", lambda key_id, n, *_, **__: counted.append(("use", key_id, str(n)))
    )
    monkeypatch.setattr(
        asking.services.metrics, "cache", lambda outcome, times=1: counted.extend([("look", outcome)] * times)
    )
    monkeypatch.setattr(asking.services.metrics, "request", lambda name, code, _: counted.append(("call", name, code)))
    asking.ask(key.key, caller.key)  # found anew, and kept
    anew, found = sorted(counted), asking.found
    counted.clear()
    asking.ask(key.key, caller.key)
    assert (sorted(counted), asking.found) == (anew, found)


def test_anything_else_that_is_asked_is_found_anew(asking: Asking, key: Issued, caller: Issued) -> None:
    other = asking.deployment.issue(scopes=["keys:validate"])
    assert asking.again(key.key, caller.key)
    for ask in (
        lambda: asking.ask(key.key, caller.key, required_scopes="ml:infer"),
        lambda: asking.ask(key.key, caller.key, ip="192.0.2.8"),
        lambda: asking.ask(key.key, other.key),
        lambda: asking.ask(other.key, caller.key),
    ):
        before = asking.found
        assert ask() == "VALID"
        assert asking.found == before + 1


def test_a_caller_by_its_certificate_is_one_of_its_own(asking: Asking, key: Issued) -> None:
    asking.principal = Principal("mtls:gateway", "system", ("keys:validate",))
    assert asking.again(key.key, None)
    asking.principal = Principal("mtls:other", "system", ())
    assert asking.ask(key.key, None) == "INSUFFICIENT_SCOPE"


CHANGES: dict[str, tuple[Callable[[Deployment, Issued], object], str, str]] = {  # what is said of a key, of a caller
    "revoked": (lambda on, it: on.do("revoke_key", it.key_id, {"reason": "x"}), "REVOKED", "REVOKED"),
    "disabled": (lambda on, it: on.do("update_key", it.key_id, {"state": "disabled"}), "DISABLED", "DISABLED"),
    "rotated at once": (
        lambda on, it: on.do("rotate", it.key_id, {"grace_seconds": 0}),
        "ROTATED_OUT",
        "ROTATED_OUT",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("whose", ["key", "caller"])
def test_a_change_of_either_key_is_seen(asking: Asking, key: Issued, caller: Issued, change: str, whose: str) -> None:
    make, of_key, of_caller = CHANGES[change]
    assert asking.again(key.key, caller.key)
    make(asking.deployment, key if whose == "key" else caller)
    asking.deployment.wait(1.1)  # the feed's poll
    assert asking.ask(key.key, caller.key) == (of_key if whose == "key" else of_caller)


def test_what_a_role_means_is_read_anew(asking: Asking, key: Issued) -> None:
    service = asking.deployment.issue(roles=["service"])
    assert asking.again(key.key, service.key)
    roles: Any = asking.services.lookup
    before = asking.found
    roles._read_through("roles", 60.0, roles._roles.read)
    asking.ask(key.key, service.key)
    assert asking.found == before + 1


def test_a_key_ends_to_the_microsecond(asking: Asking, caller: Issued) -> None:
    deployment = asking.deployment
    ending = deployment.issue(scopes=["ml:infer"], lifetime_seconds=20)
    ends_at = deployment.do("get_key", ending.key_id)["expires_at"]
    deployment.wait(16)
    for wait, code in ((0.0, "VALID"), (None, "EXPIRED")):
        if wait is None:
            deployment.clock.seconds += (datetime.fromisoformat(ends_at) - deployment.clock.now()).total_seconds()
        assert asking.ask(ending.key, caller.key) == code
        assert asking.ask(ending.key, caller.key) == code


@pytest.mark.parametrize("whose", ["key", "caller"])
def test_a_grace_ends_while_nothing_else_happens(asking: Asking, key: Issued, caller: Issued, whose: str) -> None:
    rotated = key if whose == "key" else caller
    asking.deployment.do("rotate", rotated.key_id, {"grace_seconds": 4})
    assert asking.again(key.key, caller.key)
    asking.deployment.wait(3.999)
    assert asking.ask(key.key, caller.key) == "VALID"
    asking.deployment.wait(0.001)
    assert asking.ask(key.key, caller.key) == "ROTATED_OUT"


def test_a_key_that_is_not_yet_valid_where_the_clock_is_set_back(asking: Asking, caller: Issued) -> None:
    deployment = asking.deployment
    start = deployment.clock.now()
    early = deployment.issue(scopes=["ml:infer"], not_before=(start + timedelta(seconds=4)).isoformat())
    deployment.wait(4)
    assert asking.again(early.key, caller.key)
    now = deployment.clock.now
    deployment.clock.now = lambda: now() - timedelta(seconds=10)  # type: ignore[method-assign]  # the wall clock alone
    assert asking.ask(early.key, caller.key) == "NOT_YET_VALID"


@pytest.mark.parametrize("limit", ["rate", "quota"])
@pytest.mark.parametrize("whose", ["key", "caller"])
def test_a_limit_counts_every_use(asking: Asking, key: Issued, caller: Issued, limit: str, whose: str) -> None:
    limited = asking.deployment.issue(scopes=["keys:validate"], **{limit: {"requests": 3, "window_seconds": 3600}})
    asked, by = (limited.key, caller.key) if whose == "key" else (key.key, limited.key)
    codes = [asking.ask(asked, by) for _ in range(5)]
    assert codes[:3] == ["VALID"] * 3
    assert set(codes[3:]) == {"RATE_LIMITED" if limit == "rate" or whose == "caller" else "QUOTA_EXCEEDED"}


def test_a_no_is_found_anew_each_time(asking: Asking, key: Issued, caller: Issued) -> None:
    assert not asking.again(key.key[:-1] + "0", caller.key)
    assert not asking.again(key.key, caller.key, required_scopes="data:read")


def test_what_can_no_longer_be_known_to_be_fresh_is_not_given(
    asking: Asking, key: Issued, caller: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asking.again(key.key, caller.key)
    monkeypatch.setattr(asking.services.feed, "head", unavailable)
    monkeypatch.setattr(asking.services.keys, "find", unavailable)
    asking.deployment.wait(30)
    assert asking.ask(key.key, caller.key) == "UNAVAILABLE"


def test_a_change_that_comes_while_it_is_asked_is_not_outlived(asking: Asking, key: Issued, caller: Issued) -> None:
    """The answer is from before it; what is held afterwards is from after it."""
    asking.ask(key.key, caller.key)
    lookup: Any = asking.services.lookup
    asking.ask(key.key, caller.key)
    parse = asking._parse(key.key, {"tenant": "acme"})

    def meanwhile() -> Any:
        lookup._read_through(key.key_id, 10.0, lambda: asking.services.keys.find(key.key_id))
        return parse()

    head = asking._head(caller.key, "192.0.2.7")
    assert asking.answers.ask(head, b"asked", meanwhile).outcome.code == "VALID"
    before = asking.found
    asking.answers.ask(asking._head(caller.key, "192.0.2.7"), b"asked", parse)
    assert asking.found == before + 1


def test_where_traces_are_collected_each_is_found_anew(
    asking: Asking, key: Issued, caller: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asking.again(key.key, caller.key)
    monkeypatch.setattr(tracing, "tracer", object())
    monkeypatch.setattr(Head, "ask", lambda *_, **__: Outcome(error=Unavailable("asked anew")))
    assert asking.ask(key.key, caller.key) == "UNAVAILABLE"


def test_nothing_is_found_anew_for_a_call_that_nobody_waits_for_any_more(
    asking: Asking, key: Issued, caller: Issued
) -> None:
    late = asking._head(caller.key, "192.0.2.7")
    late._ends_at = time.monotonic() - 1
    error = asking.answers.ask(late, repr((key.key, {})).encode(), asking._parse(key.key, {})).outcome.error
    assert error is not None
    assert error.kind == "RESOURCE_EXHAUSTED"
    assert asking.found == 0


def test_what_is_in_use_is_still_read_anew_in_time(
    asking: Asking, key: Issued, caller: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    find = asking.services.keys.find
    monkeypatch.setattr(asking.services.keys, "find", lambda key_id: (read.append(key_id), find(key_id))[1])
    for _ in range(60):
        asking.deployment.wait(0.2)
        assert asking.ask(key.key, caller.key) == "VALID"
    assert {name: read.count(name) for name in (key.key_id, caller.key_id)} == {key.key_id: 3, caller.key_id: 3}


def test_no_key_lies_there(asking: Asking, key: Issued, caller: Issued) -> None:
    assert asking.again(key.key, caller.key)
    seen: set[int] = set()
    left: list[Any] = [asking.answers._known]
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, type) or len(seen) > 100_000:
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            text = each.decode(errors="replace") if isinstance(each, bytes) else each
            assert key.key not in text
            assert caller.key not in text
        left += gc.get_referents(each)


STEPS = {
    **{f"{name} {whose}": (name, whose) for name in CHANGES for whose in ("key", "caller")},
    "grace key": ("grace", "key"),
    "grace caller": ("grace", "caller"),
    "enable key": ("enable", "key"),
    "wait": ("wait", ""),
    "wait long": ("wait long", ""),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.lists(some.sampled_from(sorted(STEPS)), max_size=8))
def test_whatever_happens_it_says_what_a_fresh_look_says(deployment: Deployment, steps: list[str]) -> None:
    asking = Asking(deployment)
    key = deployment.issue(scopes=["ml:infer"], lifetime_seconds=60)
    caller = deployment.issue(scopes=["keys:validate"])
    for step in ["", *steps]:
        what, whose = STEPS.get(step, ("", ""))
        it = key if whose == "key" else caller
        if what in CHANGES:
            reply = deployment.call("revoke_key", {"reason": "x"}, key_id=it.key_id) if what == "revoked" else None
            if what == "disabled":
                reply = deployment.call("update_key", {"state": "disabled"}, key_id=it.key_id)
            if what == "rotated at once":
                reply = deployment.call("rotate", {"grace_seconds": 0}, key_id=it.key_id)
            assert reply is not None
        elif what == "grace":
            deployment.call("rotate", {"grace_seconds": 5}, key_id=it.key_id)
        elif what == "enable":
            deployment.call("update_key", {"state": "active"}, key_id=it.key_id)
        deployment.wait({"wait": 1.0, "wait long": 7.0}.get(what, 1.1))
        for _ in range(2):
            told = asking.ask(key.key, caller.key)
            assert told == asking.ask_anew(key.key, caller.key)
