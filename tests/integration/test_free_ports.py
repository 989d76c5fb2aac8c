"""dev/ports.py: nobody is given a port that another has."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from keyrail.dev.ports import free_ports

ASK = "from keyrail.dev.ports import free_ports; print(*[free_ports(1)[0] for _ in range(50)])"


def test_processes_side_by_side_are_given_different_ones() -> None:
    asking = [subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    given = [port for each in asking for port in each.communicate()[0].split()]
    assert len(given) == len(set(given)) == 200


def test_one_that_somebody_listens_on_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyrail.dev.ports._GIVEN", tmp_path / "given")
    first = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as other, monkeypatch.context() as patched:
        patched.setattr("keyrail.dev.ports._FIRST", other.getsockname()[1])
        patched.setattr("keyrail.dev.ports._LAST", other.getsockname()[1] + 5)
        assert other.getsockname()[1] not in free_ports(3)
    assert free_ports(2) == [first, first + 1]


@pytest.mark.parametrize("left", ["", "x", "-1", "31999", "32000", "99999"])
def test_whatever_lies_in_its_file(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyrail.dev.ports._GIVEN", tmp_path / "given")
    free_ports(1)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(left)
    given = free_ports(3)
    assert len(set(given)) == 3
    assert all(20_000 <= port <= 32_000 for port in given)
