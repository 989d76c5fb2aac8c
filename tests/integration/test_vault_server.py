"""The server that development and tests run on: durable, private, and gone when whoever started it is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hvac
import pytest

from keyrail.dev.openbao import OpenBao, OpenBaoError


def test_a_later_start_of_a_folder_finds_what_was_written_and_unseals(tmp_path: Path) -> None:
    with OpenBao(tmp_path) as first:
        hvac.Client(first.address, first.root_token).sys.create_or_update_policy("kept", 'path "x" { }')
        first.kill()
        first.start()
        assert "kept" in hvac.Client(first.address, first.root_token).sys.list_policies()["data"]["policies"]
    with OpenBao(tmp_path) as second:
        assert second.root_token == first.root_token
        assert "kept" in hvac.Client(second.address, second.root_token).sys.list_policies()["data"]["policies"]
    assert (tmp_path / "init.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_whose_unseal_key_is_lost_says_so(tmp_path: Path) -> None:
    with OpenBao(tmp_path):
        pass
    (tmp_path / "init.json").unlink()
    server = OpenBao(tmp_path)
    with pytest.raises(OpenBaoError, match="unseal key is lost"):
        server.start()
    with pytest.raises(OpenBaoError, match="not running"):
        server.pid  # noqa: B018 - the half-started process is gone


def test_a_port_that_is_taken_says_so(openbao: OpenBao, tmp_path: Path) -> None:
    taken = int(openbao.address.rsplit(":", 1)[1])
    with pytest.raises(OpenBaoError, match="address already in use"):
        OpenBao(tmp_path, port=taken).start()


def test_a_paused_server_ends_all_the_same(tmp_path: Path) -> None:
    server = OpenBao(tmp_path).start()
    pid = server.pid
    server.pause()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_server_outlives_a_starter_that_was_killed(tmp_path: Path) -> None:
    program = """
import sys, time
from keyrail.dev.openbao import OpenBao
print(OpenBao(sys.argv[1]).start().pid, flush=True)
time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    ends_at = time.monotonic() + 10
    while _is_running(pid):
        assert time.monotonic() < ends_at, "the server is still there"
        time.sleep(0.02)


def _is_running(pid: int) -> bool:
    """False also for a process that has ended and was not yet collected by init."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() != "" and not shown.stdout.startswith("Z")
