"""How fast packed models run: beside their twins, beside each other, which kernels, and what the planner assumes."""

from signbit.benchmark.latency import PEERS, Bench, bench
from signbit.benchmark.plan import Plan, explain
from signbit.benchmark.side_by_side import SideBySide, compare
from signbit.benchmark.timing import Timing, interleaved
from signbit.benchmark.tuning import Tuning, tune

__all__ = [
    "PEERS",
    "Bench",
    "Plan",
    "SideBySide",
    "Timing",
    "Tuning",
    "bench",
    "compare",
    "explain",
    "interleaved",
    "tune",
]
