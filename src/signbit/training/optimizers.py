"""From a recipe to the one optimizer of a model and its schedules."""

import inspect
import math
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from signbit.optim import BAMSProd, Bop, Bop2ndOrder, Hybrid, HyperparameterScheduler, Latent
from signbit.training.recipe import OptimConfig, Recipe, Schedule

__all__ = ["BINARY", "REAL", "build_optimizer", "build_schedulers", "schedule_value"]

REAL: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam,
    "sgd": torch.optim.SGD,
}
"""Optimizers of real parameters; for binary weights they work on latent weights, clipped to ±`clip`."""

BINARY: dict[str, type[Optimizer]] = {"bamsprod": BAMSProd, "bop": Bop, "bop2ndorder": Bop2ndOrder, **REAL}
"""Optimizers of binary weights."""


def build_optimizer(recipe: Recipe, model: nn.Module) -> Hybrid:
    """The recipe's two optimizers over a model, as one.

    Raises:
        ValueError: an unknown optimizer or option (the nearest are named), or a value out of range.
    """
    return Hybrid(model, binary=_factory("optim", recipe.optim, BINARY), real=_factory("real", recipe.real, REAL))


def _factory(key: str, config: OptimConfig, known: dict[str, type[Optimizer]]) -> Callable[[Any], Optimizer]:
    if config.name not in known:
        raise ValueError(f"{key}.name: {_unknown('optimizer', config.name, list(known))}")
    kind = known[config.name]
    options = dict(config.options)
    latent = key == "optim" and config.name in REAL
    clip = float(options.pop("clip", 1.0)) if latent else None
    accepted = [*inspect.signature(kind).parameters][1:] + (["clip"] if latent else [])
    for option in options:
        if option not in accepted:
            raise ValueError(f"{key}.options: {config.name}: {_unknown('option', option, accepted)}")
    for option in config.schedules:
        if not isinstance(options.get(option), float | int):
            numbers = [name for name, value in options.items() if isinstance(value, float | int)]
            raise ValueError(f"{key}.schedules: {option!r} is not a number among the options {', '.join(numbers)}")
    if clip is None:
        return partial(_build, key, kind, options)
    return lambda parameters: Latent(_build(key, kind, options, parameters), clip=clip)


def _build(key: str, kind: type[Optimizer], options: dict[str, Any], parameters: Any) -> Optimizer:
    try:
        return kind(parameters, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}.options: {error}") from None


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3)
    return f"unknown {what} {name!r}; {'nearest' if near else 'known'}: {', '.join(near or known)}"


def build_schedulers(recipe: Recipe, optimizer: Hybrid, steps: int) -> list[HyperparameterScheduler]:
    """Schedules of both members of `optimizer` over a run of `steps` updates, moved once per update."""
    schedulers = []
    for member, config in (("binary", recipe.optim), ("real", recipe.real)):
        moves = {
            option: partial(schedule_value, schedule, float(config.options[option]), steps=steps)
            for option, schedule in config.schedules.items()
        }
        if moves and member in optimizer.members:
            schedulers.append(HyperparameterScheduler(optimizer, moves, groups=optimizer.group_indices(member)))
    return schedulers


def schedule_value(schedule: Schedule, start: float, index: int, *, steps: int) -> float:
    """The value s at update `index`, 0..steps, with p = index/steps and e = `schedule.end`.

    linear: s = start·(1 + (e − 1)·p); cosine: start·(e + (1 − e)·(1 + cos πp)/2); exponential: start·e^p;
    staircase: start·e^(j/stairs) after j = ⌊p·(stairs + 1)⌋ jumps.
    """
    p, end = min(index / steps, 1.0), schedule.end
    match schedule.kind:
        case "constant":
            return start
        case "linear":
            return start * (1 + (end - 1) * p)
        case "cosine":
            return start * (end + (1 - end) * (1 + math.cos(math.pi * p)) / 2)
        case "exponential":
            return start * math.pow(end, p)
        case "staircase":
            return start * math.pow(end, min(int(p * (schedule.stairs + 1)), schedule.stairs) / schedule.stairs)
