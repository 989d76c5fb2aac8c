"""triggers/cli_bulk.py: one key's failure stops no other, and what each would fail of stops all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from keyrail.triggers import cli_bulk
from keyrail.triggers.cli_bulk import MAX_AWAY_IN_A_ROW, Bulk
from keyrail.triggers.cli_report import CannotWrite, Report
from keyrail.triggers.cli_root import REFUSED, UNAVAILABLE, CliError

TRIES = 1 + len(cli_bulk.PAUSES_SECONDS)


def away(code: str = "UNAVAILABLE") -> CliError:
    return CliError("away", code=code, exit_code=UNAVAILABLE)


class Service:
    """Answers with what is in `answers` for a key, one after the other, and then well."""

    def __init__(self, **answers: list[CliError]) -> None:
        self.answers, self.calls = answers, []  # type: ignore[var-annotated]

    def act(self, key_id: str) -> tuple[str, dict[str, Any]]:
        self.calls.append(key_id)
        left = self.answers.get(key_id, [])
        if left:
            raise left.pop(0)
        return "done", {}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    slept: list[float] = []
    monkeypatch.setattr(cli_bulk.time, "sleep", slept.append)
    with click.Context(click.Command("x")):
        yield slept


def run(service: Service, *keys: str, report: Report | None = None) -> tuple[int, Bulk]:
    bulk = Bulk("doing", report, str)
    return bulk.run(bulk.left(list(keys)), service.act), bulk


def test_what_is_away_for_a_moment_is_asked_again(pauses: list[float]) -> None:
    code, bulk = run(Service(b=[away(), away()]), "a", "b", "c")
    assert (code, bulk.counts["done"], bulk.failures) == (0, 3, [])
    assert pauses == list(cli_bulk.PAUSES_SECONDS)


def test_whoever_asks_too_often_waits_as_told(pauses: list[float]) -> None:
    limited = CliError("slowly", code="RATE_LIMITED", retry_after_seconds=7)
    assert run(Service(a=[limited]), "a")[0] == 0
    assert pauses == [7]
    limited = CliError("slowly", code="RATE_LIMITED", retry_after_seconds=86_400)
    assert run(Service(a=[limited]), "a")[0] == 0
    assert pauses[-1] == cli_bulk.LONGEST_PAUSE_SECONDS


def test_what_is_refused_is_not_asked_again_and_stops_no_other(pauses: list[float]) -> None:
    service = Service(b=[CliError("no", code="KEY_NOT_LIVE")])
    code, bulk = run(service, "a", "b", "c")
    assert (code, bulk.failures, bulk.counts["done"]) == (REFUSED, [("b", "KEY_NOT_LIVE")], 2)
    assert (service.calls, pauses) == (["a", "b", "c"], [])


def test_where_nobody_answers_any_more_the_rest_is_left(tmp_path: Path) -> None:
    report = Report.open(tmp_path / "report", {})
    keys = [f"k{n}" for n in range(9)]
    service = Service(**{key: [away("")] * TRIES for key in keys[2:]})
    code, bulk = run(service, *keys, report=report)
    assert (code, bulk.counts["done"], bulk.counts["left"]) == (UNAVAILABLE, 2, 9 - 2 - MAX_AWAY_IN_A_ROW)
    assert {failure for _, failure in bulk.failures} == {"NO_ANSWER"}
    code, bulk = run(Service(), *keys, report=Report.open(tmp_path / "report", {}))
    assert (code, bulk.counts["done before"], bulk.counts["done"]) == (0, 2, 7)


def test_sinks_that_fail_stop_no_key_of_another_sink(pauses: list[float]) -> None:
    service = Service(**{key: [away("DELIVERY_FAILED")] for key in "abcd"})
    code, bulk = run(service, *"abcde")
    assert (code, bulk.counts["failed"], bulk.counts["done"], pauses) == (REFUSED, 4, 1, [])


def test_one_answer_in_between_and_it_goes_on() -> None:
    service = Service(**{key: [away()] * TRIES for key in ("a", "b", "d", "e")})
    code, bulk = run(service, *"abcdef")
    assert (code, bulk.counts["done"], bulk.counts["failed"], bulk.counts["left"]) == (REFUSED, 2, 4, 0)


@pytest.mark.parametrize("code", ["REVOKED", "INSUFFICIENT_SCOPE", "MISSING", "ROTATED_OUT"])
def test_what_is_wrong_with_the_callers_own_key_stops_all(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    service = Service(b=[CliError("yours", code=code)])
    with pytest.raises(CliError, match="yours"):
        run(service, "a", "b", "c")
    assert service.calls == ["a", "b"]
    assert capsys.readouterr().out == "done  1\nleft  2\n"


def test_where_nothing_can_be_noted_nothing_more_is_done(tmp_path: Path) -> None:
    """Such as a new secret that finds no room on the disk."""
    service = Service(b=[CannotWrite("no space left")])
    with pytest.raises(CannotWrite):
        run(service, "a", "b", "c")
    assert service.calls == ["a", "b"]


def test_interrupted_it_says_what_is_left(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = Report.open(tmp_path / "report", {})
    bulk = Bulk("doing", report, str)

    def act(key_id: str) -> tuple[str, dict[str, Any]]:
        if key_id == "c":
            raise KeyboardInterrupt
        return "done", {}

    with pytest.raises(KeyboardInterrupt):
        bulk.run(["a", "b", "c", "d"], act)
    said = capsys.readouterr()
    assert said.out == "done  2\nleft  2\n"
    assert "Run it again: it does what is left." in said.err
    assert [json.loads(line)["key_id"] for line in (tmp_path / "report").read_text().splitlines()[1:]] == ["a", "b"]
