"""From a recipe to the one optimizer of a model and its schedules."""

import inspect
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from signbit.optim import (
    BAMSProd,
    Bop,
    Bop2ndOrder,
    Constant,
    Cosine,
    Exponential,
    Hybrid,
    HyperparameterScheduler,
    Latent,
    LatentFree,
    Linear,
    Polynomial,
    Staircase,
    WarmUp,
)
from signbit.params import named_binary_parameters, named_real_weights
from signbit.training.recipe import OptimConfig, Recipe, Schedule
from signbit.wording import unknown

__all__ = ["BINARY", "REAL", "build_optimizer", "build_schedulers", "is_latent_free", "make_schedule"]

REAL: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "radam": torch.optim.RAdam,
    "sgd": torch.optim.SGD,
}
"""Optimizers of real parameters; for binary weights they work on latent weights, clipped to ±`clip` unless null."""

BINARY: dict[str, type[Optimizer]] = {"bamsprod": BAMSProd, "bop": Bop, "bop2ndorder": Bop2ndOrder, **REAL}
"""Optimizers of binary weights."""


def is_latent_free(name: str) -> bool:
    """Whether an optimizer keeps the weights themselves at ±1; False of a name that is none of `BINARY`."""
    return issubclass(BINARY.get(name, Optimizer), LatentFree)


def build_optimizer(recipe: Recipe, model: nn.Module) -> Hybrid:
    """The recipe's two optimizers over a model, as one.

    In a model without binary weights, `recipe.optim` has the weights of its binary layers, which are real for now; so
    a stage with real weights may decay them, and them alone. If there are no such layers it is not used.

    Raises:
        ValueError: an unknown optimizer or option (the nearest are named), or a value out of range.
    """
    binary, real = _factory("optim", recipe.optim, BINARY), _factory("real", recipe.real, REAL)
    if any(named_binary_parameters(model)):
        return Hybrid(model, binary=binary, real=real)
    weights = list(named_real_weights(model))
    if not weights:
        return Hybrid(model, binary=None, real=real)
    if is_latent_free(recipe.optim.name):
        raise ValueError(
            f"optim.name: {recipe.optim.name} works on weights of ±1, and those of this network are real "
            "(weight_quantizer null); take an optimizer with latent weights, such as adam"
        )
    claimed = {weight for _, weight in weights}
    others = [pair for pair in model.named_parameters() if pair[1] not in claimed]
    return Hybrid(model, binary=binary(weights), real=real(others))


def _factory(key: str, config: OptimConfig, known: dict[str, type[Optimizer]]) -> Callable[[Any], Optimizer]:
    if config.name not in known:
        raise ValueError(f"{key}.name: {unknown('optimizer', config.name, known)}")
    kind = known[config.name]
    options = dict(config.options)
    latent = key == "optim" and config.name in REAL
    clip = options.pop("clip", 1.0) if latent else None
    accepted = [*inspect.signature(kind).parameters][1:] + (["clip"] if latent else [])
    for place, given in (("options", options), *((f"groups.{p}", g) for p, g in config.groups.items())):
        for option in given:
            if option not in accepted:
                raise ValueError(f"{key}.{place}: {config.name}: {unknown('option', option, accepted)}")
            if place != "options" and option in config.schedules:
                raise ValueError(
                    f"{key}.{place}: {option} has a schedule, which moves it for all; leave one of them out"
                )
    for option in config.schedules:
        numbers = [name for name, value in options.items() if type(value) in (float, int)]
        if option not in numbers:
            raise ValueError(f"{key}.schedules: {option!r} is not a number among the options {', '.join(numbers)}")
    if clip is None:
        return partial(_build, key, kind, options, config.groups)
    return lambda parameters: Latent(_build(key, kind, options, config.groups, parameters), clip=float(clip))


def _build(
    key: str,
    kind: type[Optimizer],
    options: dict[str, Any],
    groups: dict[str, dict[str, Any]],
    parameters: list[tuple[str, nn.Parameter]],
) -> Optimizer:
    try:
        return kind(_grouped(groups, parameters), **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}.options: {error}") from None


def _grouped(groups: dict[str, dict[str, Any]], parameters: list[tuple[str, nn.Parameter]]) -> Any:
    """The parameters as torch takes them: those that no pattern fits, then a group for each pattern."""
    taken: dict[str, list[tuple[str, nn.Parameter]]] = {pattern: [] for pattern in ("", *groups)}
    for name, parameter in parameters:
        taken[next((pattern for pattern in groups if fnmatch(name, pattern)), "")].append((name, parameter))
    for pattern in groups:
        if not taken[pattern]:
            raise ValueError(f"groups: {pattern!r} fits none of the parameters, such as {parameters[0][0]}")
    return [{"params": pairs, **groups.get(pattern, {})} for pattern, pairs in taken.items() if pairs]


def build_schedulers(recipe: Recipe, optimizer: Hybrid, steps: int) -> list[HyperparameterScheduler]:
    """Schedules of both members of `optimizer` over a run of `steps` updates, moved once per update.

    Raises:
        ValueError: a schedule whose parameters the model does not have, or a warm-up as long as the run.
    """
    schedulers = []
    for member, key, config in (("binary", "optim", recipe.optim), ("real", "real", recipe.real)):
        moves = {
            option: make_schedule(
                schedule, float(config.options[option]), steps=steps, epochs=recipe.epochs, key=f"{key}.{option}"
            )
            for option, schedule in config.schedules.items()
        }
        if moves and member not in optimizer.members and key == "real":
            raise ValueError("real.schedules reach nothing: the model has no real parameters; leave them out")
        if moves and member in optimizer.members:
            schedulers.append(HyperparameterScheduler(optimizer, moves, groups=optimizer.group_indices(member)))
    return schedulers


def make_schedule(
    schedule: Schedule, start: float, *, steps: int, epochs: int, key: str = "schedule"
) -> Callable[[int], float]:
    """A recipe's schedule as a function of the update's index, which gives `start` at 0 (after a warm-up, if any).

    Args:
        schedule: how the value moves.
        start: the value before it does.
        steps: updates of the run.
        epochs: of the run.
        key: what to call it in errors.
    """
    warmup = round(schedule.warmup * steps / epochs)
    if warmup >= steps:
        raise ValueError(f"{key}: a warmup of {schedule.warmup:g} epochs leaves nothing of {epochs}; make it shorter")
    try:
        moving = _without_warmup(schedule, start, steps - warmup, steps / epochs)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if schedule.per_epoch:
        moving = partial(_at_the_end_of_its_epoch, moving, steps // epochs)
    return moving if warmup == 0 else WarmUp(warmup, moving)


def _at_the_end_of_its_epoch(moving: Callable[[int], float], epoch: int, index: int) -> float:
    return moving((index // epoch + 1) * epoch)


def _without_warmup(schedule: Schedule, start: float, steps: int, epoch: float) -> Callable[[int], float]:
    end = start * schedule.end
    match schedule.kind:
        case "constant":
            return Constant(start)
        case "linear":
            return Linear(start, end, steps)
        case "polynomial":
            return Polynomial(start, end, steps, schedule.power)
        case "cosine":
            return Cosine(start, end, steps)
        case "exponential":
            return Exponential(start, end, steps)
        case "staircase":
            if schedule.every is not None:
                return Staircase(start, schedule.end, max(1.0, schedule.every * epoch))
            stairs = schedule.stairs
            return Staircase(start, schedule.end ** (1 / stairs), max(1.0, steps / (stairs + 1)), stairs)
