"""Convolutions of signs, with explicit padding."""

import operator
from abc import abstractmethod
from functools import reduce
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from signbit.nn import integers
from signbit.nn.layer import BinaryLayer
from signbit.quantizers import Quantizer

__all__ = ["BinaryConv1d", "BinaryConv2d", "BinaryConvNd", "PadValue"]

PadValue = Literal[-1, 0, 1]


class BinaryConvNd(BinaryLayer):
    """Shared part of `BinaryConv1d` and `BinaryConv2d`: y = conv(pad(sign(x)), sign(W)) · scale + bias.

    Attributes:
        pad_value: what surrounds the *quantized* input. +1 is the bit 0; −1 is a bit too; 0 is none, so that borders
            cost the packed network a correction table.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | tuple[int, ...]
    padding_mode: Literal["zeros", "reflect", "replicate", "circular"]
    groups: int
    pad_value: PadValue

    def _set_pad_value(self, pad_value: PadValue | None) -> None:
        if self.padding_mode != "zeros":
            raise ValueError(
                f"padding_mode must be 'zeros' (torch's default), got {self.padding_mode!r}; "
                "pad_value says what is padded"
            )
        if pad_value not in (None, -1, 0, 1):
            raise ValueError(f"pad_value must be -1, 0, 1 or None, got {pad_value!r}")
        default: PadValue = 0 if self.input_quantizer is None else 1
        self.pad_value = default if pad_value is None else pad_value

    @property
    def padding_sides(self) -> tuple[tuple[int, int], ...]:
        """Padding (before, after) of each spatial dimension; "same" pads the odd one after, as torch does."""
        if self.padding == "valid":
            return ((0, 0),) * self.spatial
        if self.padding == "same":
            totals = [step * (size - 1) for step, size in zip(self.dilation, self.kernel_size, strict=True)]
            return tuple((total // 2, total - total // 2) for total in totals)
        return tuple((int(size), int(size)) for size in self.padding)

    @property
    def _even_padding(self) -> tuple[int, ...] | None:
        """Padding of each spatial dimension, where it is the same on both sides."""
        sides = self.padding_sides
        return tuple(before for before, _ in sides) if all(before == after for before, after in sides) else None

    def _surrounded(self, code: Tensor, *, times: int = 1) -> Tensor:
        # F.pad names the last dimension first.
        sides = [size for before_after in reversed(self.padding_sides) for size in before_after]
        return F.pad(code, sides, value=float(self.pad_value * times)) if any(sides) else code

    @override
    def _shared_sum(self, code: Tensor) -> Tensor:
        # Over the channels, then along each dimension of the window: a few additions of maps of one channel per group.
        channels = code.dim() - 1 - self.spatial
        grouped = (*code.shape[:channels], self.groups, -1, *code.shape[channels + 1 :])
        total = code.reshape(grouped).sum(channels + 1, dtype=torch.promote_types(code.dtype, torch.float32))
        total = self._surrounded(total, times=code.shape[channels] // self.groups)
        for axis, size, step, jump in zip(
            range(-self.spatial, 0), self.kernel_size, self.dilation, self.stride, strict=True
        ):
            last = total.shape[axis] - step * (size - 1)
            rest: tuple[Any, ...] = (slice(None),) * (-1 - axis)
            starts = range(0, step * size, step)
            total = reduce(operator.add, [total[(..., slice(first, first + last, jump), *rest)] for first in starts])
        return total

    @abstractmethod
    def _convolve(self, input: Tensor, weight: Tensor, padding: int | tuple[int, ...]) -> Tensor:
        """Plain convolution with this layer's stride, dilation and groups, padded with 0."""

    @override
    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pad_value={self.pad_value}"


@final
class BinaryConv2d(BinaryConvNd, nn.Conv2d):
    """`torch.nn.Conv2d` on signs: y = conv(pad(sign(x)), sign(W)) · scale + bias.

    Arguments come in torch's order, and the state dict has torch's keys. The bias is off by default: a batch norm
    usually follows and has its own.

    Args:
        in_channels: channels of the input.
        out_channels: number of filters.
        kernel_size: as in torch.
        stride: as in torch.
        padding: number, tuple, "same" or "valid", as in torch.
        dilation: as in torch.
        groups: as in torch.
        bias: whether a real bias per filter is added.
        padding_mode: only torch's default; it keeps torch's order of arguments.
        device: as in torch.
        dtype: as in torch.
        weight_quantizer: name such as "sign" or "sign(scale=mean)", a `Quantizer`, or None for a real weight.
        input_quantizer: the same for the input; None takes the input as it comes.
        pad_value: −1, 0 or +1 around the quantized input; None is +1, or 0 where the input is not quantized here.
    """

    spatial = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: Literal["zeros"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        weight_quantizer: str | Quantizer | None = "sign",
        input_quantizer: str | Quantizer | None = "sign",
        pad_value: PadValue | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self._set_quantizers(weight_quantizer, input_quantizer)
        self._set_pad_value(pad_value)

    @override
    def _product(self, code: Tensor, weight: Tensor) -> Tensor:
        padding = self._even_padding
        if padding is not None and self.input_quantizer and self.weight_quantizer and integers.serves(code):
            return integers.integer_conv2d(
                code,
                weight,
                pad_value=self.pad_value,
                stride=self.stride,
                padding=padding,
                dilation=self.dilation,
                groups=self.groups,
            )
        if padding is not None and self.pad_value == 0:
            return self._convolve(code, weight, padding)
        return self._convolve(self._surrounded(code), weight, 0)

    @override
    def _convolve(self, input: Tensor, weight: Tensor, padding: int | tuple[int, ...]) -> Tensor:
        return F.conv2d(input, weight, None, self.stride, padding, self.dilation, self.groups)


@final
class BinaryConv1d(BinaryConvNd, nn.Conv1d):
    """`torch.nn.Conv1d` on signs; arguments and meaning as in `BinaryConv2d`.

    Args:
        in_channels: channels of the input.
        out_channels: number of filters.
        kernel_size: as in torch.
        stride: as in torch.
        padding: number, tuple, "same" or "valid", as in torch.
        dilation: as in torch.
        groups: as in torch.
        bias: whether a real bias per filter is added.
        padding_mode: only torch's default; it keeps torch's order of arguments.
        device: as in torch.
        dtype: as in torch.
        weight_quantizer: see `BinaryConv2d`.
        input_quantizer: see `BinaryConv2d`.
        pad_value: see `BinaryConv2d`.
    """

    spatial = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: str | int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = False,
        padding_mode: Literal["zeros"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        weight_quantizer: str | Quantizer | None = "sign",
        input_quantizer: str | Quantizer | None = "sign",
        pad_value: PadValue | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self._set_quantizers(weight_quantizer, input_quantizer)
        self._set_pad_value(pad_value)

    @override
    def _product(self, code: Tensor, weight: Tensor) -> Tensor:
        return self._convolve(self._surrounded(code), weight, 0)

    @override
    def _convolve(self, input: Tensor, weight: Tensor, padding: int | tuple[int, ...]) -> Tensor:
        return F.conv1d(input, weight, None, self.stride, padding, self.dilation, self.groups)
