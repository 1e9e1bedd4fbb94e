"""What the quantizers that tell weights apart by their size share: a budget, and levels found with the code."""

from abc import ABC, abstractmethod
from functools import partial
from typing import NamedTuple, final

import torch
from torch import Tensor
from typing_extensions import override

from signbit.quantizers.budget import Granularity, check_budget, check_fractions, count, in_billionths
from signbit.quantizers.quantizer import Quantizer
from signbit.quantizers.registry import create_estimator
from signbit.quantizers.signs import SignQuantizer
from signbit.wording import check_choice

__all__ = ["Encoding", "RankedQuantizer", "expect_distinct"]


class Encoding(NamedTuple):
    """A weight as its code and what the code stands for.

    Attributes:
        code: −1 or +1 (or 0, of a ternary weight) in the weight's shape, with the pseudo-gradient.
        low: value of −1, the set bit, shape (filters,).
        high: value of +1, shape (filters,).
    """

    code: Tensor
    low: Tensor
    high: Tensor


class RankedQuantizer(Quantizer, ABC):
    """Quantizer for latent weights, which it ranks; with a density, a budget says how many take the rarer level.

    Args:
        density: fraction of the weights, in (0, 1]; None is no budget.
        granularity: what has levels, and a budget, of its own.
        surrogate: name of the sign quantizer whose surrogate gradient is used, without a scale.
        start: density at the beginning of a schedule, in (0, 1].
        anneal: fraction of the training, in (0, 1], after which the density stands at its target. Until `schedule` is
            called it does: a loaded model has the target density.
        all_allowed: whether a budget of all weights makes sense.
    """

    density: Tensor

    def __init__(
        self,
        *,
        density: float | None,
        granularity: Granularity,
        surrogate: str | SignQuantizer,
        start: float,
        anneal: float,
        all_allowed: bool,
    ) -> None:
        check_choice("granularity", granularity, Granularity)
        check_fractions(density=density, start=start, anneal=anneal)
        estimator = create_estimator(surrogate)
        if density is None:
            super().__init__()
        else:
            super().__init__(density=partial(in_billionths, target=density, start=start, anneal=anneal))
            self.register_buffer("density", torch.tensor(0), persistent=False)
            self.schedule(1.0)
        self.target = density
        self.granularity = granularity
        self.estimator = estimator
        self._all_allowed = all_allowed

    @property
    @abstractmethod
    def symmetric(self) -> bool:
        """Whether low is −high whatever the weight, so that a layer needs no window sum."""

    @abstractmethod
    def attach(self, weight: Tensor) -> None:
        """Checks the budget for the one layer that this belongs to, and makes what depends on its size.

        Args:
            weight: filters first; its values do not matter.

        Raises:
            ValueError: the budget rounds to no weight, or to all.
        """

    @abstractmethod
    def encode(self, weight: Tensor) -> Encoding:
        """Code and levels of a weight, found together.

        Args:
            weight: filters first.

        Raises:
            ValueError: nothing to rank in a layer or filter, or the budget rounds to no weight, or to all.
        """

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x).code

    @final
    @override
    @torch.no_grad()
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        _, low, high = self.encode(weight)
        return low, high

    @final
    def _budget_of(self, n: int) -> int | Tensor | None:
        """How many of n weights take the rarer level now; None where there is no budget.

        Raises:
            ValueError: the target rounds to no weight, or to all.
        """
        self._expect_budget(n)
        return None if self.target is None else count(self.density, n)

    @final
    def _expect_budget(self, n: int) -> None:
        check_budget(self.target, n, granularity=self.granularity, all_allowed=self._all_allowed)


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
