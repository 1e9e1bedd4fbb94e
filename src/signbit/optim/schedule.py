"""Schedules of hyper-parameters other than the learning rate, per step."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from torch.optim import Optimizer

__all__ = ["HyperparameterScheduler", "Linear", "Staircase"]


@dataclass(frozen=True)
class Linear:
    """Straight line s(t) = start + (end − start) · min(t, steps)/steps.

    Args:
        start: value at index 0.
        end: value from index `steps` on.
        steps: length of the ramp, ≥ 1.
    """

    start: float
    end: float
    steps: int

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.start + (self.end - self.start) * min(index, self.steps) / self.steps


@dataclass(frozen=True)
class Staircase:
    """Steps down s(t) = start · factor^⌊t/period⌋.

    Args:
        start: value at index 0.
        factor: what each stair multiplies by.
        period: step indices of a stair, ≥ 1.
    """

    start: float
    factor: float
    period: int

    def __call__(self, index: int) -> float:
        """Gives the value at a step index ≥ 0."""
        return self.start * self.factor ** (index // self.period)


@final
class HyperparameterScheduler:
    """Sets any keys of an optimizer's groups from functions of the step index.

    The first update sees index 0: construct it before the first step, and call `step` after each of the optimizer's.

        HyperparameterScheduler(bop, {"lr": Linear(1e-2, 1e-5, 500_000), "threshold": Linear(1e-5, 1e-8, 500_000)})

    Args:
        optimizer: any torch optimizer; a member of a `Hybrid` is one too (`hybrid.members["binary"]`).
        schedules: key of the groups → function of the step index, 0, 1, 2, ...
        groups: indices of the groups it drives; None drives all.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: Mapping[str, Callable[[int], float]],
        *,
        groups: Iterable[int] | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.schedules = dict(schedules)
        self.groups = tuple(range(len(optimizer.param_groups)) if groups is None else groups)
        for position in self.groups:
            if position not in range(len(optimizer.param_groups)):
                raise ValueError(f"groups: there is no group {position}, only 0..{len(optimizer.param_groups) - 1}")
            group = optimizer.param_groups[position]
            for key in self.schedules:
                if key not in group or key in ("params", "param_names"):
                    known = ", ".join(sorted(group.keys() - {"params", "param_names"}))
                    raise ValueError(f"group {position} has no hyper-parameter {key!r}, it has {known}")
        self._apply(0)

    def _apply(self, index: int) -> None:
        self.index = index
        for key, schedule in self.schedules.items():
            value = schedule(index)
            for position in self.groups:
                self.optimizer.param_groups[position][key] = value

    def step(self) -> None:
        """Moves to the next index; call it after the optimizer's step."""
        self._apply(self.index + 1)

    def state_dict(self) -> dict[str, Any]:
        """Gives the index; the functions are the caller's."""
        return {"index": self.index}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes back to a saved index and sets the values that belong to it."""
        self._apply(int(state_dict["index"]))
