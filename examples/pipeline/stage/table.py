"""What came of a run."""

from dataclasses import dataclass

from stage.load import Seen


@dataclass(frozen=True)
class Outcome:
    """`rotations` by what was rotated."""

    seen: Seen
    rotations: dict[str, int]
    still_accepted: int

    @property
    def is_good(self) -> bool:
        seen = self.seen
        nobody_noticed = seen.requests > 0 and not (seen.refused or seen.failed or self.still_accepted)
        return nobody_noticed and all(self.rotations.values())

    def __str__(self) -> str:
        seen = self.seen
        right = f"{100 * seen.guesses[True] / max(seen.guesses.total(), 1):.0f} %"
        rows = [
            ("requests", seen.requests),
            ("refused", seen.refused),
            ("failed", seen.failed),
            ("guesses that were right", right),
            ("p50", f"{seen.percentile(0.5):.1f} ms" if seen.milliseconds else "none"),
            ("p99", f"{seen.percentile(0.99):.1f} ms" if seen.milliseconds else "none"),
            *((f"rotations of {what}", count) for what, count in self.rotations.items()),
            ("times that a client read its key anew", seen.reread),
            ("replaced keys and passwords that are still accepted", self.still_accepted),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"  {name:<{width}}  {value!s:>8}" for name, value in rows)
