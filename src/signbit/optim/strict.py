"""What the optimizers of binary weights have in common: they read everything before they write anything."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

__all__ = ["StrictOptimizer", "blocks", "named"]

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
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._check_group(group, scheduled=True)
            for name, weight in named(group):
                if weight.grad is not None:
                    _check_gradient(name, weight.grad)
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

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` gave.

        Raises:
            ValueError: the state belongs to another optimizer or to tensors of another shape; nothing is restored.
        """
        saved_ids = [index for group in state_dict["param_groups"] for index in group["params"]]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        saved = {weight: state_dict["state"].get(index, {}) for index, weight in zip(saved_ids, weights, strict=False)}
        self._check_saved(state_dict["param_groups"], saved)
        super().load_state_dict(state_dict)
        for weight, state in saved.items():
            # torch has cast the statistics to the weight's dtype, and in bfloat16 they stall.
            for key in self.statistics if state else ():
                self.state[weight][key] = state[key].to(weight.device, torch.float32, copy=True)

    def _check_saved(self, groups: Iterable[Mapping[str, Any]], saved: Mapping[Tensor, Mapping[str, Any]]) -> None:
        kind = type(self).__name__
        for group in groups:
            missing = sorted(self.defaults.keys() - group.keys())
            if missing:
                raise ValueError(
                    f"{kind} cannot load the state of another optimizer: a saved group has no {', '.join(missing)}; "
                    "build the optimizer that saved it"
                )
        expected = {*self.statistics, *self.masses}
        for weight, state in saved.items():
            if state and state.keys() != expected:
                raise ValueError(
                    f"{kind} cannot load the state of another optimizer: it holds {', '.join(sorted(map(str, state)))} "
                    f"instead of {', '.join(sorted(expected))}; build the optimizer that saved it"
                )
            for key in self.statistics if state else ():
                if state[key].shape != weight.shape:
                    raise ValueError(
                        f"{kind} cannot load this state: {key} has shape {tuple(state[key].shape)}, its weight "
                        f"{tuple(weight.shape)}; load it for the model it was saved with"
                    )

    def _initialise(self, weight: Tensor) -> None:
        state = self.state[weight]
        if not state:
            state.update(dict.fromkeys(self.masses, 0.0))
            for key in self.statistics:
                state[key] = torch.zeros_like(weight, dtype=torch.float32, memory_format=torch.preserve_format)


def named(group: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yields name and tensor of each parameter of a group; its position where it has no name."""
    names = group.get("param_names") or [f"parameter {index}" for index in range(len(group["params"]))]
    yield from zip(names, group["params"], strict=True)


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


def _check_gradient(name: str, gradient: Tensor) -> None:
    if gradient.layout != torch.strided or gradient.is_complex():
        raise ValueError(
            f"{name}: the gradient must be dense and real, got {gradient.layout} of {gradient.dtype}; "
            "give this parameter to another optimizer"
        )
    if gradient.numel() > 0:
        low, high = gradient.aminmax()
        if not math.isfinite(low.float() + high.float()):
            raise ValueError(
                f"{name}: its gradient is not finite, so that no weight was changed; lower the learning rate of the "
                "real parameters, or skip such steps as torch.amp.GradScaler does"
            )
