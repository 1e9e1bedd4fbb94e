"""The convolution of two codes where autocast computes in bfloat16: forward in 8-bit integers, twice as fast there.

oneDNN's 8-bit convolution sums in int32, so a sum is exact before its one rounding to bfloat16, as it is in the
bfloat16 convolution of codes: both give the same bits. Neither direction copies a padded input: the integer 0 is the
padding value forward, and the gradient of the weights gets the share of the border afterwards.
"""

import platform
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

__all__ = ["integer_conv2d", "serves"]


def serves(code: Tensor) -> bool:
    """Whether `integer_conv2d` may take this input: a batch on an x86 CPU, under autocast to bfloat16."""
    return (
        _AVAILABLE
        and code.device.type == "cpu"
        and code.dim() == 4
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def integer_conv2d(
    code: Tensor,
    weight: Tensor,
    *,
    pad_value: int,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Gives conv(pad(code), weight), exact and then rounded to bfloat16; gradients are those of bfloat16 products.

    Args:
        code: −1 or +1, (N, C, H, W), real dtype.
        weight: −1, 0 or +1, (filters, C/groups, kh, kw), real dtype.
        pad_value: −1, 0 or +1.
        stride: two numbers.
        padding: two numbers, of rows above and below and of columns left and right.
        dilation: two numbers.
        groups: as in torch.
    """
    window = [list(stride), list(padding), list(dilation)]
    result: Tensor = _IntegerConv2d.apply(code, weight, pad_value, window, groups)  # type: ignore[no-untyped-call]
    return result


class _IntegerConv2d(Function):
    @staticmethod
    def forward(code: Tensor, weight: Tensor, pad_value: int, window: list[list[int]], groups: int) -> Tensor:
        # Arithmetic, because compiled code is slow to turn booleans into bytes.
        distance = (code + 1 if pad_value == 0 else code * (-pad_value / 2) + 0.5).to(torch.uint8)
        return _distance_conv2d(distance, weight, pad_value, *window, groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        code, weight, ctx.pad_value, ctx.window, ctx.groups = inputs
        ctx.save_for_backward(code, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        code, weight = ctx.saved_tensors
        wanted = [*ctx.needs_input_grad[:2], False]
        low, code_low, weight_low = (each.to(torch.bfloat16) for each in (grad, code, weight))
        for_code, for_weight = _gradients(low, code_low, weight_low, ctx.window, ctx.groups, wanted)
        if for_code is not None:
            for_code = for_code.to(code.dtype)
        if for_weight is not None:
            for_weight = for_weight.to(weight.dtype)
            if ctx.pad_value and any(ctx.window[1]):
                for_weight = for_weight + ctx.pad_value * _border(low, code, weight, ctx.window)
        return for_code, for_weight, None, None, None


def _border(grad: Tensor, code: Tensor, weight: Tensor, window: list[list[int]]) -> Tensor:
    """Gradient of the weights through a border of ones, the same for all channels: (filters, 1, kh, kw)."""
    stride, (rows, columns), dilation = window
    ring = F.pad(code.new_zeros((1, 1, *code.shape[2:]), dtype=torch.float32), (columns, columns, rows, rows), value=1)
    # A product, because sums over the batch are slow in the memory order of convolutions.
    batch = grad.permute(0, 2, 3, 1).flatten(1)
    total = (batch.new_ones(1, len(batch)) @ batch).view(1, *grad.shape[2:], -1).permute(0, 3, 1, 2)
    filters = weight.new_zeros((weight.shape[0], 1, *weight.shape[2:]), dtype=torch.float32)
    found = _gradients(total.float(), ring, filters, [stride, [0, 0], dilation], 1, [False, True, False])[1]
    assert found is not None
    return found.to(weight.dtype)


def _gradients(
    grad: Tensor, input: Tensor, weight: Tensor, window: list[list[int]], groups: int, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    stride, padding, dilation = window
    found = torch.ops.aten.convolution_backward(
        grad, input, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
    )
    return found[0], found[1]


def _multiply(
    distance: Tensor,
    weight: Tensor,
    pad_value: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """Product of codes, the input given by its distance from the padding value, so that oneDNN's padding 0 is it.

    With pad value p = ±1 the input is x = p·(1 − 2d), so Σ w·x = p·Σ w − 2p·Σ w·d. With p = 0, x = d − 1.

    Args:
        distance: 0 or 1 with pad value ±1, code + 1 with pad value 0; uint8 (N, C, H, W).
        weight: see `integer_conv2d`.
        pad_value: see `integer_conv2d`.
        stride: two numbers.
        padding: two numbers.
        dilation: two numbers.
        groups: as in torch.
    """
    zero_point, scale = (1, 1.0) if pad_value == 0 else (0, 2.0)
    factors = (weight if pad_value == 0 else weight * -pad_value).to(torch.int8)
    ones = weight.new_ones(len(weight), dtype=torch.float32)
    window = (stride, padding, dilation, groups)
    packed = torch.ops.onednn.qconv_prepack(factors, ones, scale, zero_point, *window, list(distance.shape))
    offset = None if pad_value == 0 else -factors.sum((1, 2, 3), dtype=torch.float32)
    product: Tensor = torch.ops.onednn.qconv2d_pointwise(
        distance.contiguous(memory_format=torch.channels_last),
        scale,
        zero_point,
        packed,
        ones,
        ones.new_zeros(len(weight), dtype=torch.int64),
        offset,
        *window,
        1.0,
        0,
        torch.bfloat16,
        "none",
        [],
        "",
    )
    return product


_distance_conv2d = torch.library.custom_op("signbit::distance_conv2d", _multiply, mutates_args=(), device_types="cpu")


@_distance_conv2d.register_fake
def _shape_of_conv2d(
    distance: Tensor,
    weight: Tensor,
    pad_value: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    sizes = zip(distance.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    extent = [(size + 2 * pad - step * (kernel - 1) - 1) // jump + 1 for size, kernel, jump, pad, step in sizes]
    shape = (distance.shape[0], weight.shape[0], *extent)
    return distance.new_empty(shape, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)


def _available() -> bool:
    """Whether oneDNN has these products here; tried once, because its operators are not among torch's public ones."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        distance = torch.ones(1, 2, 1, 1, dtype=torch.uint8, device="cpu")
        weight = torch.ones(1, 2, 1, 1, device="cpu")
        product = _multiply(distance, weight, 1, [1, 1], [0, 0], [1, 1], 1)
        return product.dtype == torch.bfloat16 and product.item() == -2
    except (AttributeError, RuntimeError):
        return False


_AVAILABLE = _available()
