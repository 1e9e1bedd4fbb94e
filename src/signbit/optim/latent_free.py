"""What optimizers without latent weights have in common: their weights are ±1 and a step flips some of them."""

import math
from abc import ABC
from typing import final

from torch import Tensor
from typing_extensions import override

from signbit.optim.strict import StrictOptimizer

__all__ = ["LatentFree", "Tensors", "check_rate", "check_threshold", "use_foreach"]

Tensors = list[Tensor] | tuple[Tensor, ...]


class LatentFree(StrictOptimizer, ABC):
    """Optimizer of weights that are ±1: it keeps statistics of the gradient and flips signs, without latent weights.

    A weight that is not ±1 is refused by name. Its groups have `lr` and `foreach`.
    """

    @final
    @override
    def _check_weight(self, name: str, weight: Tensor) -> None:
        if not bool((weight.abs() == 1).all()):
            raise ValueError(
                f"{name}: {type(self).__name__} needs weights of -1 and +1 and found others; "
                "Hybrid(model, binary=...) sets them, or copy signbit.quantizers.sign(weight) into the weight"
            )


def use_foreach(choice: bool | None, weights: list[Tensor]) -> bool:
    """Whether to update all tensors by few kernels: as chosen, else wherever a launch costs more than the cache."""
    return weights[0].device.type != "cpu" if choice is None else choice


def check_rate(name: str, value: float, *, scheduled: bool) -> None:
    """Refuses the rate of an average outside (0, 1]; a scheduled one may be 0, which freezes it."""
    if not (0 < value <= 1 or (scheduled and value == 0)):
        raise ValueError(f"{name} must be in {'[0' if scheduled else '(0'}, 1], got {value}")


def check_threshold(value: float) -> None:
    """Refuses a threshold below 0 or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"threshold must be >= 0 and finite, got {value}")
