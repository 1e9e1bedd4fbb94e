"""Lowering what moves values without changing them: flattening, joining, choosing channels."""

import operator
from collections.abc import Sequence
from math import prod
from types import EllipsisType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from signbit.export.builder import Value
from signbit.export.context import Context
from signbit.export.error import ExportError
from signbit.export.integer import pixel_table
from signbit.export.rules import lowers, lowers_function
from signbit.export.steps import Flatten, MaxPool, Normalise, Unsqueeze
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.window import Window


def flattened(x: Value, path: str) -> Value:
    """X as one vector."""
    if len(x.shape) == 1:
        return x
    positions = x.shape[1] * x.shape[2]
    return x.then(Flatten(path=path, positions=positions), (x.shape[0] * positions,))


@lowers(nn.Flatten)
def _flatten(context: Context, path: str, module: nn.Flatten, x: Value) -> Value:
    return _flatten_function(context, path, x, module.start_dim, module.end_dim)


@lowers_function(torch.flatten, "flatten")
def _flatten_function(context: Context, path: str, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    rank = len(x.shape) + 1
    if start_dim != 1 or end_dim % rank != rank - 1:
        raise ExportError(f"{path}: flattening packs for everything but the batch, start_dim=1, got {start_dim}")
    return flattened(x, path)


@lowers_function(torch.reshape, "view", "reshape")
def _view(context: Context, path: str, x: Value, *sizes: Any) -> Value:
    shape = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    if len(x.shape) == 1 and len(shape) == 4 and shape[1] in (-1, x.shape[0]) and shape[2:] == (1, 1):
        return _unsqueezed(x, path)
    if len(shape) != 2 or shape[0] not in (1, -1) or shape[1] not in (-1, prod(x.shape)):
        raise ExportError(f"{path}: reshaping {x.size()} to {shape} has no packed form; only to (batch, -1)")
    return flattened(x, path)


def _unsqueezed(x: Value, path: str) -> Value:
    return x.then(Unsqueeze(path=path), (*x.shape, 1, 1))


@lowers_function("size")
def _size(context: Context, path: str, x: Value, dim: int | None = None) -> Any:
    return x.size() if dim is None else x.size()[dim]


@lowers_function("dim")
def _dim(context: Context, path: str, x: Value) -> int:
    return len(x.size())


@lowers_function(getattr)
def _attribute(context: Context, path: str, x: Any, name: str) -> Any:
    if not isinstance(x, Value):
        return getattr(x, name)
    if name != "shape":
        raise ExportError(f"{path}: tensor attribute {name!r} has no packed form")
    return x.size()


@lowers_function(torch.cat, torch.concat)
def _concat(context: Context, path: str, tensors: Sequence[Value], dim: int = 0) -> Value:
    if dim % len(tensors[0].size()) != 1:
        raise ExportError(f"{path}: joining packs along the channels, dim=1, got {dim}")
    builder = context.builder
    sources = [builder.emit(x) for x in tensors]
    if len({type(builder.edges[source]) for source in sources}) > 1:
        sources = [builder.as_real(x, path) for x in tensors]
    return builder.value(builder.add(n.Concat, path, *sources))


@lowers_function(torch.chunk, "chunk")
def _chunk(context: Context, path: str, x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    return _split(context, path, x, -(-x.shape[0] // chunks), dim)


@lowers_function(torch.split, "split")
def _split(context: Context, path: str, x: Value, size: int | Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    if dim % len(x.size()) != 1:
        raise ExportError(f"{path}: splitting packs along the channels, dim=1, got {dim}")
    sizes = [size] * -(-x.shape[0] // size) if isinstance(size, int) else list(size)
    ends = np.minimum(np.cumsum(sizes), x.shape[0])
    starts = [0, *ends[:-1]]
    return tuple(selected(context, path, x, np.arange(a, b)) for a, b in zip(starts, ends, strict=True))


def selected(context: Context, path: str, x: Value, index: Array) -> Value:
    """The channels `index` of x, 0 where it is -1."""
    if np.array_equal(index, np.arange(x.shape[0])):
        return x
    builder = context.builder
    if (table := pixel_table(x)) is not None and index.min() >= 0:
        # Pixels stay pixels, so that signs of them are thresholds.
        source = builder.add(n.Select, path, x.source, index=index.astype(np.int32))
        return builder.value(source, Normalise(path=f"{path}.normalise", table=table[index]))
    source = builder.as_real(x, path) if index.min() < 0 else builder.emit(x)
    return builder.value(builder.add(n.Select, path, source, index=index.astype(np.int32)))


@lowers_function(operator.getitem)
def _getitem(context: Context, path: str, x: Any, key: Any) -> Any:
    if not isinstance(x, Value):
        return x[key]
    keys = list(key) if isinstance(key, tuple) else [key]
    if len(x.shape) == 1 and keys in ([slice(None), slice(None), None, None], [..., None, None]):
        return _unsqueezed(x, path)
    if EllipsisType in map(type, keys):
        at = next(i for i, k in enumerate(keys) if k is ...)
        keys[at : at + 1] = [slice(None)] * (len(x.size()) - len(keys) + 1)
    keys += [slice(None)] * (len(x.size()) - len(keys))
    if not all(isinstance(k, slice) for k in keys) or keys[0] != slice(None):
        raise ExportError(f"{path}: indexing packs as slices of channels, rows and columns, got {key}")
    result = selected(context, path, x, np.arange(x.shape[0])[keys[1]])
    strides = tuple(_stride(path, k, size) for k, size in zip(keys[2:], x.shape[1:], strict=True))
    if set(strides) <= {1}:
        return result
    window = Window(kernel=(1, 1), stride=(strides[0], strides[1]))
    return result.then(MaxPool(path=f"{path}.stride", window=window), (result.shape[0], *window.output(x.shape)))


def _stride(path: str, key: slice, size: int) -> int:
    start, stop, step = key.indices(size)
    if start != 0 or stop != size:
        raise ExportError(f"{path}: a slice of rows or columns packs over all of them (::step), got {key}")
    return step


@lowers_function(F.pad)
def _pad(
    context: Context, path: str, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value:
    channels = len(x.shape) * 2
    sides = [*pad, *[0] * (channels - len(pad))]
    if (
        mode != "constant"
        or value not in (None, 0)
        or any(sides[: channels - 2])
        or min(sides) < 0
        or len(pad) > channels
    ):
        raise ExportError(f"{path}: padding packs for channels with 0 only, got {tuple(pad)}; pad maps in the layer")
    before, after = sides[channels - 2 : channels]
    index = np.concatenate([np.full(before, -1), np.arange(x.shape[0]), np.full(after, -1)])
    return selected(context, path, x, index)


@lowers(nn.ChannelShuffle)
def _channel_shuffle(context: Context, path: str, module: nn.ChannelShuffle, x: Value) -> Value:
    index = np.arange(x.shape[0]).reshape(module.groups, -1).T.reshape(-1)
    return selected(context, path, x, index)
