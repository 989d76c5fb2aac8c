"""What `make localstack` says, and what it leaves, where a part of it fails."""

import json
from pathlib import Path

import pytest

from keyrail.dev.local_aws import __main__ as command
from keyrail.dev.local_aws.checks import CheckFailed
from keyrail.dev.local_aws.environments import once
from keyrail.dev.local_aws.report import Report


def fails(_cache: Path, folder: Path, report: Report) -> None:
    (folder / "server.log").write_text("why")
    with report.step("something is so"):
        raise CheckFailed("it is not")


def passes(_cache: Path, folder: Path, report: Report) -> None:
    with report.step("something is so"):
        (folder / "server.log").write_text("fine")


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["local_aws", "--json", "--cache", str(tmp_path)])


def test_a_check_that_fails_is_told_ends_it_with_1_and_leaves_the_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "run", fails)
    assert command.main() == 1
    told = json.loads(capsys.readouterr().out)
    assert [(step["what"], step["outcome"]) for step in told["steps"]] == [("something is so", "failed")]
    assert told["error"].startswith("it is not\nLogs are in ")
    assert (tmp_path / "last/server.log").read_text() == "why"


def test_where_all_is_well_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "run", passes)
    assert command.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert [step["outcome"] for step in told["steps"]] == ["done"]
    assert told["error"] is None
    assert list(tmp_path.iterdir()) == []


def make_badly(place: Path) -> None:
    with once(place):
        place.mkdir()
        (place / "half").touch()
        raise OSError("killed")


def test_what_was_made_halfway_is_made_anew_and_then_no_more(tmp_path: Path) -> None:
    place = tmp_path / "environment"
    with pytest.raises(OSError, match="killed"):
        make_badly(place)
    with once(place) as is_due:
        assert is_due
        assert not place.exists()
        place.mkdir()
    with once(place) as is_due:
        assert not is_due
