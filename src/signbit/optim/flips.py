"""How many binary weights an optimizer's step has flipped."""

from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["FlipCounter"]


@final
class FlipCounter:
    """Counts the sign changes of each step, of any optimizer: without latent weights, with them, or a `Hybrid`.

    It compares signs before and after a step, from hooks, so that an optimizer nobody watches pays nothing and every
    optimizer is measured alike. sign(0) = +1.

    Args:
        optimizer: whose steps are watched.
        named_parameters: names and tensors to watch, usually `named_binary_parameters(model)`.
        every: watch the first step of each so many.

    Attributes:
        counts: name → flips (int64 scalar tensor) of the last watched step; empty before the first.
        steps: number of steps seen.
    """

    def __init__(self, optimizer: Optimizer, named_parameters: Iterable[tuple[str, Tensor]], *, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every must be >= 1, got {every}")
        self.counts: dict[str, Tensor] = {}
        self.steps = 0
        self._parameters = dict(named_parameters)
        self._every = every
        self._before: dict[str, Tensor] = {}
        self._handles = (
            optimizer.register_step_pre_hook(self._remember),
            optimizer.register_step_post_hook(self._count),
        )

    def rate(self) -> float:
        """Flips per watched weight in the last watched step."""
        total = sum(parameter.numel() for parameter in self._parameters.values())
        return sum(int(count) for count in self.counts.values()) / total

    def remove(self) -> None:
        """Stops watching."""
        for handle in self._handles:
            handle.remove()

    def _remember(self, *_: Any) -> None:
        if self.steps % self._every == 0:
            self._before = {name: parameter.detach() < 0 for name, parameter in self._parameters.items()}

    def _count(self, *_: Any) -> None:
        if self._before:
            self.counts = {
                name: torch.count_nonzero((self._parameters[name].detach() < 0) ^ before)
                for name, before in self._before.items()
            }
            self._before = {}
        self.steps += 1
