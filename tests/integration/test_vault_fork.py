"""A session carried over a fork, as gunicorn does with what was made before: nobody gets another's answer."""

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import FEED_HEAD, record_path
from keyrail.adapters.vault_session import VaultSession
from keyrail.adapters.vault_transport import IDLE_SECONDS
from keyrail.domain.errors import KeyrailError
from vault_mount import Mount, RecordedMetrics
from vault_servers import answering, reply

CHILDREN = 4
READS = 100


def in_child(work: Callable[[], object]) -> tuple[int, int]:
    """Starts `work` in a forked process: its id, and the pipe that will hold its result as JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    signal.alarm(20)  # a child that found a lock held for ever must not hold the whole run
    try:
        os.write(writing, json.dumps(work()).encode())
        code = 0
    finally:
        os._exit(code)  # no pytest, no fixture and no atexit of the parent's runs twice


def result_of(child: tuple[int, int]) -> object:
    pid, reading = child
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return json.loads(content)


def key_id_of(number: int) -> str:
    return f"{number}" * 16


def reads_of(session: VaultSession, number: int) -> int:
    """How many of the reads of document `number` were answered with another document, or not at all."""
    wrong = 0
    for _ in range(READS):
        try:
            found = session.read(record_path(key_id_of(number)))
        except KeyrailError:
            wrong += 1
            continue
        wrong += found is None or found.data != {"of": number}
    return wrong


def test_parent_and_children_reading_at_once_each_get_their_own(mount: Mount) -> None:
    for number in range(CHILDREN + 1):
        mount.put(str(record_path(key_id_of(number))), {"of": number})
    session = VaultSession(mount.config())
    reads_of(session, 0)  # a connection and a token are there when the fork happens
    children = [in_child(lambda number=number: reads_of(session, number)) for number in range(1, CHILDREN + 1)]
    wrong = [reads_of(session, 0), *[result_of(child) for child in children]]
    assert wrong == [0] * (CHILDREN + 1)


def test_a_childs_writes_and_lists_are_its_own_too(mount: Mount) -> None:
    session = VaultSession(mount.config())
    session.create(FEED_HEAD, {"seq": 0})
    child = in_child(lambda: session.replace(FEED_HEAD, {"seq": 1}, version=1))
    assert result_of(child) == 2
    assert session.replace(FEED_HEAD, {"seq": 2}, version=2) == 3


def test_a_fork_during_a_login_leaves_no_lock_behind(mount: Mount) -> None:
    """The parent's login holds its lock for ever, as seen from a child that has no thread to release it."""
    mount.put("feed/head", {"seq": 0})
    session = VaultSession(mount.config(deadline_seconds=1.0))
    session.read(FEED_HEAD)
    channel = session._process().channel
    with channel._tokens._lock, channel._breaker._lock:
        child = in_child(lambda: session.read(FEED_HEAD) is not None)
        assert result_of(child) is True


def test_a_child_closes_its_copies_of_the_parents_connections(mount: Mount) -> None:
    mount.put("feed/head", {"seq": 0})
    session = VaultSession(mount.config())
    session.read(FEED_HEAD)

    def sockets_after_a_read() -> list[int]:
        before = open_sockets()
        session.read(FEED_HEAD)
        return [before, open_sockets()]

    before, after = result_of(in_child(sockets_after_a_read))  # type: ignore[misc]
    assert after == before, "one opened, the parent's copy closed"
    assert session.read(FEED_HEAD) is not None, "and the parent's own is as good as ever"


def open_sockets() -> int:
    count = 0
    for each in os.listdir("/dev/fd"):
        with suppress(OSError):  # the one of the folder itself is closed by now
            count += stat.S_ISSOCK(os.fstat(int(each)).st_mode)
    return count


@pytest.mark.parametrize(("pause_seconds", "connections"), [(IDLE_SECONDS - 1, 1), (IDLE_SECONDS + 1, 2)])
def test_connections_idle_for_long_are_not_used_again(pause_seconds: float, connections: int) -> None:
    """A frozen function finds its connections dead on the other side, and would learn so by a timeout only."""
    accepted: set[int] = set()

    def counts(connection: socket.socket) -> None:
        accepted.add(connection.getpeername()[1])
        connection.sendall(reply("404 Not Found", b'{"errors":[]}'))

    now = [time.monotonic()]
    with answering(counts) as address:
        session = VaultSession(VaultConfig(address=address, token="t"), RecordedMetrics(), lambda: now[0])
        session.read(FEED_HEAD)
        now[0] += pause_seconds
        session.read(FEED_HEAD)
    assert len(accepted) == connections
