"""Lowering convolutions and products with real weights: float32, or int8 with int32 sums on request."""

import numpy as np
import torch
from torch import Tensor, nn

from signbit.export.builder import Builder, Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.integer import reads_pixels, symmetric
from signbit.export.rules import lowers, pair, vector
from signbit.export.steps import Scaling
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits
from signbit.packed.window import Window


@lowers(nn.Conv2d)
def _conv(context: Context, path: str, module: nn.Conv2d, x: Value) -> Value:
    if module.padding_mode != "zeros":
        raise ExportError(f"{path}: padding_mode {module.padding_mode!r} has no packed form; use 'zeros'")
    kernel, dilation = pair(module.kernel_size), pair(module.dilation)
    if isinstance(module.padding, str):
        total = [d * (k - 1) if module.padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        padding = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    else:
        padding = pair(module.padding) * 2
    window = Window(kernel=kernel, stride=pair(module.stride), padding=padding, dilation=dilation)
    return lower_conv(context, path, module.weight, module.bias, x, window, module.groups)


@lowers(nn.Linear)
def _linear(context: Context, path: str, module: nn.Linear, x: Value) -> Value:
    return lower_linear(context, path, module.weight, module.bias, x)


def lower_conv(
    context: Context, path: str, weight: Tensor, bias: Tensor | None, x: Value, window: Window, groups: int
) -> Value:
    """A convolution with real weights and zero padding."""
    if reads_pixels(x) and context.stem == "int8":
        return _conv_on_pixels(context, path, weight, bias, x, window, groups)
    if not reads_pixels(x) and context.dense == "int8":
        source, step = _eight_bits(context, path, x)
        codes, steps = symmetric(weight)
        name = context.builder.add(n.Conv, path, source, window=window, groups=groups, weight=codes)
        return _dequantised(context, name, path, steps * step, bias)
    source = context.builder.emit(x)
    fields = {"weight": _float32(weight), "bias": None if bias is None else _float32(bias)}
    return context.builder.value(context.builder.add(n.Conv, path, source, window=window, groups=groups, **fields))


def lower_linear(context: Context, path: str, weight: Tensor, bias: Tensor | None, x: Value) -> Value:
    """A product with a real matrix."""
    if context.dense == "int8":
        source, step = _eight_bits(context, path, x)
        codes, steps = symmetric(weight)
        name = context.builder.add(n.Linear, path, source, weight=codes)
        return _dequantised(context, name, path, steps * step, bias)
    source = context.builder.emit(x)
    fields = {"weight": _float32(weight), "bias": None if bias is None else _float32(bias)}
    return context.builder.value(context.builder.add(n.Linear, path, source, **fields))


def _float32(weight: Tensor) -> Array:
    array: Array = weight.detach().float().contiguous().numpy().copy()
    return array


def _conv_on_pixels(
    context: Context, path: str, weight: Tensor, bias: Tensor | None, x: Value, window: Window, groups: int
) -> Value:
    """int8 weights on raw pixels p: Σ w (p/255 - mean)/std = Σ w' p - 255 Σ w' mean, with w' = w / (255 std).

    Padding adds nothing to either sum, so the second one depends on the border.
    """
    channels = context.image.shape[0]
    mean = np.broadcast_to(np.array(context.image.mean), channels)
    std = np.broadcast_to(np.array(context.image.std), channels)
    filters, per_group = weight.shape[:2]
    group = np.arange(filters) // (filters // groups)
    reads = group[:, None] * per_group + np.arange(per_group)
    codes, steps = symmetric(weight.detach().double() / torch.from_numpy(255 * std[reads])[:, :, None, None])
    name = context.builder.add(n.Conv, path, Builder.INPUT, window=window, groups=groups, weight=codes)
    flat = codes.reshape(filters, -1).astype(np.int64) * 255
    low, high = np.minimum(flat, 0).sum(axis=1).min(), np.maximum(flat, 0).sum(axis=1).max()
    context.builder.sums[name] = range(int(low), int(high) + 1)
    taps = (codes * mean[reads][:, :, None, None]).sum(axis=1) * -255 * steps[:, None, None]
    border, valid = border_classes(window, context.image.shape)
    offset = np.einsum("fyx,byx->fb", taps, valid) + vector(bias, filters)[:, None]
    step = Scaling.linear(f"{path}.rescale", steps, *((offset[:, 0],) if len(valid) == 1 else (offset, border)))
    return context.builder.value(name, step)


def border_classes(window: Window, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Class of every output position by the taps that lie inside the image.

    Returns:
        Class numbers (H', W') uint8, and the taps of each class (classes, kernel height, kernel width), 0 or 1.
    """
    inside = window.patches(np.ones((1, 1, *shape[1:])), 0.0)[0, 0]
    height, width = inside.shape[:2]
    valid, border = np.unique(inside.reshape(height * width, -1), axis=0, return_inverse=True)
    if len(valid) > 256:
        raise ExportError(f"a window {window} over {shape} has {len(valid)} border classes, more than 256")
    return border.reshape(height, width).astype(np.uint8), valid.reshape(-1, *window.kernel)


def _eight_bits(context: Context, path: str, x: Value) -> tuple[str, float]:
    """X as integers of 8 bits and their step, by the largest magnitude seen in calibration; bits stay bits."""
    builder = context.builder
    if isinstance(builder.edges[source := builder.emit(x)], Bits):
        return source, 1.0
    source = builder.as_real(x, path)
    if path not in context.ranges:
        raise ExportError(f"{path}: int8 needs the range of its input; give export a calibration batch")
    step = max(context.ranges[path], 1e-30) / 127
    inverse = float(np.float32(1 / step))
    key = ("int8", source, inverse)
    return builder.once(key, n.Quantize, f"{path}.quantize", source, inverse_step=inverse, low=-127), 1 / inverse


def _dequantised(context: Context, name: str, path: str, steps: Array, bias: Tensor | None) -> Value:
    return context.builder.value(name, Scaling.linear(f"{path}.rescale", steps, vector(bias, len(steps))))
