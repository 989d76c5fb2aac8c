"""`keyrail demo`: it tells the whole life of a key by real replies, shows no secret, and leaves nothing behind."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from dev_process import FUNCTIONS, KEYRAIL, clean_environment, descendants, still_alive

from keyrail.domain.key_format import ANY_KEY


@dataclass(frozen=True)
class Shown:
    exit_code: int
    text: str
    started: set[int]
    scratch: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """One whole run, and every process that was seen on the way."""
    scratch = tmp_path_factory.mktemp("scratch")
    output = tmp_path_factory.mktemp("output") / "demo.txt"
    started: set[int] = set()
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*KEYRAIL, "demo", "--functions", str(FUNCTIONS)],
            env=clean_environment() | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            started |= descendants(process.pid)
            time.sleep(0.2)
    return Shown(process.returncode, output.read_text(), started, scratch)


def test_it_succeeds_and_tells_each_step_in_its_order(shown: Shown) -> None:
    assert shown.exit_code == 0, shown.text
    told = re.findall(r"^── (.*)$", shown.text, re.MULTILINE)
    assert [title.split()[0] for title in told] == [
        "Issue",
        "Validate",
        "Rotate",
        "The",
        "The",
        "Revoke",
        "Both",
        "...",
    ]
    codes = re.findall(r'"code": "(\w+)"', shown.text)
    assert codes == ["VALID", "VALID", "VALID", "REVOKED", "REVOKED"]
    assert re.findall(r'"generation": (\d)', shown.text) == ["1", "1", "2", "1", "2"]


def test_the_old_secret_is_shown_in_its_grace_period(shown: Shown) -> None:
    grace = shown.text.split("── ")[4]
    assert re.search(r"200 {2}Deprecation: @\d+ {2}Sunset: \w{3}, ", grace)


def test_revocation_is_seen_within_its_bound(shown: Shown) -> None:
    (seconds,) = re.findall(r"refused, ([\d.]+) s after", shown.text)
    assert float(seconds) < 3.0  # about one; the machine may be busy


def test_no_secret_is_shown(shown: Shown) -> None:
    assert ANY_KEY.search(shown.text) is None
    assert len(re.findall(r"krl_live_[0-9A-Za-z]{16}_\*{4}", shown.text)) == 7


def test_nothing_is_left(shown: Shown) -> None:
    assert len(shown.started) > 16, "seven functions with a worker each, OpenBao, the gateway"
    assert still_alive(shown.started) == set()
    assert list(shown.scratch.iterdir()) == []
