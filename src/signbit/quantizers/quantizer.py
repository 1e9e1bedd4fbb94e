"""What a quantizer is: (representation → level → scale), with what training and export ask of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Quantizer", "schedule_quantizers"]


class Quantizer(nn.Module, ABC):
    """Maps a real tensor to a code of −1 and +1, and, for weights, names the two levels that the code stands for.

    A weight's code may hold 0 as well, which stands for 0 (`Ternary`).

    `forward` gives the code alone, so that a product of two codes is an exact integer; a layer multiplies that product
    by `scale`. What precedes the sign (standardising, a wave, a shift) belongs into `forward`.

    Args:
        schedules: name → function of the training's progress (0..1). Each name becomes a scalar tensor attribute that
            `schedule` moves: a tensor, so that a compiled model is not compiled again, and not part of the state dict,
            which stays that of the torch layer.
    """

    def __init__(self, **schedules: Callable[[float], float]) -> None:
        super().__init__()
        self._schedules = schedules
        for name, value in schedules.items():
            self.register_buffer(name, torch.tensor(float(value(0.0))), persistent=False)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Code of x, −1 or +1 (or 0) in x's shape and dtype, with the pseudo-gradient."""

    @abstractmethod
    def scale(self, weight: Tensor) -> Tensor | None:
        """What the product with the code is multiplied by: one value ≥ 0 per filter (first dimension); None is 1."""

    @torch.no_grad()
    def bits(self, x: Tensor) -> Tensor:
        """Bits of x as booleans in x's shape: True, the set bit, means −1."""
        code: Tensor = self(x)
        return code < 0

    @abstractmethod
    def levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Values (low, high) of a set and of a clear bit, one of each per filter: two tensors of shape (filters,)."""

    @torch.no_grad()
    def schedule(self, progress: float) -> None:
        """Moves every scheduled attribute to its value at a fraction of the training, 0..1."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be in [0, 1], got {progress}")
        for name, value in self._schedules.items():
            self.get_buffer(name).fill_(value(progress))


def schedule_quantizers(model: nn.Module, progress: float) -> None:
    """Moves the schedules of every quantizer in a model, wherever it sits, so that no new layer is forgotten.

    Args:
        model: any module.
        progress: fraction of the training done, 0..1.
    """
    for module in model.modules():
        if isinstance(module, Quantizer):
            module.schedule(progress)
