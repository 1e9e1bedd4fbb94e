"""Activations around binary layers; channels are the second dimension of the input."""

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from typing_extensions import override

from signbit.quantizers import Quantizer, create_quantizer

__all__ = ["Hardtanh", "RPReLU", "RSign", "Sign", "TwoSlopePReLU"]


@final
class Hardtanh(nn.Hardtanh):
    """torch's Hardtanh between -1 and 1; compiled, its gradient needs no booleans, which are slow to store there."""

    def __init__(self) -> None:
        super().__init__()

    @override
    def forward(self, input: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            return super().forward(input)
        clipped: Tensor = _Clip.apply(input)  # type: ignore[no-untyped-call]
        return clipped


class _Clip(Function):
    @staticmethod
    def forward(input: Tensor) -> Tensor:
        return input.clamp(-1, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        # 0 where |output| is 1, else 1: the numbers next to 1 are more than 1e-30 away from it.
        return grad * ((1 - output.abs()) * 1e30).clamp(0, 1)


@final
class Sign(nn.Module):
    """The code of its input, for networks that keep the sign apart from the convolution.

    A `BinaryConv2d` behind it may keep its own input quantizer: the sign of a sign is itself, and its gradient passes.

    Args:
        quantizer: name such as "sign" or "approxsign", or a `Quantizer`.
    """

    def __init__(self, quantizer: str | Quantizer = "sign") -> None:
        super().__init__()
        self.quantizer = create_quantizer(quantizer)

    @override
    def forward(self, input: Tensor) -> Tensor:
        code: Tensor = self.quantizer(input)
        return code


@final
class RSign(nn.Module):
    """Sign with a learned shift per channel, sign(x + shift) (ReActNet, 2003.03488, where the threshold is −shift).

    Args:
        num_channels: size of the second dimension of the input.
        quantizer: name or `Quantizer` that takes the sign.
        device: as in torch.
        dtype: as in torch.
    """

    def __init__(
        self, num_channels: int, *, quantizer: str | Quantizer = "approxsign", device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_channels, device=device, dtype=dtype))
        self.quantizer = create_quantizer(quantizer)

    @override
    def forward(self, input: Tensor) -> Tensor:
        code: Tensor = self.quantizer(input + _per_channel(self.shift, input))
        return code


@final
class RPReLU(nn.Module):
    """PReLU between two learned shifts, prelu(x + shift_in) + shift_out (ReActNet, 2003.03488, where γ = −shift_in).

    Args:
        num_channels: size of the second dimension of the input.
        slope: initial slope below zero.
        device: as in torch.
        dtype: as in torch.
    """

    def __init__(self, num_channels: int, *, slope: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.shift_in = nn.Parameter(torch.zeros(num_channels, device=device, dtype=dtype))
        self.slope = nn.Parameter(torch.full((num_channels,), slope, device=device, dtype=dtype))
        self.shift_out = nn.Parameter(torch.zeros(num_channels, device=device, dtype=dtype))

    @override
    def forward(self, input: Tensor) -> Tensor:
        bent = F.prelu(input + _per_channel(self.shift_in, input), self.slope)
        return bent + _per_channel(self.shift_out, input)


@final
class TwoSlopePReLU(nn.Module):
    """Two learned slopes per channel, positive·relu(x) − negative·relu(−x) (AdaBin's "Maxout", 2208.08084).

    Args:
        num_channels: size of the second dimension of the input.
        positive: initial slope above zero.
        negative: initial slope below zero.
        device: as in torch.
        dtype: as in torch.
    """

    def __init__(
        self,
        num_channels: int,
        *,
        positive: float = 1.0,
        negative: float = 0.25,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.positive = nn.Parameter(torch.full((num_channels,), positive, device=device, dtype=dtype))
        self.negative = nn.Parameter(torch.full((num_channels,), negative, device=device, dtype=dtype))

    @override
    def forward(self, input: Tensor) -> Tensor:
        positive, negative = _per_channel(self.positive, input), _per_channel(self.negative, input)
        return positive * F.relu(input) - negative * F.relu(-input)


def _per_channel(value: Tensor, input: Tensor) -> Tensor:
    return value.view(-1, *(1,) * (input.dim() - 2))
