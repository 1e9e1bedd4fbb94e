"""What sparse filters cost beside their planes: constants in kernels/sparse_*.cpp, refitted by `bench --tune`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from signbit import packed
from signbit.packed import nodes as n
from signbit.packed.edges import Bits
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window

DENSITY = 0.05
WINDOW = Window(kernel=(3, 3), padding=(1, 1, 1, 1))


@dataclass(frozen=True)
class SparseTime:
    """A layer that ran on sparse lists alone: nanoseconds estimated and measured; with `line` its totals move one."""

    lanes: int
    tiles: int
    filters: int
    line: bool
    predicted: float
    measured: float


def has_line(channels: int, least: float) -> bool:
    """Whether thresholds of two levels move by more steps than the engine adds one by one, its `least_line`."""
    return DENSITY * channels * WINDOW.taps > least


def layer(side: int, channels: int, filters: int, *, line: bool) -> packed.Graph:
    """One layer with few rare weights, 1 beside 0, or with a `line` beside what makes their mean 0."""
    rng = np.random.default_rng(channels)
    weight = encode_dense((rng.random((filters, channels * WINDOW.taps)) < DENSITY).astype(np.uint8))
    levels = np.array([[1.0, -DENSITY / (1 - DENSITY) if line else 0.0]], np.float32)
    shift = (rng.normal(size=filters) * (DENSITY * channels) ** 0.5).astype(np.float32)
    nodes = (
        n.WindowSum(name="shared", inputs=("x",), window=WINDOW),
        n.BinaryConv(name="sum", inputs=("x", "shared"), window=WINDOW, filters=filters, weight=weight, levels=levels),
        n.Sign(name="bits", inputs=("sum",), shift=shift),
    )
    return packed.Graph({"x": Bits((channels, side, side))}, nodes, "bits")


def fit(times: Sequence[SparseTime], old: Mapping[str, Any], factors: Mapping[str, float]) -> dict[str, Any]:
    """`filter_cost` of every register width and `lane_cost`, in the unit that popcount keeps.

    Planes cost what they cost dense layers, times their factor; filters what layers without a line leave, lanes what
    those with one leave then. What was not measured stays.
    """
    unit = factors.get("popcount", 1.0)
    filter_costs, lanes = [], []
    for width in old["widths"]:
        planes = factors.get(f"bit-planes {width['lanes']}", unit) / unit
        own = [t for t in times if t.lanes == width["lanes"]]
        rests = {
            t: t.measured / unit
            - planes
            * (
                t.predicted
                - t.tiles * (t.filters * width["filter_cost"] + (t.lanes * old["lane_cost"] if t.line else 0))
            )
            for t in own
        }
        plain = [rests[t] / (t.tiles * t.filters) for t in own if not t.line]
        cost = max(0.0, median(plain)) if plain else width["filter_cost"]
        filter_costs.append(cost)
        lanes += [(rests[t] / t.tiles - t.filters * cost) / t.lanes for t in own if t.line]
    return {"filter_cost": filter_costs, "lane_cost": max(0.0, median(lanes)) if lanes else old["lane_cost"]}
