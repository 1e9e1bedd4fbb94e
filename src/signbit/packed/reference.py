"""The slow interpreter that defines what every node means; torch and the native engine are each held equal to it.

A batch on an edge is one array (N, *shape): uint8 pixels, int8 bits (their integer values), int32 integers, float32
reals. Integer results are exact. A float operation is rounded to float32 once; sums of floats are taken in float64 and
then rounded, and `tolerance` bounds what another order of summation may give.
"""

from collections.abc import Iterator, Mapping
from functools import singledispatch

import numpy as np

from signbit.packed import nodes as n
from signbit.packed.bits import Array, values
from signbit.packed.edges import EDGE_DTYPES, Edge, Real
from signbit.packed.graph import Graph
from signbit.packed.weights import BinaryWeights
from signbit.packed.window import Window

UNIT = 2.0**-23
"""Spacing of float32 at 1."""


def run(graph: Graph, batch: Array | Mapping[str, Array]) -> Array:
    """The graph's output for a batch, or for one batch per input name."""
    result: Array = batch if isinstance(batch, np.ndarray) else next(iter(batch.values()))
    for name, result in trace(graph, batch):
        if name == graph.output:
            return result
    return result


def trace(graph: Graph, batch: Array | Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Every node's name and value in order of execution; values are forgotten after their last use."""
    inputs = dict.fromkeys(graph.inputs, batch) if isinstance(batch, np.ndarray) else batch
    held: dict[str, Array] = {name: checked(inputs[name], edge, name) for name, edge in graph.inputs.items()}
    last = {source: node.name for node in graph.nodes for source in node.inputs}
    for node in graph.nodes:
        held[node.name] = evaluate(node, graph.edges[node.name], [held[source] for source in node.inputs])
        yield node.name, held[node.name]
        for source in set(node.inputs):
            if last[source] == node.name and source != graph.output:
                del held[source]


def checked(batch: Array, edge: Edge, name: str) -> Array:
    """`batch` if it can stand on `edge`; else `ValueError` naming the input."""
    dtype = np.dtype(EDGE_DTYPES[type(edge)])
    if batch.shape[1:] != edge.shape or batch.ndim != len(edge.shape) + 1 or batch.dtype != dtype:
        expected = f"{dtype} (N, {', '.join(map(str, edge.shape))})"
        raise ValueError(f"input {name!r}: expected {expected}, got {batch.dtype} {batch.shape}")
    return batch


def evaluate(node: n.Node, edge: Edge, inputs: list[Array]) -> Array:
    """The value of one node, rounded to its output edge."""
    return _round(compute(node, *inputs), edge)


def _round(value: Array, edge: Edge) -> Array:
    if not isinstance(edge, Real):
        return value.astype(EDGE_DTYPES[type(edge)])
    with np.errstate(over="ignore"):
        if edge.format == "float16":
            return value.astype(np.float32).astype(np.float16).astype(np.float32)
        if edge.format == "int16":
            step = np.float32(edge.step)
            return np.clip(np.rint(value.astype(np.float32) / step), -32767, 32767) * step
        return value.astype(np.float32)


def _channels(vector: Array, x: Array) -> Array:
    """A per-channel vector (or a full-shape array) broadcast against x (N, C, ...)."""
    return vector.reshape(vector.shape + (1,) * (x.ndim - 1 - vector.ndim))


def _per_border(table: Array, border: Array | None, x: Array) -> Array:
    return _channels(table, x) if border is None else table[:, border]


@singledispatch
def compute(node: n.Node, *inputs: Array) -> Array:
    """The value of one node before rounding to its output edge."""
    raise NotImplementedError(type(node).__name__)


def _convolve(x: Array, weight: Array, window: Window, groups: int, pad: float) -> Array:
    """Sums in float64, so exact for the integers of a graph: x (N, C, H, W), weight (F, C/groups, kh, kw)."""
    patches = window.patches(x.astype(np.float64), pad)
    per_group = weight.shape[0] // groups
    results = []
    for g, part in enumerate(np.split(patches, groups, axis=1)):
        kernel = weight[g * per_group : (g + 1) * per_group].astype(np.float64)
        results.append(np.tensordot(part, kernel, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2))
    return np.concatenate(results, axis=1)


def signs(weight: BinaryWeights, filters: int, depth: int) -> Array:
    """One-bit weights as ±1, (filters, depth)."""
    return values(weight.decode(filters, depth))


def conv_signs(node: n.BinaryConv, channels: int) -> Array:
    """The ±1 kernel of a binary convolution on `channels` inputs: (filters, channels/groups, kh, kw)."""
    shape = (node.filters, channels // node.groups, *node.window.kernel)
    return signs(node.weight, node.filters, int(np.prod(shape[1:]))).reshape(shape)


def _two_levels(levels: Array | None, total: Array, *window_sum: Array) -> Array:
    if levels is None:
        return total
    low, high = _channels(levels[:, 0], total), _channels(levels[:, 1], total)
    half, middle = (high - low) / np.float32(2), (high + low) / np.float32(2)
    shared = np.repeat(window_sum[0], total.shape[1] // window_sum[0].shape[1], axis=1)
    return half * total.astype(np.float32) + middle * shared.astype(np.float32)


@compute.register
def _(node: n.BinaryConv, x: Array, *window_sum: Array) -> Array:
    kernel = conv_signs(node, x.shape[1])
    total = _convolve(x, kernel, node.window, node.groups, node.pad_value)
    return _two_levels(node.levels, total, *window_sum)


@compute.register
def _(node: n.BinaryLinear, x: Array, *window_sum: Array) -> Array:
    matrix = signs(node.weight, node.filters, x.shape[1]).astype(np.float64)
    return _two_levels(node.levels, x.astype(np.float64) @ matrix.T, *window_sum)


@compute.register
def _(node: n.WindowSum, x: Array) -> Array:
    if node.window is None:
        return x.sum(axis=1, keepdims=True, dtype=np.float64)
    ones = np.ones((node.groups, x.shape[1] // node.groups, *node.window.kernel))
    return _convolve(x, ones, node.window, node.groups, node.pad_value)


@compute.register
def _(node: n.Conv, x: Array) -> Array:
    total = _convolve(x, node.weight, node.window, node.groups, 0)
    return total if node.bias is None else total + _channels(node.bias, total)


@compute.register
def _(node: n.Linear, x: Array) -> Array:
    total = x.astype(np.float64) @ node.weight.T.astype(np.float64)
    return total if node.bias is None else total + node.bias


@compute.register
def _(node: n.Lookup, x: Array) -> Array:
    table = np.broadcast_to(node.table, (x.shape[1], 256))
    return np.stack([table[c][x[:, c]] for c in range(x.shape[1])], axis=1)


@compute.register
def _(node: n.Affine, x: Array) -> Array:
    scaled = x.astype(np.float32) * _channels(node.scale, x)
    return scaled + _per_border(node.offset, node.border, x)


@compute.register
def _(node: n.Threshold, x: Array, *window_sum: Array) -> Array:
    if window_sum:
        entry = (window_sum[0].astype(np.int64) - node.table_low) // node.table_step
        entry = np.repeat(entry, x.shape[1] // entry.shape[1], axis=1)
        channel = np.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
        cut = node.threshold[channel, entry]
    else:
        cut = _per_border(node.threshold, node.border, x)
    fires = np.where(_channels(node.direction, x) > 0, x >= cut, x <= cut)
    return np.where(fires, 1, -1)


@compute.register
def _(node: n.Sign, x: Array) -> Array:
    shifted = x.astype(np.float32)
    if node.shift is not None:
        shifted = shifted + _channels(node.shift, x)
    if node.planes == 1:
        return np.where(shifted < 0, -1, 1)
    return 2 * np.rint((np.clip(shifted, -1, 1) + np.float32(1)) * np.float32(1.5)) - 3


@compute.register
def _(node: n.Quantize, x: Array) -> Array:
    return np.clip(np.rint(x * np.float32(node.inverse_step)) + node.zero, node.low, node.high)


@compute.register
def _(node: n.Add, *inputs: Array) -> Array:
    if all(x.dtype == np.int32 for x in inputs):
        return np.sum([x.astype(np.int64) for x in inputs], axis=0)
    total = inputs[0].astype(np.float32)
    for x in inputs[1:]:
        total = total + x.astype(np.float32)
    return total


@compute.register
def _(node: n.Concat, *inputs: Array) -> Array:
    return np.concatenate(inputs, axis=1)


def _counts(window: Window, shape: tuple[int, ...], count_padding: bool) -> Array:
    return window.patches(np.ones((1, 1, *shape[2:])), float(count_padding)).sum(axis=(4, 5))


@compute.register
def _(node: n.Pool, x: Array) -> Array:
    if node.mode == "max":
        return node.window.patches(x.astype(np.float64), -np.inf).max(axis=(4, 5))
    total = node.window.patches(x.astype(np.float64), 0).sum(axis=(4, 5))
    if node.mode == "sum":
        return total
    counts = _counts(node.window, x.shape, node.count_padding)
    return total / counts if x.dtype == np.float32 else total.astype(np.float32) / counts.astype(np.float32)


@compute.register
def _(node: n.PReLU, x: Array) -> Array:
    real = x.astype(np.float32)
    upper = real if node.positive is None else real * _channels(node.positive, x)
    return np.where(real >= 0, upper, real * _channels(node.slope, x))


@compute.register
def _(node: n.HardTanh, x: Array) -> Array:
    return np.clip(x.astype(np.float32), np.float32(node.low), np.float32(node.high))


def _standardised(node: n.Norm, x: Array) -> Array:
    axes = (1,) if node.over == "channels" else tuple(range(1, x.ndim))
    centred = x - x.mean(axis=axes, keepdims=True, dtype=np.float64)
    return centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + node.eps)


@compute.register
def _(node: n.Norm, x: Array) -> Array:
    result = _standardised(node, x)
    if node.scale is not None:
        result = result * _channels(node.scale, x)
    return result if node.offset is None else result + _channels(node.offset, x)


@compute.register
def _(node: n.Gate, x: Array, gate: Array) -> Array:
    opening = gate.reshape(gate.shape + (1,) * (x.ndim - gate.ndim)).astype(np.float32)
    match node.function:
        case "sigmoid":
            with np.errstate(over="ignore"):
                opening = (1 / (1 + np.exp(-opening.astype(np.float64)))).astype(np.float32)
        case "hardsigmoid":
            opening = np.clip(opening / np.float32(6) + np.float32(0.5), np.float32(0), np.float32(1))
    return x.astype(np.float32) * opening


@compute.register
def _(node: n.Where, condition: Array, yes: Array, no: Array) -> Array:
    return np.where(condition > 0, yes, no)


@compute.register
def _(node: n.Select, x: Array) -> Array:
    chosen = x[:, node.index]
    return np.where(_channels(node.index, x) < 0, 0, chosen)


@compute.register
def _(node: n.Roll, x: Array) -> Array:
    return np.stack([np.roll(x[:, c], tuple(map(int, s)), axis=(1, 2)) for c, s in enumerate(node.shift)], axis=1)


@compute.register
def _(node: n.Flatten, x: Array) -> Array:
    return x.reshape(len(x), int(np.prod(x.shape[1:])))


def tolerance(node: n.Node, edge: Edge, inputs: list[Array], output: Array) -> Array:
    """Largest allowed distance of another implementation's float32 result, per element; 0 where it must be equal.

    Sums of K floats: (K + 2) · 2^-23 · sum of |terms|. A result rounded to float16 or int16 may fall one step further.
    """
    bound = _sum_error(node, inputs, output)
    if not isinstance(edge, Real) or not np.any(bound):
        return bound
    if edge.format == "float16":
        return bound + np.spacing(np.abs(output).astype(np.float16)).astype(np.float64)
    return bound + edge.step if edge.step is not None else bound


def _sum_error(node: n.Node, inputs: list[Array], output: Array) -> Array:
    x = inputs[0]
    exact = np.zeros(1)
    if x.dtype != np.float32 and not isinstance(node, n.Conv | n.Linear | n.Norm | n.Gate):
        return exact
    match node:
        case n.BinaryConv():
            magnitude = _convolve(
                np.abs(x), np.abs(conv_signs(node, x.shape[1])), node.window, node.groups, abs(node.pad_value)
            )
            return (_terms(x, node) + 2) * UNIT * magnitude
        case n.BinaryLinear():
            return (x.shape[1] + 2) * UNIT * np.broadcast_to(np.abs(x).sum(axis=1, keepdims=True), output.shape)
        case n.Conv() if node.weight.dtype == np.float32:
            magnitude = _convolve(np.abs(x.astype(np.float64)), np.abs(node.weight), node.window, node.groups, 0)
            bias = 0 if node.bias is None else _channels(np.abs(node.bias), output)
            return (_terms(x, node) + 2) * UNIT * (magnitude + bias)
        case n.Linear() if node.weight.dtype == np.float32:
            bias = 0 if node.bias is None else np.abs(node.bias)
            return (x.shape[1] + 2) * UNIT * (np.abs(x.astype(np.float64)) @ np.abs(node.weight.T) + bias)
        case n.Pool(mode="mean"):
            counts = _counts(node.window, x.shape, node.count_padding)
            magnitude = node.window.patches(np.abs(x.astype(np.float64)), 0).sum(axis=(4, 5))
            return (node.window.taps + 2) * UNIT * magnitude / counts
        case n.Norm():
            axes = (1,) if node.over == "channels" else tuple(range(1, x.ndim))
            terms = int(np.prod([x.shape[a] for a in axes]))
            spread = np.sqrt(x.astype(np.float64).var(axis=axes, keepdims=True) + node.eps)
            relative = (terms + 8) * UNIT * np.abs(x).max(axis=axes, keepdims=True) / spread
            z = _standardised(node, x)
            scale = 1 if node.scale is None else _channels(np.abs(node.scale), x)
            return relative * (1 + z**2) * scale + 8 * UNIT * np.abs(output)
        case n.Gate() if node.function == "sigmoid":
            return 8 * UNIT * np.abs(output) + UNIT * UNIT
    return exact


def _terms(x: Array, node: n.BinaryConv | n.Conv) -> int:
    return x.shape[1] // node.groups * node.window.taps
