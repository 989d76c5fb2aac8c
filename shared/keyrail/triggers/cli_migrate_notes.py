"""What `keyrail migrate` knows of the two stores: its report, which every run of both directions goes on with.

Two lines a key, {"key_id", "outcome", "vault", "dynamodb", "fingerprint"}: "writing" before a write, with the store in
`to`, and "alike" once both were read and agreed. The numbers are versions. Of a tombstone alone "writing" has none.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from keyrail.adapters.private_files import PRIVATE_FILE
from keyrail.domain.migration import Alike, Noted
from keyrail.triggers.cli_report import CannotWrite, opened
from keyrail.triggers.cli_root import USAGE, CliError

WRITING, ALIKE = "writing", "alike"


class NotesFile:
    """Lines are handed to the operating system one by one and not flushed to disk: they outlive this process. One that
    a crashed machine lost makes a record that differs a failure to tell of, and never one to write over."""

    def __init__(self, path: Path | None, command: dict[str, Any], source: str, target: str) -> None:
        """`path` None: nothing is kept. Raises: CliError where the file is of another command, no report, or in use."""
        self._source, self._target = source, target
        self._noted: dict[str, Noted] = {}
        self._lock = threading.Lock()
        self._file: int | None = None
        if path is not None:
            self._file = _locked(path)
            for line in opened(path, command).lines:
                if line["outcome"] == ALIKE or line.get("to") == target:
                    self._take(line)

    def of(self, key_id: str) -> Noted:
        return self._noted.get(key_id, Noted())

    def intend(self, key_id: str, written: Alike | None) -> None:
        self._add({"key_id": key_id, "outcome": WRITING, "to": self._target, **self._fields(written)})

    def agree(self, key_id: str, both: Alike) -> None:
        self._add({"key_id": key_id, "outcome": ALIKE, **self._fields(both)})

    def unsettled(self) -> list[str]:
        return [key_id for key_id, noted in self._noted.items() if not noted.is_settled]

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def _add(self, line: dict[str, Any]) -> None:
        with self._lock:
            if self._file is not None:
                _append(self._file, (json.dumps(line) + "\n").encode())
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        noted = self.of(line["key_id"])
        both = Alike(line[self._source], line[self._target], line["fingerprint"]) if "fingerprint" in line else None
        if line["outcome"] == ALIKE:
            self._noted[line["key_id"]] = Noted(both)
        else:
            intended = noted.intended if both is None else (*noted.intended, both)
            self._noted[line["key_id"]] = Noted(noted.agreed, intended, is_settled=False)

    def _fields(self, both: Alike | None) -> dict[str, Any]:
        if both is None:
            return {}
        versions = {self._source: both.source_version, self._target: both.target_version}
        return {**versions, "fingerprint": both.fingerprint}


def _locked(path: Path) -> int:
    """A run that did not know what another notes meanwhile would take that for changes of somebody else's."""
    import fcntl

    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise CliError(f"{path}: another run is at work with this report.", exit_code=USAGE) from None
    except OSError as error:
        raise CannotWrite(f"{path} can't be written: {error.strerror}", exit_code=USAGE) from error
    return file


def _append(file: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(file, line) :]
    except OSError as error:
        raise CannotWrite(f"the report can't be written: {error.strerror}", exit_code=USAGE) from error
