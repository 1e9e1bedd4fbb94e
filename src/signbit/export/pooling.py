"""Lowering pools."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from signbit.export.builder import Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.moves import flattened
from signbit.export.rules import lowers, lowers_function, pair
from signbit.export.steps import MaxPool
from signbit.packed import nodes as n
from signbit.packed.edges import GraphError
from signbit.packed.window import Window


@lowers(nn.MaxPool2d)
def _max_pool(context: Context, path: str, module: nn.MaxPool2d, x: Value) -> Value:
    sizes = (module.kernel_size, module.stride, module.padding, module.dilation)
    return _max_pool_function(context, path, x, *sizes, ceil_mode=module.ceil_mode)


@lowers_function(F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d)
def _max_pool_function(
    context: Context,
    path: str,
    x: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Value:
    if return_indices:
        raise ExportError(f"{path}: a max-pool that returns indices has no packed form")
    window = _window(x, path, kernel_size, stride, padding, dilation, ceil_mode)
    return x.then(MaxPool(path=path, window=window), (x.shape[0], *window.output(x.shape)))


def _window(
    x: Value, path: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1, ceil_mode: bool = False
) -> Window:
    """The window of a pool; in `ceil_mode` the last window may hang over the edge, but starts inside."""
    kernel, before, dilation = pair(kernel_size), pair(padding), pair(dilation)
    step = kernel if stride is None or stride == [] else pair(stride)
    after = [*before]
    if ceil_mode and len(x.shape) == 3:
        for i, size in enumerate(x.shape[1:]):
            free = size + 2 * before[i] - dilation[i] * (kernel[i] - 1) - 1
            last = -(-free // step[i])
            last -= last * step[i] >= size + before[i]
            after[i] += max(0, last * step[i] - free)
    window = Window(kernel=kernel, stride=step, padding=(before[0], before[1], after[0], after[1]), dilation=dilation)
    try:
        window.output(x.shape)
    except GraphError as error:
        raise ExportError(f"{path}: {error}") from None
    return window


@lowers(nn.AvgPool2d)
def _average_pool(context: Context, path: str, module: nn.AvgPool2d, x: Value) -> Value:
    sizes = (module.kernel_size, module.stride, module.padding)
    rest = (module.ceil_mode, module.count_include_pad, module.divisor_override)
    return _average_pool_function(context, path, x, *sizes, *rest)


@lowers_function(F.avg_pool2d)
def _average_pool_function(
    context: Context,
    path: str,
    x: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    window = _window(x, path, kernel_size, stride, padding, ceil_mode=ceil_mode)
    padded = any(pair(padding))
    overhangs = window.padding[:2] != window.padding[2:]
    if divisor_override is not None or (overhangs and padded and count_include_pad):
        raise ExportError(
            f"{path}: an average pool with divisor_override, or with padding counted in ceil_mode, has no packed form"
        )
    return _mean(context, path, x, window, count_padding=padded and count_include_pad)


def _mean(context: Context, path: str, x: Value, window: Window, *, count_padding: bool = False) -> Value:
    source = context.builder.emit(x)
    fields = {"window": window, "mode": "mean", "count_padding": count_padding}
    return context.builder.value(context.builder.add(n.Pool, path, source, **fields))


@lowers(nn.AdaptiveAvgPool2d)
def _adaptive_pool(context: Context, path: str, module: nn.AdaptiveAvgPool2d, x: Value) -> Value:
    return _adaptive_pool_function(context, path, x, module.output_size)


@lowers_function(F.adaptive_avg_pool2d)
def _adaptive_pool_function(context: Context, path: str, x: Value, output_size: Any) -> Value:
    return _mean(context, path, x, _adaptive_window(x, path, output_size))


@lowers(nn.AdaptiveMaxPool2d)
def _adaptive_max_pool(context: Context, path: str, module: nn.AdaptiveMaxPool2d, x: Value) -> Value:
    window = _adaptive_window(x, path, module.output_size)
    return x.then(MaxPool(path=path, window=window), (x.shape[0], *window.output(x.shape)))


def _adaptive_window(x: Value, path: str, output_size: Any) -> Window:
    sizes = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    target = [size if wanted is None else wanted for wanted, size in zip(sizes, x.shape[1:], strict=True)]
    if any(size % wanted for wanted, size in zip(target, x.shape[1:], strict=True)):
        raise ExportError(f"{path}: adaptive pooling packs where {target} divides the map {list(x.shape[1:])}")
    kernel = (x.shape[1] // target[0], x.shape[2] // target[1])
    return Window(kernel=kernel, stride=kernel)


@lowers_function(torch.mean, "mean")
def _mean_function(context: Context, path: str, x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    dims = (dim,) if isinstance(dim, int) else tuple(dim if dim is not None else ())
    if len(x.shape) != 3 or {d % 4 for d in dims} != {2, 3}:
        raise ExportError(f"{path}: a mean packs over height and width, dim=(2, 3), got {dim}")
    pooled = _mean(context, path, x, Window(kernel=(x.shape[1], x.shape[2])))
    return pooled if keepdim else flattened(pooled, path)
