"""Sparse ternary weights {−s, 0, +s}: the closed form, and the quantizer."""

from functools import partial
from typing import NamedTuple, final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.quantizers.budget import Granularity, rows_of
from signbit.quantizers.mask import MaskedQuantizer
from signbit.quantizers.ranked import Encoding, expect_distinct
from signbit.quantizers.registry import register
from signbit.quantizers.scale import Scale
from signbit.quantizers.sign import code_with_surrogate, sign
from signbit.quantizers.signs import SignQuantizer
from signbit.quantizers.splits import check_ones, given_split, largest, zero_split
from signbit.wording import check_choice

__all__ = ["Ternary", "TernarySplit", "ternary_split"]


class TernarySplit(NamedTuple):
    """Ternary weights, one scale for each row.

    Attributes:
        code: (..., n), −1, 0 or +1.
        scale: (...), s ≥ 0.
        cut: (...), the smallest |w| that is kept.
    """

    code: Tensor
    scale: Tensor
    cut: Tensor

    def values(self) -> Tensor:
        """The ternary weights ŵ, (..., n)."""
        return self.code * self.scale[..., None]


def ternary_split(weight: Tensor, nonzeros: int | Tensor | None = None) -> TernarySplit:
    """The levels {−s, 0, +s} of least J = Σ (w − ŵ)²: the largest |w| are kept, and s is their mean magnitude.

    Args:
        weight: (..., n).
        nonzeros: 1..n weights that are not 0; None is the best number, which maximises (Σ |w|)²/nonzeros. Or a mask of
            them, bool (..., n).
    """
    magnitude = weight.abs()
    if isinstance(nonzeros, Tensor) and nonzeros.dtype == torch.bool:
        kept = given_split(magnitude, nonzeros)
    elif nonzeros is None:
        kept = zero_split(magnitude, both_tails=False)
    else:
        check_ones(weight, nonzeros)
        kept = largest(magnitude, nonzeros)
    return TernarySplit(sign(weight) * kept.upper, kept.high, kept.cut)


@register("ternary")
@final
class Ternary(MaskedQuantizer):
    """Every weight is −s, 0 or +s; the largest magnitudes are kept (sparse ternary weights).

    The gradient of the latent weight is s·∂L/∂ŵ·(h(w − cut) + h(w + cut))/2, because the code is the mean of two signs,
    around +cut and around −cut. It is for latent weights, of which an optimizer that keeps them at ±1 has none.

    A packed file holds two one-bit layers for one ternary layer, whose sums are added; their sparse lists together
    take H(p/2)·2 bits a weight, about the H(p) + p of a ternary mask.

    Args:
        density: fraction p of the weights, in (0, 1], that are not 0: round(p·n) of n. None is the number of least
            squared error, about 0.54 for normal weights.
        scale: "mean", s is the mean magnitude of the kept weights; "none", s = 1.
        granularity: one s, and one budget, per "layer" or per "filter".
        surrogate: name of the sign quantizer whose surrogate gradient h is used, such as "ede" or "sign(clip=1.25)".
        start: density at the beginning of a schedule, in (0, 1].
        anneal: fraction of the training, in (0, 1], after which the density stands at its target; see `TwoLevel`.
    """

    def __init__(
        self,
        *,
        density: float | None = None,
        scale: Scale = "mean",
        granularity: Granularity = "layer",
        surrogate: str | SignQuantizer = "ede",
        start: float = 0.5,
        anneal: float = 0.6,
    ) -> None:
        check_choice("scale", scale, Scale)
        super().__init__(
            density=density,
            granularity=granularity,
            surrogate=surrogate,
            start=start,
            anneal=anneal,
            all_allowed=True,
        )
        self.register_buffer("mask", None)
        self.scaling = scale

    @property
    @override
    def symmetric(self) -> bool:
        return True

    @override
    def attach(self, weight: Tensor) -> None:
        self._expect_budget(rows_of(weight, self.granularity).shape[1])

    @override
    def encode(self, weight: Tensor) -> Encoding:
        """Code −1, 0 or +1 of a weight, and the levels −s and +s of its signs, found together.

        Args:
            weight: filters first.

        Raises:
            ValueError: all magnitudes of a layer or filter are equal, or the budget rounds to none of them.
        """
        rows = rows_of(weight.detach(), self.granularity)
        if self.mask is None:
            expect_distinct(rows.abs(), self.granularity, what="magnitudes")
            nonzeros = self._budget_of(rows.shape[1])
        else:
            nonzeros = rows_of(self.mask, self.granularity)
        split = ternary_split(rows, nonzeros)
        cut = split.cut.view(-1, *(1,) * (weight.dim() - 1))
        code = code_with_surrogate(weight, split.code.view(weight.shape), partial(self._surrogate, cut=cut))
        high = split.scale if self.scaling == "mean" else torch.ones_like(split.scale)
        high = high.expand(weight.shape[0])
        return Encoding(code, -high, high)

    @override
    def scale(self, weight: Tensor) -> Tensor | None:
        return None if self.scaling == "none" else self.encode(weight).high

    @override
    def ranking(self, weight: Tensor) -> Tensor:
        return weight.abs()

    @override
    def extra_repr(self) -> str:
        return f"density={self.target}, scale={self.scaling}, granularity={self.granularity}"

    def _surrogate(self, u: Tensor, *, cut: Tensor) -> Tensor:
        h = self.estimator.surrogate
        if self.mask is None or self.ranked:
            return (h(u - cut) + h(u + cut)) / 2
        # The mask says which weights are 0, so that only signs are estimated.
        return torch.where(self.mask, h(u), float(self.dense_gradient))
