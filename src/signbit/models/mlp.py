"""Multilayer perceptrons whose every product is binary, the first one on thresholded pixels."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from signbit.models.blocks import chain, linear_block
from signbit.models.parts import make_norm
from signbit.models.registry import register_model

__all__ = ["mnist_mlp"]


@register_model
def mnist_mlp(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    size: int = 28,
    widths: Sequence[int] = (1024, 1024),
    quantizer: str = "sign",
    weight_quantizer: str = "sign",
    binary: bool = True,
) -> nn.Module:
    """784-1024-1024-10 on the signs of the normalised pixels; batch norm after each product, no biases.

    All arithmetic up to the last batch norm is on bits and integers.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        size: height and width of the images.
        widths: features of the hidden layers.
        quantizer: sign of the activations, by name (`signbit.quantizers`).
        weight_quantizer: levels of the weights, by name.
        binary: False gives the float twin, which reads the pixels themselves.
    """
    features = [in_chans * size * size, *widths, num_classes]
    blocks = [
        linear_block(i, o, quantizer=quantizer, weight_quantizer=weight_quantizer, binary=binary)
        for i, o in pairwise(features)
    ]
    if not binary:
        blocks[0] = chain(
            fc=nn.Linear(features[0], features[1], bias=False), norm=make_norm("batch", features[1], flat=True)
        )
    return chain(flatten=nn.Flatten(), **{f"layer{i}": block for i, block in enumerate(blocks)})
