"""The element-wise operators of FINN and QONNX graphs, in their own float32 arithmetic, and what they amount to.

A chain of them turns an integer of channel c into a number. Folding evaluates the chain on every value that the
integer can take, so the threshold that replaces it gives the same bit for each of them, whatever was rounded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from signbit.packed.bits import Array

Attributes = Mapping[str, Any]
Stage = Callable[[Array], Array]
"""A function of values (n, channels or 1), float32, to values of the same kind."""

ROWS = 4096
"""Values evaluated at once."""


def _multi_threshold(operands: Sequence[Array], attributes: Attributes) -> Array:
    """out_scale · (number of thresholds t with x >= t) + out_bias (finn.custom_op.general)."""
    x, thresholds = operands
    if attributes.get("data_layout", b"NCHW") != b"NCHW":
        raise ValueError("data_layout is not NCHW")
    count = (x[..., None] >= thresholds).sum(axis=-1)
    scale, bias = attributes.get("out_scale", 1.0), attributes.get("out_bias", 0.0)
    return np.asarray(scale * count + bias, np.float32)


def _batch_norm(operands: Sequence[Array], attributes: Attributes) -> Array:
    """Normalises: scale · (x - mean) / sqrt(var + epsilon) + offset, in the order of the ONNX reference."""
    x, scale, offset, mean, variance = operands
    if attributes.get("training_mode", 0):
        raise ValueError("training_mode is on; export the network for inference")
    result: Array = scale * (x - mean) / np.sqrt(variance + np.float32(attributes.get("epsilon", 1e-5))) + offset
    return result


def _bipolar_quant(operands: Sequence[Array], attributes: Attributes) -> Array:
    """Signs: scale · sign(x), sign(0) = +1 (qonnx.custom_op.general)."""
    x, scale = operands
    return np.where(x >= 0, scale, -scale)


def _quant(operands: Sequence[Array], attributes: Attributes) -> Array:
    """Quantises: scale · (round(clip(x / scale + zero, low, high)) - zero); one signed bit is a sign (QONNX)."""
    x, scale, zero, width = operands
    bits, signed = int(width.reshape(())), bool(attributes.get("signed", 1))
    scaled = x / scale + zero
    if bits == 1 and signed:
        return (np.where(scaled >= 0, np.float32(1), np.float32(-1)) - zero) * scale
    narrow = int(attributes.get("narrow", 0))
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    rounding = {b"ROUND": np.rint, b"FLOOR": np.floor, b"CEIL": np.ceil}
    mode = attributes.get("rounding_mode", b"ROUND")
    if mode not in rounding:
        raise ValueError(f"rounding_mode {mode!r} is none of {', '.join(m.decode() for m in rounding)}")
    return (rounding[mode](np.clip(scaled, low, high)) - zero) * scale


ELEMENTWISE: dict[str, Callable[[Sequence[Array], Attributes], Array]] = {
    "Add": lambda operands, _: operands[0] + operands[1],
    "Sub": lambda operands, _: operands[0] - operands[1],
    "Mul": lambda operands, _: operands[0] * operands[1],
    "Div": lambda operands, _: operands[0] / operands[1],
    "BatchNormalization": _batch_norm,
    "MultiThreshold": _multi_threshold,
    "BipolarQuant": _bipolar_quant,
    "Quant": _quant,
}
"""Operators by their ONNX name: (operands, attributes) to the result."""


def evaluate(stages: Sequence[Stage], values: Array) -> Array:
    """The chain on `values` (n,), each as float32: (n, channels), or (n, 1) where all channels agree.

    Raises:
        ValueError: a result is not a number.
    """
    results = []
    for start in range(0, len(values), ROWS):
        x = values[start : start + ROWS, None].astype(np.float32)
        with np.errstate(all="ignore"):
            for stage in stages:
                x = stage(x)
        results.append(x)
    result = np.concatenate(results)
    if not np.isfinite(result).all():
        raise ValueError("a result is not finite")
    return result[:, :1] if (result == result[:, :1]).all() else result


def magnitude(values: Array) -> float | None:
    """The s such that each of `values` is s or -s, if there is one and it a power of two (sums are then exact)."""
    sizes = np.unique(np.abs(values))
    return float(sizes[0]) if len(sizes) == 1 and np.frexp(sizes[0])[0] == 0.5 else None


def thresholds(values: Array, fires: Array) -> tuple[Array, Array]:
    """Threshold and direction per channel that equal `fires` (n, channels) on the rising integers `values` (n,).

    Raises:
        ValueError: a channel that fires, stops and fires again, or the other way round.
    """
    if ((fires[1:] != fires[:-1]).sum(axis=0) > 1).any():
        raise ValueError("the bit changes more than once as the sum rises, so no threshold gives it")
    falling = fires[0] & ~fires[-1]
    first = values[fires.argmax(axis=0)]
    last = values[len(values) - 1 - fires[::-1].argmax(axis=0)]
    cut = np.where(falling, last, np.where(fires.any(axis=0), first, values[-1] + 1))
    return cut.astype(np.int32), np.where(falling, -1, 1).astype(np.int8)


def steps(values: Array) -> tuple[Array, float] | None:
    """`values` as 8-bit integers times one power of two, or None if they are not."""
    largest = float(np.abs(values).max())
    exponent = int(np.frexp(largest)[1]) if largest > 0 else 0
    for power in range(exponent, exponent - 10, -1):
        integers = values / np.float32(2.0**power)
        if (integers == np.rint(integers)).all():
            low, high = integers.min(), integers.max()
            fits = -128 <= low <= high <= 127 or 0 <= low <= high <= 255
            return (integers.astype(np.int32), 2.0**power) if fits else None
    return None


def affine(stages: Sequence[Stage], values: Array) -> tuple[Array, Array]:
    """Scale and offset per channel that follow the chain on the rising integers `values` to within float32 rounding.

    Raises:
        ValueError: the chain is not affine.
    """
    result = evaluate(stages, values).astype(np.float64)
    ends = values[[0, -1]].astype(np.float64)[:, None]
    for stage in stages:
        ends = stage(ends)
    scale = (ends[1] - ends[0]) / float(values[-1] - values[0])
    offset = ends[0] - scale * float(values[0])
    error = np.abs(values[:, None] * scale + offset - result).max()
    if error > 1e-5 * np.abs(result).max():
        raise ValueError("the operators before the output are not affine")
    return scale.astype(np.float32), offset.astype(np.float32)
