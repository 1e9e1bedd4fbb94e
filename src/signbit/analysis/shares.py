"""A share of the binary weights, per layer and in all."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Shares"]


@dataclass(frozen=True)
class Shares:
    """A share of weights, 0..1.

    Attributes:
        total: over all weights together, so that large layers count for more.
        layers: by the name of the weight.
    """

    total: float
    layers: dict[str, float]

    @classmethod
    def of(cls, counts: Mapping[str, float], sizes: Mapping[str, int]) -> "Shares":
        """Shares from how many weights of each layer are meant.

        Args:
            counts: by the name of the weight.
            sizes: number of weights of, at least, the same names.
        """
        layers = {name: count / sizes[name] for name, count in counts.items()}
        return cls(sum(counts.values()) / sum(sizes[name] for name in counts), layers)
