"""The constants of the planner's costs, refitted on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from signbit import packed
from signbit.benchmark import sparse_costs
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime import choices
from signbit.runtime.engine import costs
from signbit.runtime.isa import REFERENCE, choose
from signbit.text import table

TUNED = ((8, 1), (8, 2), (8, 4), (8, 8), (16, 1), (16, 2))
"""Side and batch of the layers that constants are fitted on: from 64 to 512 positions."""
TUNED_CHANNELS = ((64, 64), (128, 128), (256, 256), (256, 512))


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Cost constants refitted on this machine.

    Attributes:
        isa: whose they are.
        ratios: measured over estimated time of every layer that a kernel runs alone, by kernel.
        old: the constants that the planner uses.
        new: those that would fit this machine.
    """

    isa: str
    ratios: Mapping[str, tuple[float, ...]]
    old: Mapping[str, Any]
    new: Mapping[str, Any]

    @property
    def factors(self) -> dict[str, float]:
        """By kernel, what its constants are to be multiplied by."""
        return {form: median(values) for form, values in self.ratios.items()}

    def dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {"isa": self.isa, "factors": self.factors, "old": self.old, "new": self.new}

    def table(self) -> str:
        """Everything, for people."""
        rows = [
            (
                form,
                len(self.ratios[form]),
                f"{factor:.2f}",
                f"{min(self.ratios[form]):.2f}-{max(self.ratios[form]):.2f}",
            )
            for form, factor in self.factors.items()
        ]
        header = ("kernel", "layers", "median", "range")
        return f"{self.isa}: measured / estimated\n{table(header, rows)}\n\n{_constants(self.new)}"


def tune(isa: str | None = None) -> Tuning:
    """The cost constants of an instruction set, refitted on this machine, as kernels/ would hold them.

    Each kernel's constants are scaled by the median of measured over estimated time of the layers that it runs alone;
    those of sparse filters are what their layers take beside planes (`sparse_costs`).
    """
    name = choose(isa)
    if name == REFERENCE:
        raise ValueError("tuning needs the native extension; the reference has no kernels to choose from")
    ratios: dict[str, list[float]] = {}
    sparse: list[sparse_costs.SparseTime] = []
    old = costs(name)
    widths = [width["lanes"] for width in old["widths"]]
    for side, batch in TUNED:
        for channels, filters in TUNED_CHANNELS:
            graph = layer(side, channels, filters)
            rng = np.random.default_rng(side)
            x = rng.choice(np.array([-1, 1], np.int8), (batch, channels, side, side))
            for form, ratio in choices.ratios(graph, {"x": x}, isa=name, widths=widths):
                ratios.setdefault(form, []).append(ratio)
            sparse += _sparse_times(side, channels, filters, x, name, old["least_line"])
    found = {form: tuple(values) for form, values in sorted(ratios.items())}
    factors = {form: median(values) for form, values in found.items()}
    new = scaled(old, factors)
    fitted = sparse_costs.fit(sparse, old, factors)
    for width, cost in zip(new["widths"], fitted["filter_cost"], strict=True):
        width["filter_cost"] = cost
    new["lane_cost"] = fitted["lane_cost"]
    return Tuning(isa=name, ratios=found, old=old, new=new)


def _sparse_times(
    side: int, channels: int, filters: int, x: Array, isa: str, least_line: float
) -> list[sparse_costs.SparseTime]:
    times = []
    for line in (False, True) if sparse_costs.has_line(channels, least_line) else (False,):
        graph = sparse_costs.layer(side, channels, filters, line=line)
        if (found := choices.sparse_time(graph, {"x": x}, isa=isa)) is None:
            continue
        piece, measured = found
        lanes = int(piece.kernel.split()[1])
        tiles = -(-piece.rows // lanes)
        times.append(sparse_costs.SparseTime(lanes, tiles, filters, line, piece.predicted * 1e3, measured * 1e3))
    return times


def scaled(old: Mapping[str, Any], factors: Mapping[str, float]) -> dict[str, Any]:
    """The constants of each kernel times its factor, relative to popcount's, whose unit they keep."""
    unit = factors.get("popcount", 1.0)
    mirrored = [factor for form, factor in factors.items() if form.startswith("mirrored")]
    widths = []
    for width in old["widths"]:
        planes = factors.get(f"bit-planes {width['lanes']}", unit) / unit
        mirror = factors.get(f"mirrored {width['lanes']}", unit) / unit
        widths.append(
            {
                "lanes": width["lanes"],
                "plane_cost": width["plane_cost"] * planes,
                "group_cost": [cost * planes for cost in width["group_cost"]],
                "input_cost": width["input_cost"] * planes,
                "mirror_cost": width["mirror_cost"] * mirror,
            }
        )
    sort = (median(mirrored) if mirrored else unit) / unit
    return {
        "widths": widths,
        "popcount_cost": list(old["popcount_cost"]),
        "sort_cost": old["sort_cost"] * sort,
    }


def _constants(new: Mapping[str, Any]) -> str:
    header = ("lanes", "plane_cost", "group_cost", "input_cost", "mirror_cost", "filter_cost")
    rows = [
        (
            width["lanes"],
            f"{width['plane_cost']:.2f}",
            "{:.0f}, {:.0f}".format(*width["group_cost"]),
            f"{width['input_cost']:.1f}",
            f"{width['mirror_cost']:.2f}",
            f"{width['filter_cost']:.1f}",
        )
        for width in new["widths"]
    ]
    popcount = ", ".join(f"{cost:.3f}" for cost in new["popcount_cost"])
    rest = f"sort_cost {new['sort_cost']:.2f}; lane_cost {new['lane_cost']:.2f}"
    return f"{table(header, rows)}\npopcount_cost {popcount}; {rest}"


def layer(side: int, channels: int, filters: int) -> packed.Graph:
    """A binary 3x3 convolution with thresholds on a square map."""
    rng = np.random.default_rng(channels)
    window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    weight = encode_dense(rng.integers(0, 2, (filters, channels * 9), dtype=np.uint8))
    nodes = (
        n.BinaryConv(name="sum", inputs=("x",), window=window, filters=filters, weight=weight),
        n.Threshold(
            name="bits",
            inputs=("sum",),
            threshold=np.zeros(filters, np.int32),
            direction=np.ones(filters, np.int8),
        ),
    )
    return packed.Graph({"x": Bits((channels, side, side))}, nodes, "bits")
