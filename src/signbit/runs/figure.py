"""Curves of runs as small SVG or PNG files (matplotlib)."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signbit.files import write_whole
from signbit.runs.comparison import Comparison, Group
from signbit.runs.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "draw_layers"]

# Okabe and Ito's colours, which colour-blind readers tell apart; further groups repeat them in other strokes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STROKES = ("-", "--", "-.", ":")

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 3,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters as letters: a fifth of the size, and the text can be searched
    "svg.hashsalt": "signbit",  # the same curves give the same file
}


def draw(comparison: Comparison, path: str | Path) -> Path:
    """Draws accuracy, loss and flips over the epochs: a line per group, its mean, and a band from least to largest.

    Validation, where the runs have it, otherwise training; up to four groups show both, training as a thin line.

    Args:
        comparison: what `compare` gave.
        path: file to write, .svg or .png.

    Raises:
        ValueError: another suffix.
        ImportError: matplotlib is not installed.
    """
    with _figure(Path(path), (10.5, 3.0 + 0.2 * len(comparison.groups))) as figure:
        accuracy, loss, flips = figure.subplots(1, 3)
        validated = any(group.last("validation_loss") is not None for group in comparison.groups)
        both = validated and len(comparison.groups) <= 4
        for index, group in enumerate(comparison.groups):
            look: dict[str, Any] = {
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": STROKES[index // len(COLOURS) % len(STROKES)],
            }
            for axes, quantity in ((accuracy, "accuracy"), (loss, "loss")):
                if both:
                    _curve(axes, group, f"train_{quantity}", linewidth=0.7, alpha=0.7, band=False, **look)
                _curve(axes, group, f"{'validation' if validated else 'train'}_{quantity}", label=group.label, **look)
            _curve(flips, group, "flip_ratio", **look)
        _percent(accuracy)
        _logarithmic(flips)
        part = "validation" if validated else "training"
        thin = " (thin: training)" if both else ""
        for axes, quantity in ((accuracy, "accuracy"), (loss, "loss")):
            _finish(axes, f"{part} {quantity}{thin}")
        _finish(flips, "flips per weight and step")
        handles, labels = accuracy.get_legend_handles_labels()
        columns = max(1, 160 // (max(map(len, labels)) + 8))
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)
    return Path(path)


def draw_layers(run: RunRecord, path: str | Path) -> Path:
    """Draws the flips of each layer of one run over the epochs, the first layer dark, the last one light.

    Args:
        run: what `read_run` gave.
        path: file to write, .svg or .png.

    Raises:
        ValueError: another suffix.
        ImportError: matplotlib is not installed.
    """
    from matplotlib import colormaps

    names = list(run.metrics[-1].get("flip_ratio_by_layer", {}))
    if not names:
        raise ValueError(f"{run.path} has no flips by layer: its last epoch watched no step")
    with _figure(Path(path), (7.2, max(3.2, 0.19 * len(names) + 0.8))) as figure:
        axes = figure.subplots()
        for index, name in enumerate(names):
            values = [line.get("flip_ratio_by_layer", {}).get(name) for line in run.metrics]
            colour = colormaps["viridis"](0.92 * index / max(1, len(names) - 1))
            _line(axes, _epochs(run), values, label=name.removesuffix(".weight"), color=colour, linewidth=1.2)
        _logarithmic(axes)
        _finish(axes, f"flips per weight and step, by layer: {run.path.name}")
        figure.legend(loc="outside right upper", labelspacing=0.3)
    return Path(path)


@contextmanager
def _figure(path: Path, size: tuple[float, float]) -> "Iterator[Figure]":
    if path.suffix not in (".svg", ".png"):
        raise ValueError(f"a figure is an .svg or a .png file, got {str(path)!r}")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        # In memory first: a figure that cannot be drawn leaves an old file as it was.
        content = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(content, format=path.suffix[1:], dpi=150, metadata=metadata)
    write_whole(path, _shortened(content.getvalue()) if path.suffix == ".svg" else content.getvalue())


def _shortened(svg: bytes) -> bytes:
    """The same curves to a hundredth of a point, which is all a screen shows, in half the bytes."""
    return re.sub(rb' d="[^"]*"', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path[0]), svg)


def _curve(axes: "Axes", group: Group, key: str, *, band: bool = True, **look: Any) -> None:
    """Mean of a figure over the runs of a group that came so far, and where they lie."""
    longest = max(group.runs, key=lambda run: len(run.metrics))
    columns = [
        [run.metrics[index][key] for run in group.runs if index < len(run.metrics) and key in run.metrics[index]]
        for index in range(len(longest.metrics))
    ]
    means = [sum(column) / len(column) if column else None for column in columns]
    _line(axes, _epochs(longest), means, **look)
    if band and len(group.runs) > 1:
        x = [epoch for epoch, column in zip(_epochs(longest), columns, strict=True) if column]
        low, high = [min(column) for column in columns if column], [max(column) for column in columns if column]
        axes.fill_between(x, low, high, color=look["color"], alpha=0.18, linewidth=0)


def _line(axes: "Axes", x: Sequence[int], values: Sequence[float | None], **look: Any) -> None:
    points = [(epoch, value) for epoch, value in zip(x, values, strict=True) if value is not None]
    marker = "o" if len(points) <= 20 else ""
    axes.plot([epoch for epoch, _ in points], [value for _, value in points], marker=marker, **look)


def _epochs(run: RunRecord) -> list[int]:
    """Counted through, because a run of several stages begins anew in each."""
    return list(range(1, len(run.metrics) + 1))


def _percent(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _logarithmic(axes: "Axes") -> None:
    axes.set_yscale("log", nonpositive="mask")


def _finish(axes: "Axes", title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
