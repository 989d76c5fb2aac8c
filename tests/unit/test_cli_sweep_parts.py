"""`keyrail sweep` calls the service until all was looked at, and tells the sum."""

from typing import Any

import pytest

from keyrail.triggers.cli_root import CliError
from keyrail.triggers.cli_tick import _swept


def part(n: int, next_cursor: str | None) -> dict[str, Any]:
    counts = {"looked_at": n, "rebuilt": 1, "tidied": 0, "unlisted": 0, "failed": 1}
    lists = {"unused": [f"unused {n}"], "old_pepper": [], "failures": [{"subject": f"{n}", "code": "UNAVAILABLE"}]}
    told = {**counts, **lists, "by_pepper_version": {"1": n, "2": 1}}
    return told if next_cursor is None else told | {"next_cursor": next_cursor}


class Service:
    """Answers with these parts, one after the other."""

    def __init__(self, *parts: dict[str, Any]) -> None:
        self._parts = list(parts)
        self.asked: list[dict[str, Any]] = []

    def call(self, method: str, path: str, *, body: dict[str, Any], read_seconds: float) -> dict[str, Any]:
        self.asked.append(body)
        return self._parts.pop(0)


def test_each_part_begins_where_the_one_before_ended_and_all_are_summed() -> None:
    service: Any = Service(part(5, "keys:a"), part(6, "index:acme/b"), part(7, None))
    report = _swept(service, {"unused_days": 30}, 1.0)
    assert [asked["cursor"] for asked in service.asked] == ["keys:", "keys:a", "index:acme/b"]
    assert {asked["unused_days"] for asked in service.asked} == {30}
    assert (report["looked_at"], report["rebuilt"], report["failed"]) == (18, 3, 3)
    assert report["unused"] == ["unused 5", "unused 6", "unused 7"]
    assert report["by_pepper_version"] == {"1": 18, "2": 3}
    assert len(report["failures"]) == 3


@pytest.mark.parametrize("parts", [["keys:"], ["keys:a", "keys:a"]])
def test_one_that_gets_nowhere_ends(parts: list[str]) -> None:
    service: Any = Service(*(part(0, cursor) for cursor in parts))
    with pytest.raises(CliError, match="gets nowhere"):
        _swept(service, {}, 1.0)
