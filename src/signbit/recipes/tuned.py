"""Optimizer settings in the few words that recipes differ by; docs/results.md says how the values were found."""

from dataclasses import replace

from signbit.training import OptimConfig, Recipe, Schedule

__all__ = ["REAL_ADAM", "adam", "amsgrad", "bamsprod", "bop", "bop2ndorder", "sgd", "variant", "with_untuned"]

_TO_ZERO = {"lr": Schedule(kind="linear", end=0.0)}

REAL_ADAM = OptimConfig(name="adam", options={"lr": 1e-2}, schedules=_TO_ZERO)
"""For batch norms, stems and classifiers."""


def adam(*, lr: float) -> OptimConfig:
    """Adam on latent weights clipped to ±1, lr falling to 0."""
    return OptimConfig(name="adam", options={"lr": lr, "clip": 1.0}, schedules=_TO_ZERO)


def amsgrad(*, lr: float) -> OptimConfig:
    """AMSGrad on latent weights clipped to ±1, lr falling to 0: Adam with torch's `amsgrad`."""
    return OptimConfig(name="adam", options={"lr": lr, "amsgrad": True, "clip": 1.0}, schedules=_TO_ZERO)


def sgd(*, lr: float) -> OptimConfig:
    """SGD with momentum .9 on latent weights clipped to ±1, lr falling to 0."""
    return OptimConfig(name="sgd", options={"lr": lr, "momentum": 0.9, "clip": 1.0}, schedules=_TO_ZERO)


def bamsprod(*, lr: float, kappa: float) -> OptimConfig:
    """BAMSProd (reconstruction) on latent weights, lr falling to 0."""
    return OptimConfig(name="bamsprod", options={"lr": lr, "kappa": kappa}, schedules=_TO_ZERO)


def bop(*, lr: float, threshold: float) -> OptimConfig:
    """Bop, γ = lr falling to 0."""
    return OptimConfig(name="bop", options={"lr": lr, "threshold": threshold}, schedules=_TO_ZERO)


def bop2ndorder(*, lr: float, sigma: float, threshold: float) -> OptimConfig:
    """Bop2ndOrder without correction, γ = lr falling to 0."""
    options = {"lr": lr, "sigma": sigma, "threshold": threshold}
    return OptimConfig(name="bop2ndorder", options=options, schedules=_TO_ZERO)


def with_untuned(recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
    """The recipes, and beside them BAMSProd, AMSGrad and SGD where there are none: **not tuned**.

    BAMSProd and AMSGrad get the rate that latent Adam was tuned to; SGD gets 1, because its steps shrink with the
    gradient.
    """
    rate = next(recipe.optim.options["lr"] for recipe in recipes if recipe.optim.name == "adam")
    known = {variant(recipe) for recipe in recipes}
    more = (bamsprod(lr=rate, kappa=3.0), amsgrad(lr=rate), sgd(lr=1.0))
    added = tuple(replace(recipes[0], optim=optim) for optim in more)
    return recipes + tuple(recipe for recipe in added if variant(recipe) not in known)


def variant(recipe: Recipe) -> str:
    """What `--optim` calls the recipe's settings: the optimizer's name, or "amsgrad" for Adam with it."""
    return "amsgrad" if recipe.optim.options.get("amsgrad") else recipe.optim.name
