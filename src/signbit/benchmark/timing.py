"""Fair timing: the contenders take turns, so that a change of the machine's speed meets all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

ROUNDS = 20
"""Turns of each contender; the first call of every turn brings its data back into the caches and is not counted."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median, the 95th percentile, and how many calls they come from."""

    median: float
    p95: float
    calls: int


def interleaved(contenders: Mapping[str, Callable[[], object]], *, seconds: float = 1.0) -> dict[str, Timing]:
    """Times each contender for about `seconds` in `ROUNDS` turns, every call on its own."""
    per_turn = {name: _calls_in(seconds / ROUNDS, call) for name, call in contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            call()
            samples[name] += [_once(call) for _ in range(per_turn[name])]
    return {name: _summary(values) for name, values in samples.items()}


def _calls_in(seconds: float, call: Callable[[], object]) -> int:
    call()
    return max(1, min(500, int(seconds / min(_once(call), _once(call)))))


def shortest(call: Callable[[], object], *, repeats: int = 5) -> float:
    """Seconds of the quickest of a few calls, after one that is not counted."""
    call()
    return min(_once(call) for _ in range(repeats))


def _once(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _summary(values: list[float]) -> Timing:
    return Timing(float(np.median(values)), float(np.percentile(values, 95)), len(values))
