"""ReActNet for ImageNet (2003.03488), which AdamBNN (2106.11309) trains too: MobileNet of signs.

Real 3x3 stem, blocks of a 3x3 and a 1x1 binary convolution, each with its own shortcut, average pool where the map is
halved. Weights are ±α, α = mean|w| of the filter. Published with `pad_value=0`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from torch import nn

from signbit.models.blocks import StemEncoding, binary_conv, chain, stem_conv
from signbit.models.network import Feature, Network
from signbit.models.parts import Norm, RepeatChannels, make_activation, make_norm, make_shortcut
from signbit.models.registry import register_model
from signbit.models.residual import ResidualBlock
from signbit.models.stages import expect_stages, make_head, make_stages
from signbit.nn.conv import PadValue

__all__ = ["reactnet_a", "reactnet_b", "reactnet_c"]


def _reactnet(
    *,
    num_classes: int = 1000,
    in_chans: int = 3,
    stem_width: int = 32,
    stem_encoding: StemEncoding | None = None,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    depths: Sequence[int] = (1, 2, 2, 6, 2),
    widening: Literal["binary", "real"] = "binary",
    groups: int = 1,
    quantizer: str | None = "approxsign",
    weight_quantizer: str | None = "sign(scale=mean)",
    norm: Norm = "batch",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """Real stem, stages of blocks B-MOB, global average pool, real classifier; works at any image size.

    The first block of every stage widens: in the paper two 1x1 convolutions side by side, joined; here one with twice
    the filters, which is the same. The float twin has real weights, and ReLU in the place of every sign.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        stem_width: channels of the stem.
        stem_encoding: "thermometer" makes the stem a product of signs with signs of pixels (FracBNN), see `stem_conv`;
            None leaves it real.
        widths: channels of the stages.
        depths: blocks of the stages.
        widening: "real" gives the 1x1 convolutions that widen real weights; their inputs stay signs.
        groups: of each of the two real convolutions that widen.
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real, as in the first of two stages.
        norm: of stem and blocks: "batch" or "layer".
        pad_value: what surrounds the signs.
        binary: False gives the float twin.
    """
    expect_stages(widths, depths)
    if widening not in ("binary", "real"):
        raise ValueError(f"widening must be binary or real, got {widening!r}")
    if groups < 1 or (groups > 1 and widening == "binary"):
        raise ValueError(f"groups must be >= 1, and 1 unless widening='real', got {groups}")
    codes: dict[str, Any] = {
        "quantizer": quantizer,
        "weight_quantizer": weight_quantizer,
        "pad_value": pad_value,
        "binary": binary,
    }

    def half(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> ResidualBlock:
        parts = binary_conv(inputs, outputs, kernel_size=kernel_size, stride=stride, shift=True, **codes)
        if outputs != inputs and widening == "real":
            parts["conv"] = _real_conv(inputs, outputs, groups)
        return ResidualBlock(
            **parts,
            norm=make_norm(norm, outputs),
            shortcut=make_shortcut("repeat", inputs, outputs, stride=stride),
            after=make_activation("rprelu", outputs),
        )

    def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return chain(spatial=half(inputs, inputs, 3, stride), point=half(inputs, outputs, 1))

    first_conv = stem_conv(in_chans, stem_width, kernel_size=3, stride=2, encoding=stem_encoding, **codes)
    stem = chain(**first_conv, norm=make_norm(norm, stem_width))
    stages, maps = make_stages(stem_width, widths, depths, block, reduction=2)
    first = Feature(module="stem", channels=stem_width, reduction=2)
    return Network({"stem": stem, **stages, **make_head(widths[-1], num_classes)}, [first, *maps])


def _real_conv(inputs: int, outputs: int, groups: int) -> nn.Module:
    """Real 1x1 convolutions side by side, each in `groups`, so that group and shortcut of a channel agree."""
    if groups == 1:
        return nn.Conv2d(inputs, outputs, 1, bias=False)
    if outputs % inputs or inputs % groups:
        raise ValueError(f"{groups} groups cannot widen {inputs} channels to {outputs}; use groups=1")
    conv = nn.Conv2d(outputs, outputs, 1, groups=groups * outputs // inputs, bias=False)
    return chain(repeat=RepeatChannels(inputs, outputs), conv=conv)


reactnet_a = register_model(partial(_reactnet), name="reactnet_a", size=224)
"""Every convolution but the stem is binary: 29,343,592 parameters."""

reactnet_b = register_model(partial(_reactnet, widening="real", groups=4), name="reactnet_b", size=224)
"""Real widening in four groups, 28,819,816 parameters; not released, read from the paper's counts."""

reactnet_c = register_model(partial(_reactnet, widening="real"), name="reactnet_c", size=224)
"""Real widening, 29,343,592 parameters; not released, read from the paper's counts."""
