"""Residual networks with one binary convolution per shortcut: the block B-RES and the builder of all its networks."""

from collections.abc import Sequence
from typing import Any, Literal, final

from torch import Tensor, nn
from typing_extensions import override

from signbit.models.blocks import StemEncoding, binary_conv, chain, stem_conv
from signbit.models.network import Feature, Network
from signbit.models.parts import Activation, Norm, Shortcut, make_activation, make_norm, make_shortcut
from signbit.models.stages import expect_stages, make_head, make_stages
from signbit.nn.conv import PadValue

__all__ = ["ResidualBlock", "residual_network"]


@final
class ResidualBlock(nn.Module):
    """Gives after(norm(conv(act(x))) + shortcut(x)): real numbers around one convolution of signs (1808.00278).

    Args:
        act: what prepares the input of `conv`, which may take the signs itself.
        conv: the convolution.
        norm: behind it.
        shortcut: the way around all three.
        after: what is done to the sum.
    """

    def __init__(
        self, *, conv: nn.Module, norm: nn.Module, shortcut: nn.Module, after: nn.Module, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.act = nn.Identity() if act is None else act
        self.conv = conv
        self.norm = norm
        self.shortcut = shortcut
        self.after = after

    @override
    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = self.after(self.norm(self.conv(self.act(input))) + self.shortcut(input))
        return result


def residual_network(
    *,
    num_classes: int,
    in_chans: int = 3,
    stem: Literal["3x3", "7x7"],
    widths: Sequence[int],
    depths: Sequence[int],
    shortcut: Shortcut,
    head_norm: bool = False,
    stem_encoding: StemEncoding | None = None,
    shift: bool = False,
    quantizer: str | None = "approxsign",
    weight_quantizer: str | None = "sign",
    norm: Norm = "batch",
    activation: Activation = "none",
    pad_value: PadValue = 1,
    binary: bool = True,
) -> Network:
    """Stem, stages of `ResidualBlock`, global average pool, real classifier; works at any image size.

    The first block of every stage but the first halves the map. The float twin has real weights, ReLU in the place of
    every sign, and no Hardtanh behind the blocks, which only keeps values where the sign's gradient passes.

    Args:
        num_classes: outputs.
        in_chans: channels of the images.
        stem: "3x3" for small images, or "7x7" with stride 2 and a max-pool to a quarter.
        widths: channels of the stages; the stem has those of the first.
        depths: blocks of the stages.
        shortcut: way around a block that changes the shape, see `make_shortcut`.
        head_norm: whether a batch norm stands before the classifier.
        stem_encoding: "thermometer" makes the stem a product of signs with signs of pixels (FracBNN), see `stem_conv`;
            None leaves it real.
        shift: whether a learned shift per channel precedes the sign of the activations (ReActNet).
        quantizer: sign of the activations, by name (`signbit.quantizers`); None puts a ReLU in its place.
        weight_quantizer: sign of the weights, by name; None leaves them real.
        norm: of stem, blocks and shortcuts: "batch" or "layer".
        activation: behind every block, see `make_activation`.
        pad_value: what surrounds the signs.
        binary: False gives the float twin.
    """
    if stem not in ("3x3", "7x7"):
        raise ValueError(f"stem must be 3x3 or 7x7, got {stem!r}")
    expect_stages(widths, depths)
    if not binary and activation == "hardtanh":
        activation = "none"
    codes: dict[str, Any] = {
        "quantizer": quantizer,
        "weight_quantizer": weight_quantizer,
        "pad_value": pad_value,
        "binary": binary,
    }
    signs = quantizer if binary and quantizer != "tanh" else None

    def block(inputs: int, outputs: int, stride: int) -> ResidualBlock:
        return ResidualBlock(
            **binary_conv(inputs, outputs, stride=stride, shift=shift, **codes),
            norm=make_norm(norm, outputs),
            shortcut=make_shortcut(shortcut, inputs, outputs, stride=stride, norm=norm, quantizer=signs),
            after=make_activation(activation, outputs),
        )

    small = stem == "3x3"
    size, stride = (3, 1) if small else (7, 2)
    first_conv = stem_conv(in_chans, widths[0], kernel_size=size, stride=stride, encoding=stem_encoding, **codes)
    parts: dict[str, nn.Module] = {"stem": chain(**first_conv, norm=make_norm(norm, widths[0]))}
    if not small:
        parts["stem_pool"] = nn.MaxPool2d(3, 2, 1)
    first = Feature(module="stem", channels=widths[0], reduction=1 if small else 2)
    stages, maps = make_stages(widths[0], widths, depths, block, reduction=1 if small else 4)
    head = make_head(widths[-1], num_classes, norm=head_norm)
    return Network({**parts, **stages, **head}, [first, *maps])
