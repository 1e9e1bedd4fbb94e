"""What the optimizers of binary weights have in common: they read everything before they write anything."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from signbit.optim.checks import check_dense, check_finite, check_saved, named, saved_states

__all__ = ["StrictOptimizer", "blocks"]

# Elements of a slice: its temporaries stay in the cache and their memory is reused (benchmarks/optim_step.py).
BLOCK = 1 << 18


class StrictOptimizer(Optimizer, ABC):
    """Optimizer whose statistics are float32 whatever the weight's dtype, and whose step does all or nothing.

    A step reads every gradient before it writes: a sparse or non-finite gradient, or a weight it cannot work with, is
    refused by name and leaves all as it was. A group whose `lr` a schedule has brought to 0 is frozen.

    Args:
        params: tensors, groups, or pairs of name and tensor (`model.named_parameters()`); names appear in errors.
        defaults: hyper-parameters of groups that do not say otherwise, `lr` among them.

    Attributes:
        statistics: names of the state's tensors, each in the weight's shape.
        masses: names of the state's numbers.
    """

    statistics: ClassVar[tuple[str, ...]]
    masses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._versions: dict[Tensor, int] = {}
        self._steps = 0
        super().__init__(params, defaults)

    @abstractmethod
    def _check_group(self, group: Mapping[str, Any], *, scheduled: bool) -> None:
        """Refuses hyper-parameters out of range; a scheduled rate may be 0."""

    @abstractmethod
    def _check_weight(self, name: str, weight: Tensor) -> None:
        """Refuses a weight that somebody else has written values into that the update cannot work with."""

    @abstractmethod
    def _update(self, group: Mapping[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        """Updates state and weights of one group; gradients are finite and float32."""

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self._check_group({**self.defaults, **param_group}, scheduled=False)
        super().add_param_group(param_group)

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one update.

        Args:
            closure: evaluates the model again and returns the loss, as in torch.
        """
        self._steps += 1
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._check_group(group, scheduled=True)
            for name, weight in named(group):
                if weight.grad is not None:
                    check_dense(name, weight.grad)
                    check_finite(name, weight.grad, self._steps)
                    # Every write in place counts the version up: weights nobody else has touched need no second look.
                    if self._versions.get(weight) != weight._version:
                        self._check_weight(name, weight)
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights and float(group["lr"]) > 0:
                for weight in weights:
                    self._initialise(weight)
                self._update(group, weights, [weight.grad.float() for weight in weights])
                self._versions.update((weight, weight._version) for weight in weights)
        return loss

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._versions = {}
        self._steps = 0

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave.

        Raises:
            ValueError: the state belongs to another optimizer or to tensors of another shape; nothing is restored.
        """
        self.check_state_dict(state_dict)
        saved = saved_states(self, state_dict)
        super().load_state_dict(state_dict)
        for weight, state in saved:
            # torch has cast the statistics to the weight's dtype, and in bfloat16 they stall.
            for key in self.statistics if state else ():
                self.state[weight][key] = state[key].to(weight.device, torch.float32, copy=True)

    def check_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Refuses what `load_state_dict` would, and restores nothing."""
        check_saved(self, state_dict, shaped=self.statistics, expected={*self.statistics, *self.masses})

    def _initialise(self, weight: Tensor) -> None:
        state = self.state[weight]
        if not state:
            state.update(dict.fromkeys(self.masses, 0.0))
            for key in self.statistics:
                state[key] = torch.zeros_like(weight, dtype=torch.float32, memory_format=torch.preserve_format)


def blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yields aligned slices of tensors of one shape along their first dimension, small enough for a CPU's cache.

    An update is element-wise, so that slices change nothing but its speed.
    """
    first = tensors[0]
    if first.device.type != "cpu" or first.numel() <= BLOCK:
        yield tensors
    else:
        rows = max(1, BLOCK * len(first) // first.numel())
        yield from zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)
