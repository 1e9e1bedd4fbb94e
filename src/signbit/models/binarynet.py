"""BinaryNet for CIFAR (1602.02830): every product binary, the first one on pixels, batch norm after the last."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

from torch import nn

from signbit.models.blocks import chain, conv_block, linear_block
from signbit.models.network import Feature, Network
from signbit.models.parts import Norm, make_norm
from signbit.models.registry import register_model
from signbit.nn import BinaryConv2d
from signbit.nn.conv import PadValue

__all__ = ["binarynet", "binarynet_valid", "conv_stages"]


@register_model
def binarynet(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    size: int = 32,
    first_padding: Literal[0, 1] = 1,
    widths: Sequence[int] = (128, 256, 512),
    hidden: Sequence[int] = (1024, 1024),
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    stem_quantizer: str | None = "same",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """Six 3x3 convolutions, three products, no biases; in the paper's layout 14,029,716 parameters.

    Published with `pad_value=0`. The float twin has real weights, and ReLU in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        size: height and width of the images.
        first_padding: of the first convolution, with 0 in the place of normalised pixels.
        widths: channels of the stages; each ends in a pool.
        hidden: features between the convolutions and the last product.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        stem_quantizer: that of the first convolution's, which reads pixels and packs with ±1 or ternary weights only;
            "same" is `weight_quantizer`.
        norm: "batch", or "layer" as the released networks of Bop2ndOrder have it.
        pad_value: what surrounds the signs in every convolution but the first.
        binary: False gives the float twin.
    """
    side = (size - 2 + 2 * first_padding) >> len(widths)
    if side < 1:
        raise ValueError(f"{len(widths)} pools leave nothing of {size}x{size} images; give fewer widths")
    if stem_quantizer == "same":
        stem_quantizer = weight_quantizer
    stem: nn.Module = nn.Conv2d(in_chans, widths[0], 3, padding=first_padding, bias=False)
    if binary and stem_quantizer is not None:
        stem = BinaryConv2d(
            in_chans, widths[0], 3, padding=first_padding, weight_quantizer=stem_quantizer, input_quantizer=None
        )
    conv = partial(
        conv_block,
        quantizer=quantizer,
        weight_quantizer=weight_quantizer,
        norm=norm,
        pad_value=pad_value,
        binary=binary,
    )
    product = partial(linear_block, quantizer=quantizer, weight_quantizer=weight_quantizer, norm=norm, binary=binary)
    stages, features = conv_stages(widths, conv)
    products = [product(i, o) for i, o in pairwise((widths[-1] * side * side, *hidden, num_classes))]
    return Network(
        {
            "stem": chain(conv=stem, norm=make_norm(norm, widths[0])),
            **stages,
            "flatten": nn.Flatten(),
            **{f"layer{i}": block for i, block in enumerate(products, 1)},
        },
        features,
    )


binarynet_valid = register_model(partial(binarynet, first_padding=0), name="binarynet_valid")
"""As Larq's tutorial and Bop (1906.02107) have it: no padding in the first convolution, 10,359,700 parameters."""


def conv_stages(
    widths: Sequence[int], block: Callable[..., nn.Module]
) -> tuple[dict[str, nn.Module], tuple[Feature, ...]]:
    """The convolutions behind the first one: one block in stage 1, two in every other stage, a pool at its end.

    Args:
        widths: channels of the stages, those of the stem being the first.
        block: (inputs, outputs, pool=...) → module.

    Returns:
        Stages by name, and the feature maps of stem and stages.
    """
    stages: dict[str, nn.Module] = {"stage1": nn.Sequential(block(widths[0], widths[0], pool=2))}
    for i, (inputs, outputs) in enumerate(pairwise(widths), 2):
        stages[f"stage{i}"] = nn.Sequential(block(inputs, outputs), block(outputs, outputs, pool=2))
    features = [
        Feature(module=name, channels=width, reduction=2**i) for i, (name, width) in enumerate(zip(stages, widths), 1)
    ]
    return stages, (Feature(module="stem", channels=widths[0], reduction=1), *features)
