"""Folding everything between integer sums and a sign into one integer threshold and direction per channel.

The threshold is found by evaluating the very torch modules (CPU, eager, float32, eval mode) on every attainable sum,
so it carries their rounding: the packed bit equals torch's bit by construction, also for negative and zero scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Builder, Value
from signbit.export.error import ExportError
from signbit.export.steps import Flatten, Function, MaxPool, Scaling, Step
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Image, Int, integer_range

MAX_TRIALS = 2**28
"""Most attainable sums, over all channels, that are tried one by one; wider integers become reals before the sign."""

_CHUNK = 2**22


def fold(builder: Builder, value: Value, signs: Function, path: str) -> Value | None:
    """The bits of `signs` of `value` as a Threshold on integers, or None where real numbers have to be compared.

    A max-pool or flattening on the way is done on bits where that is exact, else on integers.

    Raises:
        ExportError: the bit of some channel changes more than once over the attainable sums.
    """
    edge = builder.edges[value.source]
    if not isinstance(edge, Image | Int) or any(isinstance(s, Scaling) and s.border is not None for s in value.steps):
        return None
    low, high = integer_range(edge)
    sums = range(low, high + 1, builder.spacing.get(value.source, 1))
    features = max(edge.shape[0], value.shape[0])
    if len(sums) * features > MAX_TRIALS:
        return None
    flat = bool(value.steps) and isinstance(value.steps[-1], Flatten)
    steps = value.steps[:-1] if flat else value.steps
    scan = _scan(sums, steps, signs, edge.shape)
    if np.any(scan.changes > 1):
        channel = int(np.argmax(scan.changes > 1))
        between = ", ".join(dict.fromkeys(step.path for step in steps))
        raise ExportError(
            f"{path}: the sign of channel {channel} changes {scan.changes[channel]} times while the sum of "
            f"{value.source!r} rises from {low} to {high}, so no threshold gives it; keep what lies between "
            f"({between}) monotone in every channel, for example with PReLU slopes >= 0"
        )
    cut = _cut(value.steps, scan, flat)
    if cut is None:
        return None
    moves = [step for step in value.steps if isinstance(step, MaxPool | Flatten)]
    source = value.source
    for move in moves[:cut]:
        source = move.emit(builder, source)
    threshold, direction = scan.thresholds(sums)
    source = builder.add(n.Threshold, path, source, threshold=threshold, direction=direction)
    for move in moves[cut:]:
        source = move.emit(builder, source)
    return builder.value(source)


@dataclass(frozen=True)
class _Scan:
    """What happens to each channel's bit while its sum rises.

    Attributes:
        first: bit at the lowest sum, True for -1.
        changes: how often the bit changes.
        at: index of the first sum after the first change.
        trends: for each max-pool, whether the values before it ever rise, and ever fall: two arrays (C,).
    """

    first: Array
    changes: Array
    at: Array
    trends: tuple[tuple[Array, Array], ...]

    def thresholds(self, sums: range) -> tuple[Array, Array]:
        """Threshold (C,) int32 and direction (C,) int8; a channel without a change fires always or never."""
        rises = self.first | (self.changes == 0)
        upper = sums[0] + sums.step * self.at
        constant = np.where(self.first, sums[-1] + 1, sums[0])
        threshold = np.where(self.changes == 0, constant, np.where(rises, upper, upper - sums.step))
        return threshold.astype(np.int32), np.where(rises, 1, -1).astype(np.int8)


def _scan(sums: range, steps: Sequence[Step], signs: Function, shape: tuple[int, ...]) -> _Scan:
    """Evaluates steps and signs on every sum, a chunk at a time; neighbouring chunks share one sum."""
    bits, pooled = _evaluate(_column(sums[:1], shape), steps, signs)
    first = bits[0]
    changes, at = np.zeros(first.size, np.int64), np.zeros(first.size, np.int64)
    trends = tuple((np.zeros(x.shape[1], bool), np.zeros(x.shape[1], bool)) for x in pooled)
    length = max(2, _CHUNK // max(first.size, shape[0]))
    for start in range(0, max(1, len(sums) - 1), length - 1):
        bits, pooled = _evaluate(_column(sums[start : start + length], shape), steps, signs)
        differ = bits[1:] != bits[:-1]
        fresh = differ.any(axis=0) & (changes == 0)
        at[fresh] = start + 1 + differ[:, fresh].argmax(axis=0)
        changes += differ.sum(axis=0)
        for (rises, falls), x in zip(trends, pooled, strict=True):
            rises |= (x[1:] > x[:-1]).any(axis=0)
            falls |= (x[1:] < x[:-1]).any(axis=0)
    return _Scan(first, changes, at, trends)


def _column(sums: range, shape: tuple[int, ...]) -> Tensor:
    """Every channel holding all of `sums`: (1, C, n, 1) for a map, (n, features) for a vector."""
    numbers = torch.arange(sums.start, sums.stop, sums.step).float()
    if len(shape) == 1:
        return numbers[:, None].repeat(1, shape[0])
    return numbers[None, None, :, None].repeat(1, shape[0], 1, 1)


def _evaluate(x: Tensor, steps: Sequence[Step], signs: Function) -> tuple[Array, list[Array]]:
    """Bits (n, C), True for -1, and the values (n, C) in front of each max-pool."""
    pooled = []
    with torch.no_grad():
        for step in steps:
            if isinstance(step, MaxPool):
                pooled.append(_rows(x))
            x = step.evaluate(x)
        return _rows(signs(x)) < 0, pooled


def _rows(x: Tensor) -> Array:
    array: Array = (x if x.dim() == 2 else x[0, :, :, 0].T).numpy()
    return array


def _cut(steps: Sequence[Step], scan: _Scan, flat: bool) -> int | None:
    """How many of the moves come before the threshold, on integers; the others follow it, on bits.

    A max-pool may follow if what lies between it and the sign, sign included, rises with its input; it may precede if
    what lies before it does. Flattening may always precede, and follow if nothing per feature comes after it.
    """
    channels = scan.first.size
    down = (scan.changes > 0) & ~scan.first
    up = (scan.changes > 0) & scan.first
    late, early, pool = [], [], 0
    for step in steps:
        if isinstance(step, MaxPool):
            rises, falls = (np.repeat(trend, channels // trend.size) for trend in scan.trends[pool])
            pool += 1
            late.append(not np.any((rises & down) | (falls & up)))
            early.append(not np.any(scan.trends[pool - 1][1]))
        elif isinstance(step, Flatten):
            late.append(flat)
            early.append(True)
    return next((cut for cut in range(len(late) + 1) if all(early[:cut]) and all(late[cut:])), None)
