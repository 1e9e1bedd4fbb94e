"""The two things one does with a lowered model: write it to a file, and read what it costs."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from signbit.export.lower import to_graph
from signbit.packed import Graph, ImagePreparation, save
from signbit.packed.bits import Array
from signbit.packed.edges import WeightFormat
from signbit.packed.report import Report, inspect


def export(
    model: nn.Module,
    path: str | Path,
    *,
    image: ImagePreparation,
    labels: Sequence[str] = (),
    stem: WeightFormat = "float32",
    dense: WeightFormat = "float32",
    calibration: Array | None = None,
) -> Graph:
    """Lowers `model` (see `to_graph`), writes the packed file and returns the graph.

    Args:
        model: see `to_graph`.
        path: the file, by convention ending in .sbit.
        image: see `to_graph`.
        labels: see `to_graph`.
        stem: see `to_graph`.
        dense: see `to_graph`.
        calibration: see `to_graph`.
    """
    graph = to_graph(model, image=image, labels=labels, stem=stem, dense=dense, calibration=calibration)
    save(graph, path)
    return graph


def summary(model: nn.Module, *, image: ImagePreparation, labels: Sequence[str] = ()) -> Report:
    """What `model` would cost when packed, layer by layer, and what does not pack and why: lowers it, then reads it.

    Args:
        model: see `to_graph`.
        image: see `to_graph`.
        labels: see `to_graph`; they take bytes too.
    """
    return inspect(to_graph(model, image=image, labels=labels))
