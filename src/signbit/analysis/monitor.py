"""How the binary weights move during training: the share that flips in a step, per layer and in all."""

import math
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn
from torch.optim import Optimizer

from signbit.optim import FlipCounter
from signbit.params import named_binary_parameters

__all__ = ["FlipRates", "Monitor"]

FLOOR = math.exp(-9)


@dataclass(frozen=True)
class FlipRates:
    """Mean share of weights that flip in one step (the FF ratio of 2106.11309).

    Attributes:
        total: over all binary weights.
        layers: by the name of the weight.
    """

    total: float
    layers: dict[str, float]

    @property
    def pi(self) -> float:
        """π = ln(total + e⁻⁹) (1906.02107, eq. 7): at least −9, and saying little below −8."""
        return math.log(self.total + FLOOR)


@final
class Monitor:
    """Averages the flips of an optimizer's steps.

    Watching costs two comparisons of every binary weight; every tenth step keeps that near 1 % of a training step.

    Args:
        model: whose binary weights are watched.
        optimizer: whose steps are watched; it need not be latent-free.
        every: watch one step in so many, beginning with the first.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = 10) -> None:
        weights = dict(named_binary_parameters(model))
        self._sizes = {name: weight.numel() for name, weight in weights.items()}
        self._every = every
        self._counter = FlipCounter(optimizer, weights.items(), every=every)
        self._handle = optimizer.register_step_post_hook(self._add)
        self._reset()

    def _reset(self) -> None:
        self._watched = 0
        self._sums: dict[str, Tensor] = {}

    def _add(self, *_: Any) -> None:
        if (self._counter.steps - 1) % self._every == 0:
            self._watched += 1
            for name, count in self._counter.counts.items():
                self._sums[name] = self._sums[name] + count if name in self._sums else count

    def read(self) -> FlipRates | None:
        """Averages over the steps watched since the last call; None if there were none."""
        if not self._watched:
            return None
        flips = {name: int(count) / self._watched for name, count in self._sums.items()}
        rates = {name: flips[name] / size for name, size in self._sizes.items()}
        self._reset()
        return FlipRates(sum(flips.values()) / sum(self._sizes.values()), rates)

    def state_dict(self) -> dict[str, Any]:
        """What was seen since the last `read`, for a monitor that goes on after an interruption."""
        return {"watched": self._watched, "steps": self._counter.steps, "sums": dict(self._sums)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what another monitor of the same weights has seen."""
        self._watched, self._counter.steps = state_dict["watched"], state_dict["steps"]
        self._sums = dict(state_dict["sums"])

    def remove(self) -> None:
        """Stops watching."""
        self._handle.remove()
        self._counter.remove()
