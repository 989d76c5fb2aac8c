"""What a test sees of all that the process said."""

import io
import json
from typing import Any

import pytest


class Output:
    """All that the process wrote: to its log, and past it."""

    def __init__(self, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
        self._log, self._capsys = log, capsys
        self._past_it = ""

    @property
    def text(self) -> str:
        captured = self._capsys.readouterr()
        self._past_it += captured.out + captured.err
        return self._log.getvalue() + self._past_it

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.text.splitlines()) if line["kind"] == kind]

    def clear(self) -> None:
        self._capsys.readouterr()
        self._past_it = ""
        self._log.seek(0)
        self._log.truncate()
