"""What the command says while it runs: a line a step, with its seconds; with --json one document at the end."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    as_json: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Said once it is over, and how it went."""
        started = time.monotonic()
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            seconds = round(time.monotonic() - started, 1)
            self.steps.append({"what": what, "outcome": outcome, "seconds": seconds})
            self.say(f"{outcome:<6} {seconds:6.1f} s  {what}")

    def say(self, line: str) -> None:
        if not self.as_json:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def finish(self, error: str | None = None) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps({"steps": self.steps, "error": error}) + "\n")
        elif error is not None:
            sys.stderr.write(f"error: {error}\n")
