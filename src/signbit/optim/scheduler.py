"""What moves any hyper-parameters of an optimizer's groups along their schedules."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from torch import Tensor
from torch.optim import Optimizer

__all__ = ["HyperparameterScheduler"]

SKIPS = 64
"""Steps that an optimizer may miss before its first one: torch.amp.GradScaler skips fewer to find its scale."""


@final
class HyperparameterScheduler:
    """Sets any keys of an optimizer's groups from functions of the step index.

    The first update sees index 0: construct it before the first step, and call `step` after each of the optimizer's.

        HyperparameterScheduler(bop, {"lr": Linear(1e-2, 1e-5, 500_000), "threshold": Linear(1e-5, 1e-8, 500_000)})

    A schedule that does not reach its optimizer is an error: if a step finds another value than the schedule has set,
    or if the optimizer makes none of the first 64 (a GradScaler skips some).

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
        if self.schedules and not self.groups:
            raise ValueError("groups: a schedule of no group reaches nothing; name groups or leave it None")
        for position in self.groups:
            if position not in range(len(optimizer.param_groups)):
                raise ValueError(f"groups: there is no group {position}, only 0..{len(optimizer.param_groups) - 1}")
            group = optimizer.param_groups[position]
            for key in self.schedules:
                if key not in group or key in ("params", "param_names"):
                    known = ", ".join(sorted(group.keys() - {"params", "param_names"}))
                    raise ValueError(f"group {position} has no hyper-parameter {key!r}, it has {known}")
        self._missed: int | None = 0
        optimizer.register_step_pre_hook(self._expect)
        self._apply(0)

    def _apply(self, index: int) -> None:
        self.index = index
        self.values = {key: schedule(index) for key, schedule in self.schedules.items()}
        for position in self.groups:
            group = self.optimizer.param_groups[position]
            for key, value in self.values.items():
                # A tensor, such as a compiled step may want, keeps its place.
                group[key] = group[key].fill_(value) if isinstance(group[key], Tensor) else value

    def _expect(self, optimizer: Optimizer, *_: Any) -> None:
        self._missed = None
        for position in self.groups:
            group = optimizer.param_groups[position]
            for key, value in self.values.items():
                if not isinstance(group[key], Tensor) and group[key] != value:
                    raise ValueError(
                        f"{key} of group {position} is {group[key]} where its schedule has set {value} (index "
                        f"{self.index}): let only one schedule drive it, and load this scheduler's state with the "
                        "optimizer's"
                    )

    def step(self) -> None:
        """Moves to the next index; call it after the optimizer's step.

        Raises:
            ValueError: the optimizer has made no step since the schedule began.
        """
        if self._missed is not None:
            self._missed += 1
            if self._missed > SKIPS:
                raise ValueError(
                    f"{type(self.optimizer).__name__} has made none of {self._missed} steps, so that the schedule of "
                    f"{', '.join(self.schedules)} reaches nothing; give the scheduler the optimizer that steps"
                )
        self._apply(self.index + 1)

    def state_dict(self) -> dict[str, Any]:
        """Gives the index; the functions are the caller's."""
        return {"index": self.index}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes back to a saved index and sets the values that belong to it."""
        self._apply(int(state_dict["index"]))
