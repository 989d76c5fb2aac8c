"""A person at a terminal sees how far a bulk command is; a file or a pipe gets no bar."""

import os
import pty
import subprocess

from dev_process import KEYRAIL, Running, clean_environment
from test_cli_bulk import issue

KEYS = 3


def at_a_terminal(system: Running, *arguments: str) -> tuple[bytes, str]:
    """What came to stdout, and what a terminal at stderr showed."""
    own, theirs = pty.openpty()
    env = clean_environment() | {"KEYRAIL_URL": system.url, "KEYRAIL_KEY": system.admin_key, "TERM": "xterm"}
    run = subprocess.Popen(
        [*KEYRAIL, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    try:
        out, _ = run.communicate(timeout=60)
        return out, _all_of(own)
    finally:
        run.kill()
        os.close(own)


def _all_of(terminal: int) -> str:
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # Linux says so where the other end is closed
            return shown.decode()


def test_a_bar_grows_to_the_end_and_stdout_has_the_summary_alone(system: Running) -> None:
    for _ in range(KEYS):
        issue(system, "progress", "ana")
    out, shown = at_a_terminal(system, "revoke", "--owner", "ana", "--tenant", "progress", "--yes")
    assert out.decode() == f"revoked  {KEYS}\nleft     0\n"
    percents = [f"{100 * done // KEYS}%" for done in range(KEYS + 1)]
    places = [shown.find(percent) for percent in percents]
    assert -1 not in places, shown
    assert places == sorted(places)
    assert "revoking" in shown


def test_a_pipe_gets_no_bar(system: Running) -> None:
    issue(system, "no-progress", "ana")
    done = system.cli("revoke", "--owner", "ana", "--tenant", "no-progress", "--yes")
    assert "%" not in done.stdout + done.stderr
