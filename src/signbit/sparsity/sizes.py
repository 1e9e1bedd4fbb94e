"""Sizes for weights that an optimizer without latents has left at ±1, so that there is something to rank."""

import torch
from torch import nn

from signbit.params import BinaryOwner, named_binary_parameters
from signbit.quantizers import RankedQuantizer

__all__ = ["draw_sizes"]


@torch.no_grad()
def draw_sizes(model: nn.Module, *, seed: int = 0) -> None:
    """Gives random sizes below 1 to the weights of ranking quantizers that all have one size in a layer; signs stay.

    Args:
        model: any module.
        seed: of the sizes, one draw for each layer.
    """
    owners = [
        module
        for module in model.modules()
        if isinstance(module, BinaryOwner) and isinstance(getattr(module, "weight_quantizer", None), RankedQuantizer)
    ]
    for index, owner in enumerate(owners):
        random = torch.Generator().manual_seed((seed * 1_000_003 * 10_007 + index) % 2**63)
        for _, weight in named_binary_parameters(owner):
            size = weight.abs()
            if bool((size.amax() == size.amin()).all()):
                weight.mul_(torch.rand(size.shape, generator=random).to(weight))
