"""triggers/cli_report.py: what was done stays known, wherever the run was cut off."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyrail.triggers.cli_report import Report, append_line
from keyrail.triggers.cli_root import CliError

COMMAND: dict[str, Any] = {"revoke": {"owner": "ana"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report"


def test_the_next_run_knows_what_is_done_and_tries_what_failed(file: Path) -> None:
    first = Report.open(file, COMMAND)
    first.add("one", "revoked")
    first.add("two", "failed", code="UNAVAILABLE")
    second = Report.open(file, COMMAND)
    assert (first.is_new, second.is_new) == (True, False)
    assert second.done == {"one": "revoked"}
    assert (second.run_id, second.began_at) == (first.run_id, first.began_at)
    second.add("two", "revoked")
    assert Report.open(file, COMMAND).done == {"one": "revoked", "two": "revoked"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_off_at_any_byte_it_goes_on(file: Path, data: st.DataObject) -> None:
    file.unlink(missing_ok=True)
    ids = ["one", "two", "three", "fünf"]
    report = Report.open(file, COMMAND)
    for key_id in ids:
        report.add(key_id, "revoked")
    written = file.read_bytes()
    kept = written[: data.draw(st.integers(0, len(written)))]
    file.write_bytes(kept)
    done = Report.open(file, COMMAND).done
    assert list(done) == ids[: max(0, kept.count(b"\n") - 1)]
    Report.open(file, COMMAND).add("six", "revoked")
    assert [json.loads(line).get("key_id") for line in file.read_text().splitlines()] == [None, *done, "six"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"report": {"import": ""}, "run_id": "x", "began_at": "2030-01-31T12:00:00+00:00"}\n', "of another command"),
        ("my notes\n", "line 1: this is no report"),
        ('{"run_id": "x"}\n', "line 1: this is no report"),
        ("[]\n", "line 1: this is no report"),
    ],
)
def test_a_file_that_is_none_of_ours_is_left_alone(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(CliError, match=told) as refused:
        Report.open(file, COMMAND)
    assert refused.value.exit_code == 2
    assert file.read_text() == text


def test_a_line_in_the_middle_that_is_none_of_ours_is_named(file: Path) -> None:
    Report.open(file, COMMAND)
    append_line(file, {"key": "value"})
    with pytest.raises(CliError, match="line 2"):
        Report.open(file, COMMAND)


def test_a_file_that_can_not_be_written_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="can't be written"):
        Report.open(tmp_path / "nowhere" / "report", COMMAND)
