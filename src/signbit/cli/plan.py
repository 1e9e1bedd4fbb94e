"""Which kernel runs each node, and the costs behind the choice: `bench --plan` and `bench --tune`."""

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from signbit import packed, runtime
from signbit.cli import sparse_costs
from signbit.cli.errors import UserError
from signbit.cli.output import Output, count, table
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits
from signbit.packed.weights import encode_dense
from signbit.packed.window import Window
from signbit.runtime import choices
from signbit.runtime.isa import REFERENCE, choose

TUNED = ((8, 1), (8, 2), (8, 4), (8, 8), (16, 1), (16, 2))
"""Side and batch of the layers that constants are fitted on: from 64 to 512 positions."""
TUNED_CHANNELS = ((64, 64), (128, 128), (256, 256), (256, 512))


def show(graph: packed.Graph, batches: Mapping[str, Array], *, threads: int, isa: str | None) -> Output:
    """How every node runs; and of the layers with a choice the estimated and the measured time of each form."""
    model = runtime.compile(graph, threads=threads, isa=isa)
    layers = choices.explain(graph, batches, isa=isa, threads=threads)
    samples = len(next(iter(batches.values())))
    rows = [(step.name, step.op, step.kernel, step.why) for step in model.plan]
    text = f"{model.isa}, {count(model.threads, 'thread')}\n\n{table(('node', 'op', 'kernel', 'why'), rows)}"
    if layers:
        text += f"\n\nestimated / measured µs at batch {samples}:\n{_table(layers)}"
    data = {
        "isa": model.isa,
        "threads": model.threads,
        "batch": samples,
        "plan": [asdict(step) for step in model.plan],
        "choices": [asdict(layer) for layer in layers],
    }
    return Output(text, data)


def _table(layers: list[choices.Choice]) -> str:
    rows = []
    for layer in layers:
        forms = {form.kernel: _both(form.predicted, form.measured) for form in layer.forms}
        taken = " + ".join(f"{piece.kernel}: {piece.rows} rows" for piece in layer.pieces)
        chosen = _both(layer.predicted, layer.measured)
        density = "-" if layer.density is None else f"{layer.density:.3g}, below {layer.break_even:.2g}"
        rows.append((layer.name, taken, chosen, *(forms.get(form, "-") for form in choices.FORMS), density))
    return table(("layer", "chosen", "µs", *choices.FORMS, "density, sparse pays"), rows)


def _both(predicted: float, measured: float) -> str:
    """Estimated and measured µs: of few ones two digits or three."""
    return " / ".join(f"{time:.{0 if time >= 10 else 1 if time >= 1 else 2}f}" for time in (predicted, measured))


def tune(isa: str | None) -> Output:
    """The cost constants of an instruction set, refitted on this machine, as kernels/bitplane*.h would hold them.

    Each kernel's constants are scaled by the median of measured over estimated time of the layers that it runs alone;
    those of sparse filters are what their layers take beside planes (`sparse_costs`).
    """
    name = choose(isa)
    if name == REFERENCE:
        raise UserError("--tune needs the native extension; the reference has no kernels to choose from")
    from signbit.runtime.engine import costs

    ratios: dict[str, list[float]] = {}
    sparse: list[sparse_costs.SparseTime] = []
    widths = [width["lanes"] for width in costs(name)["widths"]]
    for side, batch in TUNED:
        for channels, filters in TUNED_CHANNELS:
            graph = _layer(side, channels, filters)
            rng = np.random.default_rng(side)
            x = rng.choice(np.array([-1, 1], np.int8), (batch, channels, side, side))
            for form, ratio in choices.ratios(graph, {"x": x}, isa=name, widths=widths):
                ratios.setdefault(form, []).append(ratio)
            sparse += _sparse_times(side, channels, filters, x, name)
    factors = {form: median(values) for form, values in sorted(ratios.items())}
    old = costs(name)
    new = scaled(old, factors)
    found = sparse_costs.fit(sparse, old, factors)
    for width, cost in zip(new["widths"], found["filter_cost"], strict=True):
        width["filter_cost"] = cost
    new["lane_cost"] = found["lane_cost"]
    rows = [
        (form, len(ratios[form]), f"{factor:.2f}", f"{min(ratios[form]):.2f}-{max(ratios[form]):.2f}")
        for form, factor in factors.items()
    ]
    text = f"{name}: measured / estimated\n{table(('kernel', 'layers', 'median', 'range'), rows)}\n\n{_constants(new)}"
    return Output(text, {"isa": name, "factors": factors, "old": old, "new": new})


def _sparse_times(side: int, channels: int, filters: int, x: Array, isa: str) -> list[sparse_costs.SparseTime]:
    times = []
    for line in (False, True) if sparse_costs.has_line(channels) else (False,):
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


def _layer(side: int, channels: int, filters: int) -> packed.Graph:
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
