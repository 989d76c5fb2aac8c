"""A figure is ours beside something else's, measured in the same run; a report is what a person reads of them."""

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Target:
    """`bound` is of the ratio where the figure has one, else of the value."""

    word: str
    bound: float

    def is_reached_by(self, value: float) -> bool:
        """As a person reads it: to the two digits that are shown."""
        compare = operator.ge if self.word == "at least" else operator.le
        return bool(compare(round(value, 2), self.bound))


def at_least(bound: float) -> Target:
    return Target("at least", bound)


def at_most(bound: float) -> Target:
    return Target("at most", bound)


@dataclass(frozen=True)
class Figure:
    """`low` and `high`: the ratios of single rounds, or the single values where there is no ratio."""

    name: str
    unit: str
    ours: float
    beside: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    target: Target | None = None

    @property
    def judged(self) -> float:
        return self.ours if self.ratio is None else self.ratio

    @property
    def is_reached(self) -> bool | None:
        return None if self.target is None else self.target.is_reached_by(self.judged)

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.is_reached}


@dataclass
class Section:
    title: str
    beside: str = ""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {"title": self.title, "figures": [each.document() for each in self.figures], "notes": self.notes}

    def compare(
        self, name: str, unit: str, ours: Sequence[float], beside: Sequence[float], target: Target | None = None
    ) -> None:
        """Medians, and the median of the ratios round by round: what disturbs one round disturbs both of its halves."""
        ratios = [mine / other for mine, other in zip(ours, beside, strict=True)]
        figure = Figure(
            name, unit, median(ours), median(beside), median(ratios), min(ratios), max(ratios), target=target
        )
        self.figures.append(figure)

    def value(
        self,
        name: str,
        unit: str,
        ours: Sequence[float],
        target: Target | None = None,
        beside: Sequence[float] | None = None,
    ) -> None:
        """Judged by its median itself."""
        other = median(beside) if beside else None
        self.figures.append(Figure(name, unit, median(ours), other, None, min(ours), max(ours), target))

    def count(self, name: str, ours: int, what: str, target: Target | None = None) -> None:
        self.figures.append(Figure(name, what, ours, target=target))


def table(section: Section) -> str:
    head = ("", "Keyrail", section.beside, "ratio", "min - max", "target", "")
    rows = [head, *(_row(figure) for figure in section.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"\n{section.title}"]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join([*lines, *(f"  {note}" for note in section.notes)])


def _row(figure: Figure) -> tuple[str, str, str, str, str, str, str]:
    spread = "" if figure.low is None or figure.high is None else f"{_short(figure.low)} - {_short(figure.high)}"
    target = figure.target
    return (
        figure.name,
        _with_unit(figure.ours, figure.unit),
        "" if figure.beside is None else _with_unit(figure.beside, figure.unit),
        "" if figure.ratio is None else f"{figure.ratio:.2f}x",
        spread,
        "" if target is None else f"{target.word} {_short(target.bound)}{'' if figure.ratio is None else 'x'}",
        "" if target is None else "reached" if figure.is_reached else "NOT REACHED",
    )


def _with_unit(value: float, unit: str) -> str:
    return f"{_short(value)} {unit}".strip()


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"
