"""XNOR-Net's AlexNet for ImageNet (1603.05279): all but the first and the last product binary, norm before the sign.

Weights are ±α, α = mean|w| of the filter, with the exact gradient through α. The authors' code has no map K of input
magnitudes, and neither has this. It also centres and clips the real weights before every pass, which training would
have to do.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from signbit.models.blocks import binary_conv, chain
from signbit.models.network import Feature, Network
from signbit.models.parts import Norm, make_norm
from signbit.models.registry import register_model
from signbit.nn.conv import PadValue

__all__ = ["xnornet_alexnet", "xnornet_alexnet_larq"]


@register_model
def xnornet_alexnet(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    size: int = 224,
    widths: Sequence[int] = (96, 256, 384, 384, 256),
    hidden: Sequence[int] = (4096, 4096),
    stem_padding: int = 2,
    bias: bool = True,
    quantizer: str | None = "sign",
    weight_quantizer: str | None = "sign(scale=mean,scale_gradient=full)",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """AlexNet with the two hidden products as convolutions; as the authors' code has it, 62,397,672 parameters.

    Published with `pad_value=0`. The float twin has real weights, and ReLU in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        size: height and width of the images.
        widths: channels of the five convolutions.
        hidden: features of the two binary products.
        stem_padding: of the first convolution.
        bias: whether convolutions and classifier have biases.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        norm: "batch", or "layer" as the released networks of Bop2ndOrder have it.
        pad_value: what surrounds the signs.
        binary: False gives the float twin.
    """
    if len(widths) != 5 or len(hidden) != 2:
        raise ValueError(f"AlexNet has 5 widths and 2 hidden ones, got {tuple(widths)} and {tuple(hidden)}")
    side = (size + 2 * stem_padding - 11) // 4 + 1
    for _ in range(3):
        side = (side - 1) // 2
    if side < 1:
        raise ValueError(
            f"the pools of AlexNet leave nothing of {size}x{size} images; size must be >= {67 - 2 * stem_padding}"
        )
    block = partial(
        _block,
        bias=bias,
        quantizer=quantizer,
        weight_quantizer=weight_quantizer,
        norm=norm,
        pad_value=pad_value,
        binary=binary,
    )
    first, second, third, fourth, fifth = widths
    stem = chain(
        conv=nn.Conv2d(in_chans, first, 11, 4, stem_padding, bias=bias),
        norm=make_norm(norm, first),
        act=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2),
    )
    parts: dict[str, nn.Module] = {
        "stem": stem,
        "stage1": nn.Sequential(block(first, second, kernel_size=5, pool=True)),
        "stage2": nn.Sequential(block(second, third), block(third, fourth), block(fourth, fifth, pool=True)),
        "layer1": block(fifth, hidden[0], kernel_size=side, padding=0),
        "layer2": block(hidden[0], hidden[1], kernel_size=1),
        "norm": make_norm(norm, hidden[1]),
        "act": nn.ReLU(),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(hidden[1], num_classes, bias=bias),
    }
    maps = {"stem": (first, 8), "stage1": (second, 16), "stage2": (fifth, 32)}
    return Network(parts, [Feature(module=name, channels=c, reduction=r) for name, (c, r) in maps.items()])


xnornet_alexnet_larq = register_model(partial(xnornet_alexnet, stem_padding=4, bias=False), name="xnornet_alexnet_larq")
"""Larq Zoo's layout: no biases, a stem of 56x56, 62,387,104 parameters; padded by 4 on all sides, by Keras 3 before."""


def _block(inputs: int, outputs: int, *, pool: bool = False, norm: Norm, **options: Any) -> nn.Sequential:
    """Norm of x → sign → binary convolution → max-pool 3x3 with stride 2 (block B-VGG, norm first).

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
    return chain(norm=make_norm(norm, inputs), **parts)
