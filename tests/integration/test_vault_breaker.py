"""A dead Vault costs each caller little, is noticed, and is back in use within two seconds of its return."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import hvac
import pytest

from keyrail.adapters.vault_breaker import FAULTS_IN_A_ROW, OPEN_SECONDS, PROBE_SECONDS, Breaker
from keyrail.adapters.vault_paths import FEED_HEAD
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.openbao import OpenBao
from keyrail.domain.errors import Unavailable
from vault_mount import Mount, RecordedMetrics

RECOVERY_SECONDS = 2.0


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with OpenBao(tmp_path_factory.mktemp("mortal")) as server:
        yield server


@pytest.fixture
def own_mount(own_server: OpenBao) -> Mount:
    mount = Mount.make(own_server, hvac.Client(own_server.address, own_server.root_token))
    mount.put("feed/head", {"seq": 0})
    return mount


def fails(session: VaultSession) -> float:
    """How long a read took to fail."""
    started_at = time.monotonic()
    with pytest.raises(Unavailable):
        session.read(FEED_HEAD)
    return time.monotonic() - started_at


def seconds_until_it_answers(session: VaultSession) -> float:
    started_at = time.monotonic()
    while True:
        try:
            assert session.read(FEED_HEAD) is not None
            return time.monotonic() - started_at
        except Unavailable:
            assert time.monotonic() - started_at < 10
            time.sleep(0.02)


def test_a_killed_server_is_answered_for_at_once_and_back_in_time(own_mount: Mount, metrics: RecordedMetrics) -> None:
    session = VaultSession(own_mount.config(), metrics)
    session.read(FEED_HEAD)
    own_mount.server.kill()
    for _ in range(FAULTS_IN_A_ROW):
        assert fails(session) < 0.5
    assert metrics.breaker_states == [True]
    assert fails(session) < 0.2
    assert metrics.calls[-1] == ("read", "breaker_open")
    time.sleep(2 * OPEN_SECONDS)
    assert fails(session) < 0.5, "a probe that fails"
    assert metrics.calls[-1] == ("read", "fault")
    own_mount.server.start()
    assert seconds_until_it_answers(session) < RECOVERY_SECONDS
    assert metrics.breaker_states == [True, False]


def test_a_server_that_hangs_holds_few_threads_and_is_back_in_time(own_mount: Mount, metrics: RecordedMetrics) -> None:
    session = VaultSession(own_mount.config(deadline_seconds=1.8), metrics)
    session.read(FEED_HEAD)
    own_mount.server.pause()
    try:
        with ThreadPoolExecutor(8) as pool:
            waited = list(pool.map(lambda _: fails(session), range(8)))
        assert max(waited) < 1.8 + 0.5
        assert metrics.breaker_states == [True]
        with ThreadPoolExecutor(8) as pool:
            assert max(pool.map(lambda _: fails(session), range(100))) < 0.3, "nobody waits any more"
        time.sleep(OPEN_SECONDS)
        assert fails(session) < PROBE_SECONDS + 0.5, "nor does the one that tries again wait for long"
    finally:
        own_mount.server.resume()
    assert seconds_until_it_answers(session) < RECOVERY_SECONDS
    assert metrics.breaker_states == [True, False]


def test_a_server_that_is_replaced_during_a_probe_is_in_use_in_time(own_mount: Mount, metrics: RecordedMetrics) -> None:
    session = VaultSession(own_mount.config(deadline_seconds=0.3), metrics)
    own_mount.server.pause()
    for _ in range(FAULTS_IN_A_ROW):
        fails(session)
    time.sleep(OPEN_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(fails, session)
        time.sleep(0.1)
        own_mount.server.kill()
        assert probe.result(5) < 1.0
    own_mount.server.start()
    assert seconds_until_it_answers(session) < RECOVERY_SECONDS


def test_connections_that_died_with_a_server_cost_no_caller_an_error(own_mount: Mount) -> None:
    session = VaultSession(own_mount.config())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: session.read(FEED_HEAD), range(40)))
    own_mount.server.kill()
    own_mount.server.start()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: session.read(FEED_HEAD), range(40)))


def test_a_write_is_not_sent_into_a_connection_that_vault_has_closed(own_mount: Mount) -> None:
    """Its outcome would be unknown, where a look at the connection tells."""
    session = VaultSession(own_mount.config())
    session.read(FEED_HEAD)
    own_mount.server.kill()
    own_mount.server.start()
    assert session.replace(FEED_HEAD, {"seq": 1}, version=1) == 2


def test_answers_however_bad_do_not_open_it(own_mount: Mount, metrics: RecordedMetrics) -> None:
    session = VaultSession(own_mount.config(mount="no-such-mount"), metrics)
    for _ in range(2 * FAULTS_IN_A_ROW):
        fails(session)
    assert metrics.breaker_states == []
    assert set(metrics.calls) == {("read", "denied")}


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def opened(seconds: Seconds) -> Breaker:
    breaker = Breaker(seconds, lambda is_open: None)
    for _ in range(FAULTS_IN_A_ROW):
        admission = breaker.admit()
        assert admission is not None
        breaker.report(admission, answered=False)
    return breaker


def test_an_answer_between_faults_keeps_it_closed(seconds: Seconds) -> None:
    breaker = Breaker(seconds, lambda is_open: None)
    for answered in (False, False, True, False, False):
        admission = breaker.admit()
        assert admission is not None
        breaker.report(admission, answered=answered)
    assert breaker.admit() is not None


def test_one_probe_at_a_time_goes_through(seconds: Seconds) -> None:
    breaker = opened(seconds)
    assert breaker.admit() is None
    seconds.now += OPEN_SECONDS
    probe = breaker.admit()
    assert probe is not None
    assert probe.is_probe
    assert breaker.admit() is None
    breaker.report(probe, answered=False)
    assert breaker.admit() is None, "a failed probe begins the pause anew"
    seconds.now += OPEN_SECONDS
    assert breaker.admit() is not None


def test_calls_from_before_it_closed_do_not_open_it_again(seconds: Seconds) -> None:
    breaker = Breaker(seconds, lambda is_open: None)
    stragglers = [breaker.admit() for _ in range(20)]
    for each in stragglers[:FAULTS_IN_A_ROW]:
        assert each is not None
        breaker.report(each, answered=False)
    seconds.now += OPEN_SECONDS
    probe = breaker.admit()
    assert probe is not None
    breaker.report(probe, answered=True)
    for each in stragglers[FAULTS_IN_A_ROW:]:
        assert each is not None
        breaker.report(each, answered=False)
    assert breaker.admit() is not None
