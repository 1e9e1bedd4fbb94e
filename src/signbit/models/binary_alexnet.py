"""BinaryAlexNet for ImageNet, as Larq Zoo has it: every product binary, the first one on pixels."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn

from signbit.models.blocks import binary_conv, chain, linear_block
from signbit.models.network import Feature, Network
from signbit.models.parts import Norm, make_norm
from signbit.models.registry import register_model
from signbit.nn import BinaryConv2d
from signbit.nn.conv import PadValue

__all__ = ["binary_alexnet"]


@register_model
def binary_alexnet(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    size: int = 224,
    widths: Sequence[int] = (64, 192, 384, 384, 256),
    hidden: Sequence[int] = (4096, 4096),
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign",
    stem_quantizer: str | None = "same",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """AlexNet without biases, 61,848,720 parameters; padded by 4 on all sides of the first, by Keras 3 before.

    Published with `pad_value=0`. The float twin has real weights, and ReLU in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        size: height and width of the images.
        widths: channels of the five convolutions.
        hidden: features between the convolutions and the last product.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        stem_quantizer: that of the first convolution's, which reads pixels and packs with ±1 or ternary weights only;
            "same" is `weight_quantizer`.
        norm: "batch" or "layer".
        pad_value: what surrounds the signs in every convolution but the first.
        binary: False gives the float twin.
    """
    if len(widths) != 5:
        raise ValueError(f"AlexNet has 5 widths, got {tuple(widths)}")
    side = (size - 3) // 4 + 1
    for _ in range(3):
        side = (side - 1) // 2
    if side < 1:
        raise ValueError(f"the pools of AlexNet leave nothing of {size}x{size} images; size must be >= 59")
    first, second, third, fourth, fifth = widths
    stem: nn.Module = nn.Conv2d(in_chans, first, 11, 4, 4, bias=False)
    if stem_quantizer == "same":
        stem_quantizer = weight_quantizer
    if binary and stem_quantizer is not None:
        stem = BinaryConv2d(in_chans, first, 11, 4, 4, weight_quantizer=stem_quantizer, input_quantizer=None)
    block = partial(
        _block, quantizer=quantizer, weight_quantizer=weight_quantizer, norm=norm, pad_value=pad_value, binary=binary
    )
    product = partial(linear_block, quantizer=quantizer, weight_quantizer=weight_quantizer, norm=norm, binary=binary)
    products = [product(i, o) for i, o in pairwise((fifth * side * side, *hidden, num_classes))]
    parts: dict[str, nn.Module] = {
        "stem": chain(conv=stem, pool=nn.MaxPool2d(3, 2), norm=make_norm(norm, first)),
        "stage1": nn.Sequential(block(first, second, kernel_size=5, pool=True)),
        "stage2": nn.Sequential(block(second, third), block(third, fourth), block(fourth, fifth, pool=True)),
        "flatten": nn.Flatten(),
        **{f"layer{i}": product for i, product in enumerate(products, 1)},
    }
    maps = {"stem": (first, 8), "stage1": (second, 16), "stage2": (fifth, 32)}
    return Network(parts, [Feature(module=name, channels=c, reduction=r) for name, (c, r) in maps.items()])


def _block(inputs: int, outputs: int, *, pool: bool = False, norm: Norm, **options: Any) -> nn.Sequential:
    """Sign of x → binary convolution → max-pool 3x3 with stride 2 → norm (block B-VGG).

    Args:
        inputs: channels of x (N, inputs, H, W), real.
        outputs: channels of the result, real.
        pool: whether there is a pool.
        norm: see `make_norm`.
        options: of `binary_conv`.
    """
    parts = binary_conv(inputs, outputs, **options)
    if pool:
        parts["pool"] = nn.MaxPool2d(3, 2)
    return chain(**parts, norm=make_norm(norm, outputs))
