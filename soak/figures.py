"""What a scenario showed, and whether that is what was asked of it."""

import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("", "asked", "seen", "target", "reached")


@dataclass(frozen=True)
class Options:
    """`quick` is a tenth of everything. Equal seeds make equal choices, though never equal timing."""

    seed: int
    quick: bool = False

    def of(self, count: int) -> int:
        return max(1, count // 10) if self.quick else count


@dataclass(frozen=True)
class Figure:
    """`is_reached` is None for what is only told."""

    name: str
    asked: str
    seen: str
    target: str = ""
    is_reached: bool | None = None


_COMPARE = {"=": operator.eq, "<=": operator.le, "<": operator.lt}


def judged(name: str, asked: str, seen: float, word: str, bound: float, unit: str = "") -> Figure:
    """`word` is one of =, <=, <."""
    is_reached = bool(_COMPARE[word](seen, bound))
    return Figure(name, asked, _told(seen, unit), f"{word} {_told(bound, unit)}", is_reached)


def spread(values: Sequence[float], unit: str) -> str:
    """Smallest, median and largest."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    chosen = (ordered[0], ordered[len(ordered) // 2], ordered[-1])
    return " / ".join(f"{value:.2f}" for value in chosen) + f" {unit} (min / median / max)"


def table(figures: Sequence[Figure]) -> str:
    rows = [HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    reached = {None: "", True: "yes", False: "NO"}[figure.is_reached]
    return (figure.name, figure.asked, figure.seen, figure.target, reached)


def _told(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return f"{number} {unit}".strip()


class Progress:
    """Says how far it is, at most every few seconds."""

    EVERY_SECONDS = 5.0

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._said_at = name, total, time.monotonic()

    def at(self, done: int) -> None:
        if done == self._total or time.monotonic() - self._said_at > self.EVERY_SECONDS:
            self._said_at = time.monotonic()
            print(f"  {self._name}: {done:,} of {self._total:,}", flush=True)
