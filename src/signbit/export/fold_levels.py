"""Folding what lies between a layer with weights of two levels and a sign into one real cut per channel.

The layer gives z = half · d + middle · S of two integer sums, in two products and one addition of float32. A table of
integer thresholds for d over S would take 32 bits for every weight. The bit depends on z alone, so one number does:
the float at which the very torch modules (CPU, eager, float32, eval mode) change the sign. Where the sign falls with z
the levels change their own signs, which is exact, so that no direction is left to store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from signbit.export.builder import Builder, Step, Value
from signbit.export.scan import Scan, evaluate, moves_before
from signbit.export.steps import Flatten, Function, Levels, MaxPool
from signbit.packed import nodes as n
from signbit.packed.bits import Array

MAX_TRIALS = 2**26
"""Most pairs of sums, over all channels, that are tried one by one; of more, those next to the cut and evenly many."""

_CHUNK = 2**20


def fold_levels(builder: Builder, value: Value, signs: Function, path: str) -> Value | None:
    """The bits of `signs` of `value`, whose first step is `Levels`, as a Sign of the layer's real sums.

    None where something else reads the real values, where functions per feature follow a flattening, and where the
    bit of some channel changes more than once: then real numbers are computed as torch does.
    """
    levels, rest = value.steps[0], value.steps[1:]
    if not isinstance(levels, Levels):
        raise TypeError(f"the first step is {type(levels).__name__}, not Levels")
    flat = bool(rest) and isinstance(rest[-1], Flatten)
    inner = rest[:-1] if flat else rest
    shared = any((value.source, value.steps[:end]) in builder.shared for end in range(1, len(value.steps) + 1))
    if shared or any(isinstance(step, Flatten) for step in inner):
        return None
    found = _Search(levels, inner, signs, vector=len(builder.edges[value.source].shape) == 1).run()
    if found is None or (early := moves_before(rest, [found.scan], flat)) is None:
        return None
    moves, falls = [step for step in rest if isinstance(step, MaxPool | Flatten)], found.scan.falls
    turn = torch.from_numpy(np.where(falls, -1, 1).astype(np.float32))
    if early == 0:
        # The sign of a product and of a sum of floats is that of its rounding, so turned levels give exactly -z.
        levels = replace(levels, low=levels.low * turn, high=levels.high * turn)
    source = levels.emit(builder, value.source)
    for move in moves[:early]:
        source = move.emit(builder, source)
    if early > 0 and falls.any():
        source = builder.add(n.Affine, path, source, scale=turn.numpy(), offset=np.zeros(len(turn), np.float32))
    source = builder.add(n.Sign, path, source, shift=found.shift)
    for move in moves[early:]:
        source = move.emit(builder, source)
    return builder.value(source)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Cut:
    """Where the bit of every channel changes.

    Attributes:
        scan: what the bits do while z rises.
        shift: float32 (C,): the bit is the sign of z + shift, or of -z + shift where it falls.
    """

    scan: Scan
    shift: Array


@dataclass(frozen=True, eq=False)
class _Search:
    """The real sums z of a layer, and the bits that steps and signs make of them.

    Attributes:
        levels: of the layer.
        steps: what follows, without a flattening.
        signs: the sign.
        vector: whether the layer gives features, not maps.
    """

    levels: Levels
    steps: Sequence[Step]
    signs: Function
    vector: bool

    def run(self) -> _Cut | None:
        """The cuts, tried on the attainable sums; None if a channel changes more than once."""
        ends = self._ends()
        lowest, highest = ends.amin(0), ends.amax(0)
        first, last = (self._bits(z[None])[0][0] for z in (lowest, highest))
        changed = first != last
        cut = self._bisect(lowest, highest, torch.from_numpy(first), torch.from_numpy(changed))
        # A constant bit changes outside of what z can be.
        beyond = torch.nextafter(highest, torch.tensor(torch.inf))
        cut = torch.where(torch.from_numpy(changed), cut, torch.where(torch.from_numpy(first), beyond, lowest))
        rising = first | ~changed
        trends: list[tuple[Array, Array]] = []
        for z in self._probes(cut):
            bits, pooled = self._bits(z)
            below = (z < cut).numpy()
            if not np.array_equal(bits, np.where(rising, below, ~below)):
                return None
            trends = trends or [(np.zeros(len(cut), bool), np.zeros(len(cut), bool)) for _ in pooled]
            for (rises, falls), x in zip(trends, pooled, strict=True):
                rises |= (x[1:] > x[:-1]).any(axis=0)
                falls |= (x[1:] < x[:-1]).any(axis=0)
        shift = torch.where(torch.from_numpy(rising), -cut, torch.nextafter(cut, torch.tensor(-torch.inf)))
        scan = Scan(first, changed.astype(np.int64), np.zeros(len(cut), np.int64), tuple(trends))
        return _Cut(scan=scan, shift=shift.numpy())

    def _bits(self, z: Tensor) -> tuple[Array, list[Array]]:
        """Bits (n, C), True for -1, and the values in front of each max-pool, of z (n, C)."""
        return evaluate(z if self.vector else z.T[None, :, :, None], self.steps, self.signs)

    def _sums(self, d: Array, s: Array) -> Tensor:
        """The layer's z (n, C) for pairs of sums: d (n,) or (n, C), s (n,)."""
        half, middle = (self.levels.high - self.levels.low) / 2, (self.levels.high + self.levels.low) / 2
        product, shared = torch.from_numpy(d).float(), torch.from_numpy(s).float()
        return (product if d.ndim == 2 else product[:, None]) * half + shared[:, None] * middle

    def _reach(self) -> tuple[Array, Array, Array]:
        """Every attainable S, and the first and last d that may stand beside it."""
        beside = [self.levels.beside(s) for s in self.levels.sums]
        found = [(s, d[0], d[-1]) for s, d in zip(self.levels.sums, beside, strict=True) if len(d) > 0]
        s, low, high = np.array(found, np.int64).T
        return s, low, high

    def _ends(self) -> Tensor:
        s, low, high = self._reach()
        return torch.cat([self._sums(low, s), self._sums(high, s)])

    def _bisect(self, lowest: Tensor, highest: Tensor, first: Tensor, changed: Tensor) -> Tensor:
        """The smallest float above `lowest` whose bit is not `first`, in every channel that has `changed`."""
        low, high = _keys(lowest), _keys(highest)
        while bool(((high - low > 1) & changed).any()):
            middle = (low + high) >> 1
            bits = torch.from_numpy(self._bits(_floats(middle)[None])[0][0])
            low, high = torch.where(bits == first, middle, low), torch.where(bits == first, high, middle)
        return _floats(high)

    def _probes(self, cut: Tensor) -> Iterator[Tensor]:
        """Chunks of attainable z: all, or those next to the cut for every S and a selection.

        Next to the cut is where rounding decides; the selection would show a sign that changes elsewhere.
        """
        s, low, high = self._reach()
        counts = (high - low) // 2 + 1
        channels = len(cut)
        apart = max(1, -(-int(counts.sum()) * channels // MAX_TRIALS))
        rows = max(2, _CHUNK // channels)
        ends = np.cumsum(counts)
        for start in range(0, int(ends[-1]), rows * apart):
            pairs = np.arange(start, min(start + rows * apart, int(ends[-1])), apart)
            of = np.searchsorted(ends, pairs, side="right")
            yield self._rising(self._sums(low[of] + 2 * (pairs - (ends[of] - counts[of])), s[of]))
        if apart == 1:
            return
        half, middle = (self.levels.high - self.levels.low) / 2, (self.levels.high + self.levels.low) / 2
        for start in range(0, len(s), rows):
            part = slice(start, start + rows)
            shared = (torch.from_numpy(s[part]).float()[:, None] * middle).double()
            near = ((cut.double() - shared) / half.double()).nan_to_num(0, 0, 0).numpy()
            index = np.floor((near - low[part, None]) / 2).clip(-1, counts[part, None]).astype(np.int64)
            for step in (-1, 0, 1, 2):
                d = low[part, None] + 2 * (index + step).clip(0, counts[part, None] - 1)
                yield self._rising(self._sums(d, s[part]))

    def _rising(self, z: Tensor) -> Tensor:
        """The chunk z (n, C) in order, where max-pools ask whether values rise."""
        return z.sort(0).values if any(isinstance(step, MaxPool) for step in self.steps) else z


def _keys(x: Tensor) -> Tensor:
    """Integers in the order of the floats."""
    bits = x.contiguous().view(torch.int32).long()
    return torch.where(bits < 0, -(2**31) - bits, bits)


def _floats(keys: Tensor) -> Tensor:
    """Inverse of `_keys`."""
    return torch.where(keys < 0, -(2**31) - keys, keys).to(torch.int32).view(torch.float32)
