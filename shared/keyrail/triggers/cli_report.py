"""What a command over many keys has done so far: a file of JSON lines, appended to key by key and flushed to disk.

The first line says of which command it is; each other is one key: {"key_id", "outcome", ...}. The same command run
again with the same file does only what is left. No secret stands in it.
"""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from keyrail.adapters.private_files import PRIVATE_FILE
from keyrail.triggers.cli_root import USAGE, CliError

FAILED = "failed"


class CannotWrite(CliError):
    """What was done can't be noted: nothing more may be done."""


class Report:
    """`done`: the outcomes of keys that need not be looked at again. `run_id` and `began_at` are those of the first
    run."""

    def __init__(self, path: Path, head: dict[str, Any], done: dict[str, str], *, is_new: bool) -> None:
        self.run_id, self.began_at = str(head["run_id"]), datetime.fromisoformat(head["began_at"])
        self.done, self.is_new = done, is_new
        self._path = path

    @classmethod
    def open(cls, path: Path, command: dict[str, Any]) -> Self:
        """Raises: CliError where the file is of another command, or no report."""
        found = opened(path, command)
        outcomes = {line["key_id"]: line["outcome"] for line in found.lines}
        done = {key_id: outcome for key_id, outcome in outcomes.items() if outcome != FAILED}
        return cls(path, found.head, done, is_new=found.is_new)

    def add(self, key_id: str, outcome: str, **facts: Any) -> None:
        append_line(self._path, {"key_id": key_id, "outcome": outcome, **facts})


class Opened(NamedTuple):
    """`lines`: what follows the head, each parsed when it is asked for."""

    head: dict[str, Any]
    lines: Iterator[dict[str, Any]]
    is_new: bool


def opened(path: Path, command: dict[str, Any]) -> Opened:
    """A report, with a head where there was none. Raises: as Report.open."""
    lines = whole_lines(path)
    if not lines:
        head = {"report": command, "run_id": new_run_id(), "began_at": datetime.now(UTC).isoformat()}
        append_line(path, head)
        return Opened(head, iter(()), is_new=True)
    head = _parsed(lines[0], 1, path)
    if head.get("report") != command:
        advice = "Repeat the command as it was, or name another file."
        raise CliError(f"{path} is the report of another command.", advice=advice, exit_code=USAGE)
    return Opened(head, (_parsed(line, number, path) for number, line in enumerate(lines[1:], 2)), is_new=False)


def new_run_id() -> str:
    return uuid.uuid4().hex


def whole_lines(path: Path) -> list[str]:
    """None where there is no file. A run that was killed may have left a part of a line: that is cut off, and what it
    told of is done again. Raises: CliError."""
    try:
        data = path.read_bytes() if path.exists() else b""
        whole, end, cut = data.rpartition(b"\n")
        if cut:
            os.truncate(path, len(data) - len(cut))
        return (whole + end).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} can't be read: {type(error).__name__}", exit_code=USAGE) from error


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Whole and on disk when this returns. Raises: CannotWrite."""
    append(path, (json.dumps(line) + "\n").encode())


def append(path: Path, data: bytes) -> None:
    """To a file of mode 0600, which is made where there is none. Raises: CannotWrite."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        try:
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise CannotWrite(f"{path} can't be written: {error.strerror}", exit_code=USAGE) from error


def _parsed(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    needed = {"report", "run_id", "began_at"} if number == 1 else {"key_id", "outcome"}
    if not isinstance(found, dict) or not needed <= found.keys():
        raise CliError(f"{path}, line {number}: this is no report of ours.", exit_code=USAGE)
    return found
