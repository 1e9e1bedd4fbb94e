"""What the bit of every channel does while its sum rises over all that is attainable."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Step
from signbit.export.steps import Flatten, Function, MaxPool
from signbit.packed.bits import Array

_CHUNK = 2**22


@dataclass(frozen=True)
class Scan:
    """The bits of C channels over the attainable sums.

    Attributes:
        first: bit at the lowest sum, True for -1.
        changes: how often the bit changes.
        at: index of the first sum after the first change.
        trends: for each max-pool, whether the values before it ever rise, and ever fall: two arrays.
    """

    first: Array
    changes: Array
    at: Array
    trends: tuple[tuple[Array, Array], ...]

    @property
    def rises(self) -> Array:
        """Channels whose bit turns from -1 to +1."""
        return self.first & (self.changes > 0)

    @property
    def falls(self) -> Array:
        """Channels whose bit turns from +1 to -1."""
        return ~self.first & (self.changes > 0)

    def thresholds(self, sums: range, falling: Array) -> Array:
        """The int32 thresholds, of direction -1 where `falling`; a constant channel fires always or never."""
        after = sums[0] + sums.step * self.at
        turning = np.where(falling, after - sums.step, after)
        always = np.where(falling, sums[-1], sums[0])
        never = np.where(falling, sums[0] - 1, sums[-1] + 1)
        return np.where(self.changes > 0, turning, np.where(self.first, never, always)).astype(np.int32)


def scan(sums: range, steps: Sequence[Step], signs: Function, shape: tuple[int, ...]) -> Scan:
    """Evaluates steps and signs on every sum, a chunk at a time; neighbouring chunks share one sum."""
    bits, pooled = evaluate(_column(sums[:1], shape), steps, signs)
    first = bits[0]
    changes, at = np.zeros(first.size, np.int64), np.zeros(first.size, np.int64)
    trends = tuple((np.zeros(x.shape[1], bool), np.zeros(x.shape[1], bool)) for x in pooled)
    length = max(2, _CHUNK // max(first.size, shape[0]))
    for start in range(0, len(sums) - 1, length - 1):
        bits, pooled = evaluate(_column(sums[start : start + length], shape), steps, signs)
        differ = bits[1:] != bits[:-1]
        fresh = differ.any(axis=0) & (changes == 0)
        at[fresh] = start + 1 + differ[:, fresh].argmax(axis=0)
        changes += differ.sum(axis=0)
        for (rises, falls), x in zip(trends, pooled, strict=True):
            rises |= (x[1:] > x[:-1]).any(axis=0)
            falls |= (x[1:] < x[:-1]).any(axis=0)
    return Scan(first, changes, at, trends)


def _column(sums: range, shape: tuple[int, ...]) -> Tensor:
    """Every channel holding all of `sums`: (1, C, n, 1) for a map, (n, features) for a vector."""
    numbers = torch.arange(sums.start, sums.stop, sums.step).float()
    if len(shape) == 1:
        return numbers[:, None].repeat(1, shape[0])
    return numbers[None, None, :, None].repeat(1, shape[0], 1, 1)


def evaluate(x: Tensor, steps: Sequence[Step], signs: Function) -> tuple[Array, list[Array]]:
    """Bits (n, C), True for -1, and the values (n, C) in front of each max-pool, of x (1, C, n, 1) or (n, C)."""
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


def moves_before(steps: Sequence[Step], scans: Sequence[Scan], flat: bool) -> int | None:
    """How many of the moves come before the threshold, on integers; the others follow it, on bits.

    A max-pool may follow if what lies between it and the sign, sign included, rises with its input; it may precede if
    what lies before it does. Flattening may always precede, and follow if nothing per feature comes after it.
    """
    late, early, pool = [], [], 0
    for step in steps:
        if isinstance(step, MaxPool):
            late.append(not any(np.any(_turns_behind(found, pool)) for found in scans))
            early.append(not any(np.any(found.trends[pool][1]) for found in scans))
            pool += 1
        elif isinstance(step, Flatten):
            late.append(flat)
            early.append(True)
    return next((cut for cut in range(len(late) + 1) if all(early[:cut]) and all(late[cut:])), None)


def _turns_behind(found: Scan, pool: int) -> Array:
    """Channels in which what lies between a max-pool and the sign falls with its input."""
    rises, falls = (np.repeat(trend, found.first.size // trend.size) for trend in found.trends[pool])
    turns: Array = (rises & found.falls) | (falls & found.rises)
    return turns
