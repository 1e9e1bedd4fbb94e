"""Folding everything between integer sums and a sign into one integer threshold and direction per channel.

Where weights take two levels the threshold depends on the window sum, and becomes a table over it.

The threshold is found by evaluating the very torch modules (CPU, eager, float32, eval mode) on every attainable sum,
so it carries their rounding: the packed bit equals torch's bit by construction, also for negative and zero scales.
"""

from collections.abc import Sequence

import numpy as np

from signbit.export.builder import Builder, Step, Value
from signbit.export.error import ExportError
from signbit.export.scan import Scan, scan
from signbit.export.steps import Flatten, Function, Levels, MaxPool, Scaling
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Image, Int, integer_range

MAX_TRIALS = 2**28
"""Most attainable sums, over all channels, that are tried one by one; wider integers become reals before the sign."""

MAX_TABLE = 2**16
"""Most bytes of a table of thresholds, which has four for every weight of its layer; larger layers stay real."""


def fold(builder: Builder, value: Value, signs: Function, path: str) -> Value | None:
    """The bits of `signs` of `value` as a Threshold on integers, or None where real numbers have to be compared.

    A max-pool or flattening on the way is done on bits where that is exact, else on integers.

    Raises:
        ExportError: the bit of some channel changes more than once over the attainable sums.
    """
    edge = builder.edges[value.source]
    if not isinstance(edge, Image | Int):
        return None
    low, high = integer_range(edge)
    sums = builder.sums.get(value.source, range(low, high + 1))
    flat = bool(value.steps) and isinstance(value.steps[-1], Flatten)
    table = value.steps[0] if value.steps and isinstance(value.steps[0], Levels) else None
    channels = max(edge.shape[0], value.shape[0])
    if table is not None and not _tabulates(builder, value, 4 * edge.shape[0] * len(table.sums)):
        return None
    variants = _variants(value.steps[:-1] if flat else value.steps, sums)
    if sum(len(attainable) for _, attainable in variants) * channels > MAX_TRIALS:
        return None
    scans = [scan(attainable, steps, signs, edge.shape) for steps, attainable in variants]
    for found, (steps, attainable) in zip(scans, variants, strict=True):
        if table is None:
            _expect_monotone(found, attainable, steps, value.source, path)
        elif np.any(found.changes > 1):
            return None
    cut = _cut(value.steps, scans, flat)
    rising, falling = (np.any([getattr(s, name) for s in scans], axis=0) for name in ("rises", "falls"))
    border = next((step.border for step in value.steps if isinstance(step, Scaling) and step.border is not None), None)
    if cut is None or (len(scans) > 1 and (cut > 0 or np.any(rising & falling))):
        return None
    moves = [step for step in value.steps if isinstance(step, MaxPool | Flatten)]
    source = value.source
    for move in moves[:cut]:
        source = move.emit(builder, source)
    thresholds = [s.thresholds(attainable, falling) for s, (_, attainable) in zip(scans, variants, strict=True)]
    source = builder.add(
        n.Threshold,
        path,
        *((source,) if table is None else (source, table.inputs[1])),
        threshold=thresholds[0] if border is None and table is None else np.stack(thresholds, axis=1),
        direction=np.where(falling, -1, 1).astype(np.int8),
        border=border,
        **({} if table is None else {"table_low": table.sums.start, "table_step": table.sums.step}),
    )
    for move in moves[cut:]:
        source = move.emit(builder, source)
    return builder.value(source)


def _tabulates(builder: Builder, value: Value, size: int) -> bool:
    """Whether a table of thresholds is small, right and wanted.

    Right: a max-pool compares values of different window sums, so only the sign itself may follow it. Wanted: nothing
    else reads the real values, for which the layer would be stored and computed twice.
    """
    pools = [i for i, step in enumerate(value.steps) if isinstance(step, MaxPool)]
    late = all(isinstance(step, MaxPool | Flatten) for step in value.steps[pools[0] :]) if pools else True
    prefixes = ((value.source, value.steps[:end]) for end in range(1, len(value.steps) + 1))
    return size <= MAX_TABLE and late and not any(prefix in builder.shared for prefix in prefixes)


def _variants(steps: tuple[Step, ...], sums: range) -> list[tuple[tuple[Step, ...], range]]:
    """The steps and the attainable sums, once for every border class or window sum if a step depends on it."""
    for i, step in enumerate(steps):
        if isinstance(step, Scaling) and step.border is not None:
            return [((*steps[:i], step.of_class(c), *steps[i + 1 :]), sums) for c in range(step.offset.shape[1])]
        if isinstance(step, Levels):
            return [((*steps[:i], step.at(s), *steps[i + 1 :]), step.beside(s)) for s in step.sums]
    return [(steps, sums)]


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


def _cut(steps: Sequence[Step], scans: Sequence[Scan], flat: bool) -> int | None:
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
