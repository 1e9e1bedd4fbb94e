"""What a step of an optimizer has changed in the binary weights."""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from signbit.params import named_binary_parameters

__all__ = ["UpdateRecorder"]


@final
class UpdateRecorder:
    """Keeps Δw of the last step, so it costs a copy of all binary weights: for a look now and then, not for training.

        with UpdateRecorder(model, optimizer) as recorder:
            optimizer.step()
        still = {name: channel_magnitude(update) for name, update in recorder.updates.items()}

    Args:
        model: whose binary weights are watched; latent ones move a little, ±1 ones by ±2 or not at all.
        optimizer: whose steps are watched.

    Attributes:
        updates: name → w after the last step − w before it; empty before the first.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.updates: dict[str, Tensor] = {}
        self._weights = dict(named_binary_parameters(model))
        self._before: dict[str, Tensor] = {}
        self._handles = (
            optimizer.register_step_pre_hook(self._remember),
            optimizer.register_step_post_hook(self._subtract),
        )

    def __enter__(self) -> "UpdateRecorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Stops watching; the last updates stay."""
        for handle in self._handles:
            handle.remove()

    def _remember(self, *_: Any) -> None:
        self._before = {name: weight.detach().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def _subtract(self, *_: Any) -> None:
        self.updates = {name: weight - self._before.pop(name) for name, weight in self._weights.items()}
