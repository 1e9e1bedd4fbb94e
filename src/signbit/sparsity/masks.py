"""The layers of a model whose weight quantizer can be given a mask."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from signbit.params import BinaryOwner
from signbit.quantizers import MaskedQuantizer

__all__ = ["MaskedLayer", "adopt_pruning", "attach_masks", "masked_layers"]


class MaskedLayer(NamedTuple):
    """A layer with a weight of two or three levels.

    Attributes:
        name: path of the layer in the model.
        owner: the layer.
        quantizer: of its weight.
    """

    name: str
    owner: BinaryOwner
    quantizer: MaskedQuantizer

    @property
    def weight(self) -> nn.Parameter:
        """The latent weight, also while `torch.nn.utils.prune` keeps it as weight_orig."""
        own: Any = self.owner._parameters
        weight: nn.Parameter = own["weight"] if "weight" in own else own["weight_orig"]
        return weight

    @property
    def mask(self) -> Tensor:
        """The quantizer's mask."""
        assert self.quantizer.mask is not None
        return self.quantizer.mask

    @property
    def allowed(self) -> Tensor | None:
        """Mask of `torch.nn.utils.prune`, whose zeros never belong to ours; None where there is none."""
        mask = self.owner._buffers.get("weight_mask")
        return None if mask is None else mask.bool()

    def unpruned(self) -> Tensor:
        """`allowed`, where nothing is pruned all True."""
        return torch.ones_like(self.mask) if self.allowed is None else self.allowed


def masked_layers(model: nn.Module) -> Iterator[MaskedLayer]:
    """Yields the layers whose weight quantizer is a `MaskedQuantizer` ("twolevel", "ternary"), with a mask or not."""
    for name, module in model.named_modules():
        quantizer = getattr(module, "weight_quantizer", None)
        if isinstance(module, BinaryOwner) and isinstance(quantizer, MaskedQuantizer):
            yield MaskedLayer(name or type(module).__name__, module, quantizer)


def attach_masks(model: nn.Module) -> None:
    """Gives every such layer that has none a mask, all True for now, so that a state dict with masks fits.

    Args:
        model: any module.

    Raises:
        ValueError: no layer can have one, or one has a budget of its own; the layer is named.
    """
    layers = list(masked_layers(model))
    if not layers:
        raise ValueError(
            "no layer has weights that take a mask; set weight_quantizer to 'twolevel' or 'ternary', or give the "
            "density to a quantizer alone, such as 'subbit(density=0.05)'"
        )
    # Chosen before the first gets its own, so that a quantizer which two layers share is noticed.
    for layer in [layer for layer in layers if layer.quantizer.mask is None]:
        _attach(layer)


def _attach(layer: MaskedLayer) -> None:
    try:
        layer.quantizer.attach_mask(layer.weight)
    except ValueError as error:
        raise ValueError(f"{layer.name}: {error}") from None


@torch.no_grad()
def adopt_pruning(model: nn.Module) -> list[str]:
    """Makes the masks of `torch.nn.utils.prune` those of the quantizers: what is pruned takes the common level, or 0.

    Afterwards `prune.remove` may make the pruning permanent; the quantizers keep their masks.

    Args:
        model: with layers of "ternary" or "twolevel" weights, some of them pruned.

    Returns:
        Names of the layers.

    Raises:
        ValueError: no layer is pruned, all of one is, or its quantizer has a budget of its own; the layer is named.
    """
    found = [(layer, layer.allowed) for layer in masked_layers(model)]
    pruned = [(layer, mask) for layer, mask in found if mask is not None]
    if not pruned:
        raise ValueError("no layer with weights of two or three levels is pruned; call torch.nn.utils.prune first")
    for layer, mask in pruned:
        if not bool(mask.any()):
            raise ValueError(f"{layer.name}: all {mask.numel()} weights are pruned; leave some")
        if layer.quantizer.mask is None:
            _attach(layer)
        layer.mask.copy_(mask)
    return [layer.name for layer, _ in pruned]
