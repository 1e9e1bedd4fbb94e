"""Activations so large that the surrogate gradient of their sign is zero."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from torch import Tensor, nn

from signbit.nn.layer import BinaryLayer
from signbit.quantizers import Quantizer

__all__ = ["Saturation", "SaturationCounter"]


@dataclass(frozen=True, eq=False)
class Saturation:
    """Share of a layer's activations, before their sign, beyond the limit.

    Attributes:
        total: of all values.
        channels: of each channel (second dimension), shape (channels,).
    """

    total: float
    channels: Tensor


@final
class SaturationCounter:
    """Counts, in every forward pass, the activations with |a| > limit that are about to become signs (2106.11309).

    Nothing flows back through them where the surrogate is a window of that width. It listens at every quantizer that is
    no weight's, behind the shift of an `RSign`. A compiled model does not call it.

        with SaturationCounter(model) as counter:
            model(images)
        shares = counter.read()

    Args:
        model: any module; in train mode its batch norms use the batch, in eval mode what they remember.
        limit: > 0; 1 for the surrogates of BinaryNet, Bi-Real Net and ReActNet.
    """

    def __init__(self, model: nn.Module, *, limit: float = 1.0) -> None:
        if not limit > 0:
            raise ValueError(f"limit must be > 0, got {limit}")
        self._limit = limit
        self._beyond: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}
        self._handles = [
            module.register_forward_pre_hook(partial(self._count, name))
            for name, module in _signs_of_activations(model)
        ]

    def __enter__(self) -> "SaturationCounter":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def read(self) -> dict[str, Saturation]:
        """Shares over all passes since the last call, by the name of the module that takes the sign."""
        found = {}
        for name, beyond in self._beyond.items():
            size = self._sizes[name]
            found[name] = Saturation(int(beyond.sum()) / size, beyond.double() * len(beyond) / size)
        self._beyond, self._sizes = {}, {}
        return found

    def remove(self) -> None:
        """Stops counting; what was counted can still be read."""
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def _count(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (values,) = inputs
        beyond = (values.abs() > self._limit).transpose(0, 1).flatten(1).sum(1)
        self._beyond[name] = self._beyond[name] + beyond if name in self._beyond else beyond
        self._sizes[name] = self._sizes.get(name, 0) + values.numel()


def _signs_of_activations(model: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    weights = {module.weight_quantizer for module in model.modules() if isinstance(module, BinaryLayer)}
    for name, module in model.named_modules():
        if isinstance(module, Quantizer) and module not in weights:
            yield name, module
