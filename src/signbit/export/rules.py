"""The two tables of lowering rules: one rule per module type, one per function or tensor method."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from signbit.packed.bits import Array

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

MODULES: dict[type[nn.Module], Rule] = {}
"""(context, path, module, *inputs) -> value, for exactly this type of module."""

FUNCTIONS: dict[Any, Rule] = {}
"""(context, path, *arguments) -> value, for a function, or for a tensor method by name."""


def lowers(*types: type[nn.Module]) -> Callable[[R], R]:
    """Decorator that makes a function the rule of module types."""

    def add(rule: R) -> R:
        MODULES.update(dict.fromkeys(types, rule))
        return rule

    return add


def lowers_function(*functions: Any) -> Callable[[R], R]:
    """Decorator that makes a function the rule of functions and of methods (given by name)."""

    def add(rule: R) -> R:
        FUNCTIONS.update(dict.fromkeys(functions, rule))
        return rule

    return add


def vector(value: Tensor | float | None, channels: int, default: float = 0.0) -> Array:
    """A parameter of any per-channel shape as float64 (channels,); None becomes `default`."""
    if value is None:
        return np.full(channels, default)
    numbers = torch.as_tensor(value).detach().double().reshape(-1).numpy()
    return np.array(np.broadcast_to(numbers, channels))


def pair(size: Any) -> tuple[int, int]:
    """Torch's int-or-pair as a pair."""
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
