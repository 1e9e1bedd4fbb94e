"""How many weights of a layer or filter take the rarer level, and how that number falls during training."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Granularity", "check_budget", "check_fractions", "count", "density_at", "in_billionths", "rows_of"]

Granularity = Literal["layer", "filter"]

_BILLION = 10**9
# Densities are held in billionths, as integers: float32 would move round(density · n) now and then, half precision
# always.


def density_at(progress: float, *, target: float, start: float = 0.5, anneal: float = 0.6) -> float:
    """Density at a fraction of the training: target + (start − target)·(1 − progress/anneal)³, then the target.

    Args:
        progress: fraction of the training done, 0..1.
        target: density from `anneal` on.
        start: density at the beginning.
        anneal: fraction of the training at which the target is reached, > 0.
    """
    return target + (start - target) * (1 - min(progress / anneal, 1.0)) ** 3


def in_billionths(progress: float, **schedule: float) -> int:
    """`density_at` as an integer number of billionths."""
    return round(density_at(progress, **schedule) * _BILLION)


def count(billionths: Tensor, n: int) -> int | Tensor:
    """round(density · n), at least 1: a tensor while compiling, where any number has to do without compiling again.

    Args:
        billionths: scalar tensor of integers.
        n: number of weights.
    """
    ones = ((billionths * n + _BILLION // 2) // _BILLION).clamp(min=1)
    return ones if torch.compiler.is_compiling() else int(ones)


def rows_of(weight: Tensor, granularity: Granularity) -> Tensor:
    """The weights that share levels and budget, (rows, n): one row for a layer, or one for each filter."""
    return weight.flatten(1) if granularity == "filter" else weight.reshape(1, -1)


def check_fractions(**fractions: float | None) -> None:
    """Checks that every named fraction lies in (0, 1], or is None."""
    for name, fraction in fractions.items():
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError(f"{name} must be in (0, 1], got {fraction}")


def check_budget(target: float | None, n: int, *, granularity: Granularity, all_allowed: bool) -> None:
    """Checks that a density rounds to some of n weights, and not to all of them unless that is allowed."""
    if target is None:
        return
    ones = (round(target * _BILLION) * n + _BILLION // 2) // _BILLION
    if ones == 0 or (ones == n and not all_allowed):
        most = 1 if all_allowed else 1 - 0.5 / n
        raise ValueError(
            f"density {target} of the {n} weights of a {granularity} is {'no' if ones == 0 else 'every'} weight, which "
            f"leaves one level; choose a density between {0.5 / n:.2g} and {most:.2g}"
            f"{', or granularity=layer' if granularity == 'filter' else ''}"
        )
