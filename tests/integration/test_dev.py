"""`keyrail dev`: what it prints works as pasted, and whatever ends it, nothing that it started is left."""

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev_process import Running, clean_environment, descendants, eventually, keyrail, still_alive

from keyrail.dev.functions import find_functions
from keyrail.domain.key_format import ANY_KEY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a space in its name, and used by one run after the other."""
    return tmp_path_factory.mktemp("dev") / "key rail"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that only look."""
    made = Running.start(tmp_path_factory.mktemp("dev-shared") / "keyrail")
    try:
        made.wait_until_up()
        yield made
    finally:
        made.stop()


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    """For tests that end it."""
    made = Running.start(folder)
    try:
        made.wait_until_up()
        yield made
    finally:
        made.stop()


def the_process(running: Running, args: str) -> int:
    """The one among those it started whose command line holds `args`."""
    pids = ",".join(map(str, descendants(running.process.pid)))
    table = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "-p", pids], capture_output=True, text=True, check=True
    ).stdout
    found = [int(line.split()[0]) for line in table.splitlines() if args in line and "read -r" not in line]
    return min(found)


def test_the_lines_to_copy_work_as_pasted_and_the_keys_outlive_the_run(running: Running, folder: Path) -> None:
    lines = [line for line in running.output.splitlines() if line.startswith(("curl ", "sed "))]
    assert len(lines) == 3
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=30, env=clean_environment(), cwd="/"
    )
    assert (done.returncode, done.stderr) == (0, "")
    issued, validated, listed = done.stdout.splitlines()
    assert '"name":"first key"' in issued
    assert '"code":"VALID"' in validated
    assert '"keys":[{' in listed

    key = ANY_KEY.search(issued)
    assert key is not None
    assert running.stop() == 0
    again = Running.start(folder)
    try:
        again.wait_until_up()
        assert re.search(r"Vault is set up: 0 of \d+ steps were due", again.output)
        assert again.cli("validate", stdin=key[0]).returncode == 0
    finally:
        again.stop()


def test_no_key_is_among_arguments_and_no_secret_in_the_introduction(shared: Running) -> None:
    pids = ",".join(map(str, descendants(shared.process.pid)))
    table = subprocess.run(["ps", "-ww", "-o", "args=", "-p", pids], capture_output=True, text=True, check=True).stdout
    assert "functions_framework" in table
    told = shared.output + table
    assert ANY_KEY.search(told) is None
    secret_ids = [file.read_text().strip() for file in (shared.folder / "identities").glob("*.secret-id")]
    assert len(secret_ids) == len(find_functions(Path("functions")))
    assert [secret for secret in secret_ids if secret in told] == []


def test_what_holds_a_secret_is_for_its_owner_alone(shared: Running) -> None:
    private = [shared.folder / "admin.key", shared.folder / "admin.curl", shared.folder / "openbao" / "init.json"]
    private += (shared.folder / "identities").iterdir()
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}
    assert stat.S_IMODE(shared.folder.stat().st_mode) == 0o700


def test_functions_know_their_own_identity_and_no_other(shared: Running) -> None:
    roots = shared.folder / "openbao" / "init.json"
    pid = the_process(shared, "functions/rotate/main.py")
    environment = Path(f"/proc/{pid}/environ").read_text()
    assert "KEYRAIL_VAULT_AUTH=approle" in environment
    assert "rotate.secret-id" in environment
    assert "get_key" not in environment
    assert "VAULT_TOKEN" not in environment
    assert re.findall(r'"root_token": "([^"]+)"', roots.read_text())[0] not in environment


def test_sigterm_ends_everything_in_order(running: Running) -> None:
    started = descendants(running.process.pid)
    assert len(started) > 16  # seven functions with a worker each, OpenBao, the gateway
    assert running.stop(signal.SIGTERM) == 0
    assert still_alive(started) == set()
    assert "everything is down again" in running.output


def test_killed_it_leaves_nothing_behind(running: Running) -> None:
    started = descendants(running.process.pid)
    assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    assert still_alive(started) == set()


@pytest.mark.parametrize("victim", ["functions/rotate/main.py", "caddy", "bao"])
def test_where_one_part_dies_all_end_and_it_is_said(running: Running, victim: str) -> None:
    started = descendants(running.process.pid)
    os.kill(the_process(running, victim), signal.SIGKILL)
    assert running.process.wait(30) == 1
    assert still_alive(started) == set()
    assert {"functions/rotate/main.py": "rotate", "caddy": "gateway", "bao": "OpenBao"}[victim] in (
        running.output.splitlines()[-1]
    )


def test_a_port_that_is_taken_is_said(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made = Running.start(folder, port)
        assert made.stop(signal.SIGCONT) == 1
    assert f"port {port} is taken" in made.output


def test_a_folder_in_use_is_said(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Running.start(folder)
        assert made.stop(signal.SIGCONT) == 1
    assert "in use by another" in made.output


def test_a_folder_without_functions_is_said(tmp_path: Path) -> None:
    done = keyrail("dev", "--functions", str(tmp_path), "--folder", str(tmp_path / "k"), "--port", "1")
    assert done.returncode == 1
    assert "holds no functions" in done.stderr


def test_stopped_while_it_starts_it_leaves_nothing_behind(folder: Path) -> None:
    made = Running.start(folder)
    assert eventually(lambda: "functions start" in made.output, 30)
    time.sleep(0.3)
    started = descendants(made.process.pid)
    assert made.stop() == 0
    assert still_alive(started) == set()
