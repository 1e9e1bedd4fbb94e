"""Shows what a packed file holds, layer by layer: bits, weights, operations, bytes, and why a layer is not packed.

Needs neither PyTorch nor the native extension. MACs are counted in three kinds: binary (bits with bits, done as XNOR
and popcount), mixed (one-bit weights with anything else) and float.
"""

import argparse

from signbit import packed
from signbit.cli.output import Output
from signbit.cli.sources import MODEL_HELP, packed_path
from signbit.packed.edges import describe


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit inspect`."""
    parser.add_argument("model", help=MODEL_HELP)


def run(options: argparse.Namespace) -> Output:
    """The report of a packed file; the Python call is `packed.inspect(graph)`."""
    path = packed_path(options.model)
    graph = packed.load(path)
    result = packed.inspect(graph)
    labels = f"{len(graph.labels)} labels: {_short(graph.labels)}" if graph.labels else "no labels"
    (edge,) = graph.inputs.values()
    head = f"{path}\ninput {describe(edge)}, output {describe(graph.edges[graph.output])}, {labels}\n"
    data = {"file": path, "labels": graph.labels, "image": packed_image(graph), **result.dict()}
    return Output(f"{head}\n{result.table()}", data)


def packed_image(graph: packed.Graph) -> dict[str, object] | None:
    """The image preparation of a graph as plain values."""
    return None if graph.image is None else vars(graph.image)


def _short(labels: tuple[str, ...]) -> str:
    return ", ".join(labels if len(labels) <= 10 else [*labels[:9], "..."])
