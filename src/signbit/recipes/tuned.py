"""Optimizer settings that several recipes share; docs/results.md says how they were found."""

from signbit.training import OptimConfig, Schedule

__all__ = ["ADAM", "BOP", "BOP2NDORDER", "REAL_ADAM"]

_TO_ZERO = {"lr": Schedule(kind="linear", end=0.0)}

REAL_ADAM = OptimConfig(name="adam", options={"lr": 1e-2}, schedules=_TO_ZERO)
"""Batch norms, stems and classifiers."""

ADAM = OptimConfig(name="adam", options={"lr": 1e-2, "clip": 1.0}, schedules=_TO_ZERO)
BOP = OptimConfig(name="bop", options={"lr": 1e-3, "threshold": 1e-7}, schedules=_TO_ZERO)
BOP2NDORDER = OptimConfig(
    name="bop2ndorder", options={"lr": 1e-3, "sigma": 1e-3, "threshold": 1e-2}, schedules=_TO_ZERO
)
