"""Optimizer settings in the few words that recipes differ by; docs/results.md says how the values were found."""

from signbit.training import OptimConfig, Schedule

__all__ = ["REAL_ADAM", "adam", "bamsprod", "bop", "bop2ndorder"]

_TO_ZERO = {"lr": Schedule(kind="linear", end=0.0)}

REAL_ADAM = OptimConfig(name="adam", options={"lr": 1e-2}, schedules=_TO_ZERO)
"""For batch norms, stems and classifiers."""


def adam(*, lr: float) -> OptimConfig:
    """Adam on latent weights clipped to ±1, lr falling to 0."""
    return OptimConfig(name="adam", options={"lr": lr, "clip": 1.0}, schedules=_TO_ZERO)


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
