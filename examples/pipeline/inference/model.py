"""A small real model: multinomial logistic regression, fitted by gradient descent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Model:
    """`measures`: a row a flower. `rounds` and `rate` of the descent."""

    def __init__(self, measures: Numbers, species: Sequence[str], rounds: int, rate: float) -> None:
        self.names, target = np.unique(species, return_inverse=True)
        self._mean, self._spread = measures.mean(0), measures.std(0)
        wanted = np.eye(len(self.names))[target]
        rows = self._rows(measures)
        self._weights = np.zeros((rows.shape[1], len(self.names)))
        for _ in range(rounds):
            self._weights += rate * rows.T @ (wanted - self._probabilities(rows)) / len(rows)

    def guess(self, measures: Sequence[float]) -> tuple[str, float]:
        """The likeliest species, and how likely it is."""
        likely = self._probabilities(self._rows(np.array([measures])))[0]
        return str(self.names[likely.argmax()]), float(likely.max())

    def _rows(self, measures: Numbers) -> Numbers:
        scaled = (measures - self._mean) / self._spread
        return np.hstack([scaled, np.ones((len(scaled), 1))])

    def _probabilities(self, rows: Numbers) -> Numbers:
        scores = rows @ self._weights
        powers = np.exp(scores - scores.max(1, keepdims=True))
        likely: Numbers = powers / powers.sum(1, keepdims=True)
        return likely
