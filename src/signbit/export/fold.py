"""Folding everything between integer sums and a sign into one integer threshold and direction per channel.

Where weights take two levels, `fold_levels` finds a real cut instead.

The threshold is found by evaluating the very torch modules (CPU, eager, float32, eval mode) on every attainable sum,
so it carries their rounding: the packed bit equals torch's bit by construction, also for negative and zero scales.
"""

from collections.abc import Sequence

import numpy as np

from signbit.export.builder import Builder, Step, Value
from signbit.export.error import ExportError
from signbit.export.fold_levels import fold_levels
from signbit.export.scan import Scan, moves_before, scan
from signbit.export.steps import Flatten, Function, Levels, MaxPool, Scaling
from signbit.packed import nodes as n
from signbit.packed.edges import Image, Int, integer_range

MAX_TRIALS = 2**28
"""Most attainable sums, over all channels, that are tried one by one; wider integers become reals before the sign."""


def fold(builder: Builder, value: Value, signs: Function, path: str) -> Value | None:
    """The bits of `signs` of `value` as a Threshold on integers, or None where real numbers have to be compared.

    A max-pool or flattening on the way is done on bits where that is exact, else on integers.

    Raises:
        ExportError: the bit of some channel changes more than once over the attainable sums.
    """
    edge = builder.edges[value.source]
    if not isinstance(edge, Image | Int):
        return None
    if value.steps and isinstance(value.steps[0], Levels):
        return fold_levels(builder, value, signs, path)
    low, high = integer_range(edge)
    sums = builder.sums.get(value.source, range(low, high + 1))
    flat = bool(value.steps) and isinstance(value.steps[-1], Flatten)
    channels = max(edge.shape[0], value.shape[0])
    variants = _variants(value.steps[:-1] if flat else value.steps)
    if len(variants) * len(sums) * channels > MAX_TRIALS:
        return None
    scans = [scan(sums, steps, signs, edge.shape) for steps in variants]
    for found, steps in zip(scans, variants, strict=True):
        _expect_monotone(found, sums, steps, value.source, path)
    cut = moves_before(value.steps, scans, flat)
    rising, falling = (np.any([getattr(s, name) for s in scans], axis=0) for name in ("rises", "falls"))
    border = next((step.border for step in value.steps if isinstance(step, Scaling) and step.border is not None), None)
    if cut is None or (len(scans) > 1 and (cut > 0 or np.any(rising & falling))):
        return None
    moves = [step for step in value.steps if isinstance(step, MaxPool | Flatten)]
    source = value.source
    for move in moves[:cut]:
        source = move.emit(builder, source)
    thresholds = [found.thresholds(sums, falling) for found in scans]
    source = builder.add(
        n.Threshold,
        path,
        source,
        threshold=thresholds[0] if border is None else np.stack(thresholds, axis=1),
        direction=np.where(falling, -1, 1).astype(np.int8),
        border=border,
    )
    for move in moves[cut:]:
        source = move.emit(builder, source)
    return builder.value(source)


def _variants(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """The steps, once for every border class if a step depends on it."""
    for i, step in enumerate(steps):
        if isinstance(step, Scaling) and step.border is not None:
            return [(*steps[:i], step.of_class(c), *steps[i + 1 :]) for c in range(step.offset.shape[1])]
    return [steps]


def _expect_monotone(found: Scan, sums: range, steps: Sequence[Step], source: str, path: str) -> None:
    """Checks that every channel changes at most once."""
    if np.any(found.changes > 1):
        channel = int(np.argmax(found.changes > 1))
        between = ", ".join(dict.fromkeys(step.path for step in steps))
        raise ExportError(
            f"{path}: the sign of channel {channel} changes {found.changes[channel]} times while the sum of {source!r} "
            f"rises from {sums[0]} to {sums[-1]}, so no threshold gives it; keep what lies between ({between}) "
            "monotone in every channel, for example with PReLU slopes >= 0"
        )
