"""The exchangeable parts of a block, by name: norms, activations behind a block, shortcuts."""

from collections import OrderedDict
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from signbit.nn import BinaryConv2d, ChannelNorm, Hardtanh, RPReLU, TwoSlopePReLU
from signbit.wording import check_choice

__all__ = [
    "Activation",
    "Norm",
    "PadChannels",
    "RepeatChannels",
    "Shortcut",
    "Stride",
    "make_activation",
    "make_norm",
    "make_shortcut",
]

Norm = Literal["batch", "layer"]
Activation = Literal["none", "hardtanh", "relu", "prelu", "rprelu", "two-slope"]
Shortcut = Literal["conv", "binary", "slice", "average", "repeat"]


def make_norm(norm: Norm, channels: int, *, flat: bool = False) -> nn.Module:
    """A normalisation with learned scale and offset per channel.

    Args:
        norm: "batch", or "layer" for the layer norm over channels of Bop2ndOrder's networks, which does not fold into
            thresholds.
        channels: size of the second dimension of its input.
        flat: whether the input is (N, channels), not (N, channels, H, W).
    """
    check_choice("norm", norm, Norm)
    if norm == "layer":
        return ChannelNorm(channels)
    return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)


def make_activation(activation: Activation, channels: int) -> nn.Module:
    """What a block does to its result.

    Args:
        activation: "none"; "hardtanh" (IR-Net, ReCU, BiPer); "relu"; "prelu" (Real-to-Binary); "rprelu" (ReActNet);
            "two-slope" (AdaBin).
        channels: size of the second dimension of its input.
    """
    check_choice("activation", activation, Activation)
    match activation:
        case "none":
            return nn.Identity()
        case "hardtanh":
            return Hardtanh()
        case "relu":
            return nn.ReLU()
        case "prelu":
            return nn.PReLU(channels)
        case "rprelu":
            return RPReLU(channels)
        case "two-slope":
            return TwoSlopePReLU(channels)


def make_shortcut(
    shortcut: Shortcut,
    inputs: int,
    outputs: int,
    *,
    stride: int = 1,
    norm: Norm = "batch",
    quantizer: str | None = "approxsign",
) -> nn.Module:
    """The way around a block: the identity where the block keeps the shape, else what `shortcut` says.

    Args:
        shortcut: "conv": average pool, real 1x1 convolution, norm (Bi-Real Net, 1808.00278), whose weights an export
            may hold in int8; "binary": the same with a 1x1 convolution of signs, ±α; "slice": every stride-th row and
            column, new channels 0 (option A of ResNet, 1512.03385); "average": average pool, new channels 0;
            "repeat": average pool, channels repeated (FracBNN, 2012.12206; ReActNet, 2003.03488).
        inputs: channels of the block's input.
        outputs: channels of its result.
        stride: of the block.
        norm: see `make_norm`; only "conv" and "binary" have one.
        quantizer: sign of the inputs of "binary", by name; None, for a float twin, makes it "conv".
    """
    check_choice("shortcut", shortcut, Shortcut)
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if stride > 1:
        parts["pool"] = Stride(stride) if shortcut == "slice" else nn.AvgPool2d(stride, ceil_mode=True)
    if shortcut in ("conv", "binary"):
        if shortcut == "conv" or quantizer is None:
            parts["conv"] = nn.Conv2d(inputs, outputs, 1, bias=False)
        else:
            parts["conv"] = BinaryConv2d(
                inputs, outputs, 1, input_quantizer=quantizer, weight_quantizer="sign(scale=mean)"
            )
        parts["norm"] = make_norm(norm, outputs)
    elif outputs != inputs:
        parts["widen"] = RepeatChannels(inputs, outputs) if shortcut == "repeat" else PadChannels(inputs, outputs)
    return nn.Sequential(parts)


@final
class Stride(nn.Module):
    """Keeps every `stride`-th row and column."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    @override
    def forward(self, input: Tensor) -> Tensor:
        return input[:, :, :: self.stride, :: self.stride]

    @override
    def extra_repr(self) -> str:
        return str(self.stride)


@final
class PadChannels(nn.Module):
    """Puts channels of 0 before and behind those of its input, half of them each.

    Args:
        inputs: channels of the input (N, inputs, H, W).
        outputs: channels of the result, at least as many.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        _expect_wider(inputs, outputs)
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    @override
    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, (0, 0, 0, 0, self.before, self.after))

    @override
    def extra_repr(self) -> str:
        return f"{self.before}, {self.after}"


@final
class RepeatChannels(nn.Module):
    """Repeats all channels of its input until there are `outputs`; the last repetition may be partial (NAS-BNN).

    Args:
        inputs: channels of the input (N, inputs, H, W).
        outputs: channels of the result, at least as many.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        _expect_wider(inputs, outputs)
        self.copies, self.rest = divmod(outputs, inputs)

    @override
    def forward(self, input: Tensor) -> Tensor:
        copies = [input] * self.copies
        return torch.cat([*copies, input[:, : self.rest]] if self.rest else copies, dim=1)

    @override
    def extra_repr(self) -> str:
        return f"{self.copies}, {self.rest}"


def _expect_wider(inputs: int, outputs: int) -> None:
    if outputs < inputs:
        raise ValueError(
            f"a shortcut without weights cannot narrow {inputs} channels to {outputs}; use shortcut='conv', "
            "or widths that do not fall"
        )
