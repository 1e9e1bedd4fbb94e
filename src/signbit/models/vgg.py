"""Small chains of convolutions in the manner of VGG: a real stem, binary layers, a real classifier."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from signbit.models.blocks import chain, classifier, conv_block, linear_block
from signbit.models.parts import make_norm
from signbit.models.registry import register_model

__all__ = ["digits_cnn", "mnist_cnn"]


@register_model(size=28)
def mnist_cnn(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    widths: Sequence[int] = (32, 64, 128),
    hidden: int = 256,
    quantizer: str = "sign",
    weight_quantizer: str | None = "sign",
    binary: bool = True,
) -> nn.Module:
    """For 28x28 images: stem 5x5/2 to 14x14, two binary convolutions with pools to 3x3, one binary product, classifier.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        widths: channels of the stem and of each binary convolution.
        hidden: features before the classifier.
        quantizer: sign of the activations, by name (`signbit.quantizers`).
        weight_quantizer: levels of the weights of the binary layers, by name; None leaves them real.
        binary: False gives the float twin.
    """
    stem = nn.Conv2d(in_chans, widths[0], 5, stride=2, padding=2, bias=False)
    return _chain(stem, 14, widths, hidden, num_classes, quantizer, weight_quantizer, binary)


@register_model(size=8)
def digits_cnn(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    widths: Sequence[int] = (32, 64, 64),
    hidden: int = 128,
    quantizer: str = "sign",
    weight_quantizer: str | None = "sign",
    binary: bool = True,
) -> nn.Module:
    """For 8x8 images: stem 3x3, two binary convolutions with pools to 2x2, one binary product, classifier.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        widths: channels of the stem and of each binary convolution.
        hidden: features before the classifier.
        quantizer: sign of the activations, by name (`signbit.quantizers`).
        weight_quantizer: levels of the weights of the binary layers, by name; None leaves them real.
        binary: False gives the float twin.
    """
    stem = nn.Conv2d(in_chans, widths[0], 3, padding=1, bias=False)
    return _chain(stem, 8, widths, hidden, num_classes, quantizer, weight_quantizer, binary)


def _chain(
    stem: nn.Conv2d,
    size: int,
    widths: Sequence[int],
    hidden: int,
    num_classes: int,
    quantizer: str,
    weight_quantizer: str | None,
    binary: bool,
) -> nn.Module:
    side = size >> (len(widths) - 1)
    if side < 1:
        raise ValueError(
            f"widths {tuple(widths)} pool {size}x{size} maps away; give at most {size.bit_length()} widths"
        )
    convs = [
        conv_block(i, o, pool=2, quantizer=quantizer, weight_quantizer=weight_quantizer, binary=binary)
        for i, o in pairwise(widths)
    ]
    return chain(
        stem=chain(conv=stem, norm=make_norm("batch", widths[0])),
        **{f"stage{i}": block for i, block in enumerate(convs)},
        flatten=nn.Flatten(),
        hidden=linear_block(
            widths[-1] * side * side, hidden, quantizer=quantizer, weight_quantizer=weight_quantizer, binary=binary
        ),
        classifier=classifier(hidden, num_classes, quantizer=quantizer, binary=binary),
    )
