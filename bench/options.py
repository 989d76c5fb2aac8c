"""How long a run measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """`quick` is for a first look, on a machine that does something else too."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        return 15 if self.quick else 90

    @property
    def round_seconds(self) -> float:
        """Short, so that what disturbs a moment of one disturbs its neighbour too; p99 is still of hundreds."""
        return 0.5

    @property
    def gateway_rounds(self) -> int:
        return 10 if self.quick else 60

    @property
    def gateway_round_seconds(self) -> float:
        """Longer, since it is half the rate of which a p99 is told."""
        return 1.0

    @property
    def starts(self) -> int:
        return 5 if self.quick else 21

    @property
    def further_requests(self) -> int:
        return 10_000 if self.quick else 100_000

    @property
    def store_sizes(self) -> tuple[int, ...]:
        return (100, 1_000, 10_000) if self.quick else (100, 10_000, 100_000)

    @property
    def hint_totals(self) -> tuple[int, int]:
        return (1_000, 10_000) if self.quick else (1_000, 100_000)

    @property
    def cached_keys(self) -> int:
        return 1_000 if self.quick else 10_000
