"""Closed form of sparse ternary weights {−s, 0, +s}."""

from typing import NamedTuple

import torch
from torch import Tensor

from signbit.quantizers.splits import zero_split

__all__ = ["Ternary", "ternary_split"]


class Ternary(NamedTuple):
    """Ternary weights, one scale for each row.

    Attributes:
        code: (..., n), −1, 0 or +1.
        scale: (...), s ≥ 0.
    """

    code: Tensor
    scale: Tensor

    def values(self) -> Tensor:
        """The ternary weights ŵ, (..., n)."""
        return self.code * self.scale[..., None]


def ternary_split(weight: Tensor, nonzeros: int | Tensor | None = None) -> Ternary:
    """The levels {−s, 0, +s} of least J = Σ (w − ŵ)²: the largest |w| are kept, and s is their mean magnitude.

    Args:
        weight: (..., n).
        nonzeros: 1..n weights that are not 0; None is the best number, which maximises (Σ |w|)²/nonzeros.
    """
    kept = zero_split(weight.abs(), nonzeros, both_tails=False)
    signs = torch.where(weight < 0, -1, 1).to(weight.dtype)
    return Ternary(signs * kept.upper, kept.high)
