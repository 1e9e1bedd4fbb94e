"""Run directories as files: what they hold, how they compare, and their curves; without torch."""

from signbit.runs.comparison import Comparison, Group, Spread, compare
from signbit.runs.figure import draw, draw_layers
from signbit.runs.files import METRICS, RECIPE, RESULTS, VERSIONS, read_metrics
from signbit.runs.record import RunRecord, read_run

__all__ = [
    "METRICS",
    "RECIPE",
    "RESULTS",
    "VERSIONS",
    "Comparison",
    "Group",
    "RunRecord",
    "Spread",
    "compare",
    "draw",
    "draw_layers",
    "read_metrics",
    "read_run",
]
