"""QuickNet for ImageNet, as Larq Zoo released it (2011.09398): made to be fast on bits.

Slim real stem, one binary convolution per shortcut with a ReLU before its norm, real transitions behind a fixed blur.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from signbit.models.blocks import binary_conv, chain
from signbit.models.network import Feature, Network
from signbit.models.registry import register_model
from signbit.models.residual import ResidualBlock
from signbit.models.stages import expect_stages, make_head, make_stages
from signbit.nn.conv import PadValue

__all__ = ["quicknet", "quicknet_large", "quicknet_small"]


@register_model(size=224)
def quicknet(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (4, 4, 4, 4),
    quantizer: str | None = "sign(clip=1.25)",
    weight_quantizer: str | None = "sign(clip=1.25)",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """Stages of blocks B-QN, x + norm(relu(conv(sign x))), between transitions; 13,230,024 parameters.

    The blur's 4,032 fixed numbers, which Larq counts as weights, are buffers. The float twin has real weights, and ReLU
    in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        widths: channels of the stages; the stem begins with a quarter of the first.
        depths: blocks of the stages.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        pad_value: what surrounds the signs.
        binary: False gives the float twin.
    """
    expect_stages(widths, depths)
    if widths[0] % 4:
        raise ValueError(f"the stem needs a first width that 4 divides, got {widths[0]}")
    conv = partial(
        binary_conv, quantizer=quantizer, weight_quantizer=weight_quantizer, pad_value=pad_value, binary=binary
    )

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        if stride == 2:
            return _transition(inputs, outputs)
        norm = chain(act=nn.ReLU(), norm=nn.BatchNorm2d(outputs))
        return ResidualBlock(**conv(inputs, outputs), norm=norm, shortcut=nn.Identity(), after=nn.Identity())

    stem = _stem(in_chans, widths[0])
    moves = (depths[0], *(depth + 1 for depth in depths[1:]))  # a transition is the first block of its stage
    stages, maps = make_stages(widths[0], widths, moves, block, reduction=4)
    first = Feature(module="stem", channels=widths[0], reduction=4)
    return Network({"stem": stem, **stages, "act": nn.ReLU(), **make_head(widths[-1], num_classes)}, [first, *maps])


quicknet_small = register_model(partial(quicknet, widths=(32, 64, 256, 512)), name="quicknet_small", size=224)
"""Thinner first stages, 12,652,504 parameters and 3,168 fixed ones."""

quicknet_large = register_model(partial(quicknet, depths=(6, 8, 12, 6)), name="quicknet_large", size=224)
"""Twice as deep, 23,338,184 parameters and 4,032 fixed ones."""


def _stem(inputs: int, outputs: int) -> nn.Sequential:
    """Two strided convolutions, the second depthwise, and a 1x1 convolution: a quarter of height and width."""
    slim = outputs // 4
    return chain(
        conv=nn.Conv2d(inputs, slim, 3, 2, 1, bias=False),
        norm=nn.BatchNorm2d(slim),
        act=nn.ReLU(),
        depthwise=nn.Conv2d(slim, slim, 3, 2, 1, groups=slim, bias=False),
        depthwise_norm=nn.BatchNorm2d(slim, affine=False),
        point=nn.Conv2d(slim, outputs, 1, bias=False),
        point_norm=nn.BatchNorm2d(outputs),
    )


def _transition(inputs: int, outputs: int) -> nn.Sequential:
    """Anti-aliased max-pool of half the size, and a real 1x1 convolution."""
    return chain(
        act=nn.ReLU(),
        pool=nn.MaxPool2d(2, 1),
        blur=_blur(inputs),
        conv=nn.Conv2d(inputs, outputs, 1, bias=False),
        norm=nn.BatchNorm2d(outputs),
    )


def _blur(channels: int) -> nn.Conv2d:
    """Depthwise convolution of stride 2 with the fixed kernel [1, 2, 1] ⊗ [1, 2, 1] / 16 (1904.11486)."""
    conv = nn.Conv2d(channels, channels, 3, 2, 1, groups=channels, bias=False)
    line = torch.tensor([1.0, 2.0, 1.0]) / 4
    del conv.weight
    conv.register_buffer("weight", torch.outer(line, line).repeat(channels, 1, 1, 1))
    return conv
