"""Weights of two levels {low, high} instead of ±1, with a budget for how many take the rarer one."""

import warnings
from functools import partial
from typing import Any, Literal, NamedTuple, final, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from signbit.quantizers.budget import Granularity, check_budget, check_fractions, count, in_billionths, rows_of
from signbit.quantizers.quantizer import Quantizer
from signbit.quantizers.registry import create_estimator, register
from signbit.quantizers.sign import code_with_surrogate
from signbit.quantizers.signs import SignQuantizer
from signbit.quantizers.splits import Split, at_most_split, exact_split, free_split, largest, zero_split

__all__ = ["Budget", "Encoding", "Tails", "TwoLevel", "Values", "expect_distinct"]

Values = Literal["closed", "learned", "zero", "zero_one", "signs"]
Budget = Literal["exact", "at_most"]
Tails = Literal["top", "both"]


class Encoding(NamedTuple):
    """A weight as its code and what the code stands for.

    Attributes:
        code: −1 or +1 in the weight's shape, with the pseudo-gradient.
        low: value of −1, the set bit, shape (filters,).
        high: value of +1, shape (filters,).
    """

    code: Tensor
    low: Tensor
    high: Tensor


@register("twolevel")
@final
class TwoLevel(Quantizer):
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

    density: Tensor
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
        closed = _choices(values, budget, tails, granularity)
        if density is None and (budget, tails) != ("exact", "top"):
            raise ValueError(f"budget={budget!r} and tails={tails!r} need density=, a fraction in (0, 1], got None")
        check_fractions(density=density, start=start, anneal=anneal)
        if density is not None and budget == "exact" and 0.5 < density < 1:
            warnings.warn(
                f"density={density} is above one half, so the roles are swapped: low is the rarer level, which "
                f"{1 - density:.3g} of the weights take, and which packed files list",
                stacklevel=2,
            )
        estimator = create_estimator(surrogate)
        if density is None:
            super().__init__()
        else:
            super().__init__(density=partial(in_billionths, target=density, start=start, anneal=anneal))
            self.register_buffer("density", torch.tensor(0), persistent=False)
            self.schedule(1.0)
        self.values = values
        self.target = density
        self.budget = budget
        self.tails = tails
        self.granularity = granularity
        self.estimator = estimator
        self._ranked = closed or density is not None

    @property
    def symmetric(self) -> bool:
        """Whether low is −high whatever the weight, so that a layer needs no window sum."""
        return self.values == "signs"

    def attach(self, weight: Tensor) -> None:
        """Makes what depends on the weight of the one layer that this belongs to: the learned values.

        Args:
            weight: filters first; its values do not matter.

        Raises:
            ValueError: the budget rounds to no weight or to all, or a learned quantizer already serves other filters.
        """
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

    def encode(self, weight: Tensor) -> Encoding:
        """Code and levels of a weight, found together.

        Args:
            weight: filters first.

        Raises:
            ValueError: all weights of a layer or filter are equal, or the budget rounds to none or all of them.
        """
        rows = rows_of(weight.detach(), self.granularity)
        if self._ranked:
            expect_distinct(rows, self.granularity)
        split = self._split(rows)
        code = split.upper.view(weight.shape).to(weight.dtype).mul_(2).sub_(1)
        cut = split.cut.view(-1, *(1,) * (weight.dim() - 1))
        code = code_with_surrogate(weight - cut, code, self.estimator.surrogate)
        low, high = split.low, split.high
        if self.values == "learned":
            low, high = self.middle - self.spread, self.middle + self.spread
        filters = weight.shape[0]
        return Encoding(code, low.expand(filters), high.expand(filters))

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x).code

    @override
    def scale(self, weight: Tensor) -> Tensor | None:
        if self.symmetric:
            return None
        _, low, high = self.encode(weight)
        return (high - low) / 2

    @override
    @torch.no_grad()
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        _, low, high = self.encode(weight)
        return low, high

    @override
    def extra_repr(self) -> str:
        names = ("values", "target", "budget", "tails", "granularity")
        return ", ".join(f"{'density' if name == 'target' else name}={getattr(self, name)}" for name in names)

    def _split(self, rows: Tensor) -> Split:
        ones, both = self._ones(rows.shape[1]), self.tails == "both"
        if self.values == "closed":
            if ones is None:
                return free_split(rows)
            return (exact_split if self.budget == "exact" else at_most_split)(rows, ones, both_tails=both)
        if self.values == "zero":
            return zero_split(rows, ones, both_tails=both)
        low, high = (0.0, 1.0) if self.values == "zero_one" else (-1.0, 1.0)
        if ones is None:
            cut = rows.new_full((len(rows),), 0.5 if self.values == "zero_one" else 0.0)
            upper = (rows < cut[:, None]).logical_not_()
        else:
            upper, _, _, cut = largest(rows, ones)
        return Split(upper, torch.full_like(cut, low), torch.full_like(cut, high), cut)

    def _ones(self, n: int) -> int | Tensor | None:
        """How many of n weights take the rarer level now."""
        if self.target is None:
            return None
        self._expect_budget(n)
        return count(self.density, n)

    def _expect_budget(self, n: int) -> None:
        check_budget(self.target, n, granularity=self.granularity, all_allowed=self.budget == "at_most")


def _choices(values: str, budget: str, tails: str, granularity: str) -> bool:
    """Checks the choices and whether they go together; whether the values are found in closed form."""
    chosen: tuple[tuple[str, str, Any], ...] = (
        ("values", values, Values),
        ("budget", budget, Budget),
        ("tails", tails, Tails),
        ("granularity", granularity, Granularity),
    )
    for name, value, allowed in chosen:
        if value not in get_args(allowed):
            raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, got {value!r}")
    closed = values in ("closed", "zero")
    if budget == "at_most" and values != "closed":
        raise ValueError(f"budget='at_most' compares errors of closed values; use values='closed', got {values!r}")
    if tails == "both" and not closed:
        raise ValueError(f"tails='both' compares errors of closed values; use 'closed' or 'zero', got {values!r}")
    return closed


def expect_distinct(rows: Tensor, granularity: Granularity, *, what: str = "values") -> None:
    """Checks, unless compiling, that no row (rows, n) holds one number only, among which nothing can be ranked."""
    if torch.compiler.is_compiling():
        return
    constant = rows.amax(1) == rows.amin(1)
    if bool(constant.any()):
        value = rows[constant][0, 0].item()
        raise ValueError(
            f"weight: all {rows.shape[1]} {what} of a {granularity} are {value:.6g}, which is one level, not two; "
            "initialise it with distinct values"
        )
