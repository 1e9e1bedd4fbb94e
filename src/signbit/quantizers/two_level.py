"""Weights of two levels {low, high} instead of ±1, with a budget for how many take the rarer one."""

import warnings
from typing import Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from signbit.quantizers.budget import Granularity, rows_of
from signbit.quantizers.mask import MaskedQuantizer
from signbit.quantizers.ranked import Encoding, expect_distinct
from signbit.quantizers.registry import register
from signbit.quantizers.sign import code_with_surrogate
from signbit.quantizers.signs import SignQuantizer
from signbit.quantizers.splits import Split, at_most_split, exact_split, free_split, given_split, largest, zero_split
from signbit.wording import check_choice

__all__ = ["Budget", "Tails", "TwoLevel", "Values"]

Values = Literal["closed", "learned", "zero", "zero_one", "signs"]
Budget = Literal["exact", "at_most"]
Tails = Literal["top", "both"]


@register("twolevel")
@final
class TwoLevel(MaskedQuantizer):
    """Every weight is one of two values, low (code −1, the set bit) or high (code +1) (SBNN, 2306.13515).

    A layer multiplies by ŵ = half·code + middle, with half = (high − low)/2 and middle = (high + low)/2: it gives
    half·(product of the codes) + middle·(sum of the input's code over the window), where the second sum is shared by
    all filters. The gradient of the latent weight is half·∂L/∂ŵ·h(w − cut), with `cut` the smallest weight of the upper
    level. It is for latent weights: an optimizer that keeps weights at ±1 leaves nothing to rank.

    Args:
        values: "closed", the means of the two groups, with the best assignment (`free_split`, `exact_split`,
            `at_most_split`); "learned", middle ∓ spread with both trained (the paper's φ and τ, from 0 and 1); "zero",
            {0, β} in closed form (`zero_split`); "zero_one", {0, 1}; "signs", {−1, +1}.
        density: fraction p of the weights, in (0, 1], that take the rarer level: round(p·n) of n, the largest ones
            unless `tails` says otherwise. None is no budget: the best split, or for fixed and learned values the
            threshold 0 (½ for {0, 1}).
        budget: "exact", or "at_most" with closed values.
        tails: "top", the rarer level is the higher; "both", the smallest weights may take it if that fits better.
            That is for given weights; trained from scratch at a density of 0.05, "both" reached 47 % and "top" 79 % on
            the toy task of tests/sparsity/test_toy.py (one seed).
        granularity: one pair of levels, and one budget, per "layer" or per "filter".
        surrogate: name of the sign quantizer whose surrogate gradient h is used, such as "ede" or "sign(clip=1.25)".
        start: density at the beginning of a schedule, in (0, 1].
        anneal: fraction of the training, in (0, 1], after which the density stands at its target. Until `schedule` is
            called it does: a loaded model has the target density.
    """

    spread: nn.Parameter
    middle: nn.Parameter

    def __init__(
        self,
        *,
        values: Values = "closed",
        density: float | None = None,
        budget: Budget = "exact",
        tails: Tails = "top",
        granularity: Granularity = "layer",
        surrogate: str | SignQuantizer = "ede",
        start: float = 0.5,
        anneal: float = 0.6,
    ) -> None:
        closed = _closed(values, budget, tails)
        if density is None and (budget, tails) != ("exact", "top"):
            raise ValueError(f"budget={budget!r} and tails={tails!r} need density=, a fraction in (0, 1], got None")
        super().__init__(
            density=density,
            granularity=granularity,
            surrogate=surrogate,
            start=start,
            anneal=anneal,
            all_allowed=budget == "at_most",
        )
        if density is not None and budget == "exact" and 0.5 < density < 1:
            warnings.warn(
                f"density={density} is above one half, so the roles are swapped: low is the rarer level, which "
                f"{1 - density:.3g} of the weights take, and which packed files list",
                stacklevel=2,
            )
        self.register_buffer("mask", None)
        self.values = values
        self.budget = budget
        self.tails = tails
        self._ranked = closed or density is not None

    @property
    @override
    def symmetric(self) -> bool:
        return self.values == "signs"

    @override
    def attach(self, weight: Tensor) -> None:
        filters = weight.shape[0]
        self._expect_budget(rows_of(weight, self.granularity).shape[1])
        if self.values != "learned":
            return
        size = filters if self.granularity == "filter" else 1
        if "spread" not in self._parameters:
            self.spread = nn.Parameter(torch.ones(size, device=weight.device, dtype=weight.dtype))
            self.middle = nn.Parameter(torch.zeros(size, device=weight.device, dtype=weight.dtype))
        elif self.spread.shape != (size,):
            raise ValueError(
                f"learned values of {len(self.spread)} filters cannot serve a layer of {size}; give each layer its own "
                "quantizer"
            )

    @override
    def encode(self, weight: Tensor) -> Encoding:
        rows = rows_of(weight.detach(), self.granularity)
        if self._ranked:
            expect_distinct(rows, self.granularity)
        split = self._split(rows)
        code = split.upper.view(weight.shape).to(weight.dtype).mul_(2).sub_(1)
        cut = split.cut.view(-1, *(1,) * (weight.dim() - 1))
        # Where a mask says which weights are rare, no sign is estimated: a weight has the gradient of its level.
        given = self.mask is not None and not self.ranked
        code = code_with_surrogate(weight - cut, code, _whole if given else self.estimator.surrogate)
        low, high = split.low, split.high
        if self.values == "learned":
            low, high = self.middle - self.spread, self.middle + self.spread
        filters = weight.shape[0]
        return Encoding(code, low.expand(filters), high.expand(filters))

    @override
    def scale(self, weight: Tensor) -> Tensor | None:
        if self.symmetric:
            return None
        _, low, high = self.encode(weight)
        return (high - low) / 2

    @override
    def ranking(self, weight: Tensor) -> Tensor:
        return weight

    @override
    def extra_repr(self) -> str:
        names = ("values", "target", "budget", "tails", "granularity")
        return ", ".join(f"{'density' if name == 'target' else name}={getattr(self, name)}" for name in names)

    def _split(self, rows: Tensor) -> Split:
        ones, both = self._budget_of(rows.shape[1]), self.tails == "both"
        given = None if self.mask is None else given_split(rows, rows_of(self.mask, self.granularity))
        if self.values == "closed":
            if given is not None:
                return given
            if ones is None:
                return free_split(rows)
            return (exact_split if self.budget == "exact" else at_most_split)(rows, ones, both_tails=both)
        if self.values == "zero":
            if given is not None:
                return given._replace(low=torch.zeros_like(given.low))
            return zero_split(rows, ones, both_tails=both)
        low, high = (0.0, 1.0) if self.values == "zero_one" else (-1.0, 1.0)
        if given is not None:
            upper, cut = given.upper, given.cut
        elif ones is None:
            cut = rows.new_full((len(rows),), 0.5 if self.values == "zero_one" else 0.0)
            upper = (rows < cut[:, None]).logical_not_()
        else:
            upper, _, _, cut = largest(rows, ones)
        return Split(upper, torch.full_like(cut, low), torch.full_like(cut, high), cut)


def _whole(u: Tensor) -> Tensor:
    """The gradient of a weight whose level is given: all of it."""
    return torch.ones_like(u)


def _closed(values: str, budget: str, tails: str) -> bool:
    """Checks the choices and whether they go together; whether the values are found in closed form."""
    check_choice("values", values, Values)
    check_choice("budget", budget, Budget)
    check_choice("tails", tails, Tails)
    closed = values in ("closed", "zero")
    if budget == "at_most" and values != "closed":
        raise ValueError(f"budget='at_most' compares errors of closed values; use values='closed', got {values!r}")
    if tails == "both" and not closed:
        raise ValueError(f"tails='both' compares errors of closed values; use 'closed' or 'zero', got {values!r}")
    return closed
