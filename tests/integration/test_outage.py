"""Vault killed, hanging, sealed, moved or broken: memory answers for max_stale, then 503, and never a "no" instead.

One server for this file; each test leaves it answering, with the same functions, which are never restarted.
"""

import contextlib
import json
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from canary import Canary
from deployed import ALL, Deployment
from http_api import Api, Key, Reply, a_key_like

from keyrail.dev.functions import answers
from keyrail.dev.openbao import OpenBao
from keyrail.domain.key_format import new_key_id

MAX_STALE_SECONDS = 5.0
POLL_SECONDS = 1.1  # the feed was read at most so long before it went away
SLACK_SECONDS = 1.0  # a busy machine
AT_ONCE_SECONDS = 1.0
HANGING_SECONDS = 3.0
RECOVERY_SECONDS = 2.0

Outage = Callable[[OpenBao], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def stricken(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path_factory.mktemp("stricken"), canary)
    try:
        made.start(*ALL)
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def killed(vault: OpenBao) -> Iterator[None]:
    vault.kill()
    try:
        yield
    finally:
        vault.start()


@contextlib.contextmanager
def hanging(vault: OpenBao) -> Iterator[None]:
    vault.pause()
    try:
        yield
    finally:
        vault.resume()


@contextlib.contextmanager
def audit_disk_full(vault: OpenBao) -> Iterator[None]:
    """No file of the server may grow: it can't write its audit log, and so refuses to answer anything else."""
    assert vault.audit_log is not None
    resource.prlimit(vault.pid, resource.RLIMIT_FSIZE, (vault.audit_log.stat().st_size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(vault.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    ("outage", "unknown_within"),
    [(killed, AT_ONCE_SECONDS), (hanging, HANGING_SECONDS), (audit_disk_full, AT_ONCE_SECONDS)],
)
def test_memory_answers_for_max_stale_then_503_and_all_is_well_again_at_once(
    stricken: Deployment, outage: Outage, unknown_within: float
) -> None:
    api, key = stricken.api, stricken.api.issue()
    _warm_up(api, key)
    with outage(stricken.vault):
        began_at = time.monotonic()
        answers = _ask_until(api, key, began_at + MAX_STALE_SECONDS + 2, unknown_within)
        last_valid = max(at for at, code in answers if code == "VALID") - began_at
        first_refusal = min(at for at, code in answers if code == "UNAVAILABLE") - began_at
        print(f"\n{outage.__name__}: valid until {last_valid:.2f} s, unavailable from {first_refusal:.2f} s")
        assert MAX_STALE_SECONDS - POLL_SECONDS - SLACK_SECONDS < last_valid < MAX_STALE_SECONDS + 0.1
        assert first_refusal > last_valid
        _assert_management_is_unavailable(api, key)
        for instance in stricken.instances:
            assert instance.is_up("livez")
            assert not instance.is_up("readyz")
    _assert_recovered(stricken, key)


def test_a_sealed_vault_refuses_nobody(stricken: Deployment) -> None:
    api, key = stricken.api, stricken.api.issue()
    _warm_up(api, key)
    stricken.root.sys.seal()
    assert api.code_of(key.text) == "VALID"
    assert _code(api.validate(a_key_like(new_key_id()))) == "UNAVAILABLE"
    _assert_management_is_unavailable(api, key)
    time.sleep(1)  # readiness is read once a second
    assert not any(instance.is_up() for instance in stricken.instances)
    unseal_key = json.loads((stricken.vault.folder / "init.json").read_text())["unseal_key"]
    stricken.root.sys.submit_unseal_key(unseal_key)
    while not answers(f"{stricken.vault.address}/v1/sys/health"):
        time.sleep(0.02)
    _assert_recovered(stricken, key)


def _warm_up(api: Api, key: Key) -> None:
    """After a poll of the feed: what is read while changes come in is not kept."""
    time.sleep(POLL_SECONDS + 0.25)
    for _ in range(6):  # a reading of the feed may come between any two of them
        assert api.code_of(key.text) == "VALID"
        time.sleep(0.05)
    api.get(key.key_id).ok()


def _ask_until(api: Api, key: Key, ends_at: float, unknown_within: float) -> list[tuple[float, str]]:
    """When each question about `key` was asked and how it was answered. Beside them others ask with an unknown key and
    with the right id and a wrong secret, which only the store can tell from a new one."""
    answers = []
    with ThreadPoolExecutor(1) as beside:
        others = beside.submit(_ask_unknown_until, api, key, ends_at, unknown_within)
        while time.monotonic() < ends_at:
            asked_at = time.monotonic()
            answers.append((asked_at, _code(api.validate(key.text))))
            time.sleep(0.1)
        others.result()
    return answers


def _ask_unknown_until(api: Api, key: Key, ends_at: float, within: float) -> None:
    while time.monotonic() < ends_at:
        for other in (a_key_like(new_key_id()), a_key_like(key.key_id)):
            asked_at = time.monotonic()
            assert _code(api.validate(other)) == "UNAVAILABLE"
            assert time.monotonic() - asked_at < within
        time.sleep(0.1)


def _code(reply: Reply) -> str:
    assert (reply.status, reply.code) in ((200, "VALID"), (503, "UNAVAILABLE")), reply.text
    assert reply.status == 200 or int(reply.headers["Retry-After"]) >= 1
    return reply.code


def _assert_management_is_unavailable(api: Api, key: Key) -> None:
    calls: dict[str, Callable[[], Reply]] = {
        "issue": lambda: api.try_issue(),
        "rotate": lambda: api.rotate(key.key_id),
        "revoke": lambda: api.revoke(key.key_id),
        "update": lambda: api.update(key.key_id, name="another"),
        "get": lambda: api.get(key.key_id),
        "list": lambda: api.list_page(),
    }
    for name, call in calls.items():
        reply = call()
        assert (name, reply.status, reply.code) == (name, 503, "UNAVAILABLE")
        assert int(reply.headers["Retry-After"]) >= 1


def _assert_recovered(stricken: Deployment, key: Key) -> None:
    """Within two seconds of Vault's being back, every function works, and what was refused was not done."""
    api, back_at = stricken.api, time.monotonic()
    while not (_is_valid(api, key) and all(instance.is_up() for instance in stricken.instances)):
        assert time.monotonic() - back_at < RECOVERY_SECONDS, "no recovery"
        time.sleep(0.02)
    print(f"recovered after {time.monotonic() - back_at:.2f} s")
    assert api.code_of(a_key_like(new_key_id())) == "NOT_FOUND"
    record = api.get(key.key_id).ok()
    assert (record["state"], record["name"], len(record["generations"])) == ("active", "a key", 1)
    api.issue()


def _is_valid(api: Api, key: Key) -> bool:
    return _code(api.validate(key.text)) == "VALID"
