"""Turns a run into one packed file (.sbit): one bit per weight, batch norm and sign folded into integer thresholds.

The file carries image preparation and labels and is all that predict, inspect and bench need.
"""

import argparse
from pathlib import Path

from signbit import packed
from signbit.cli.errors import require
from signbit.cli.output import Output, size
from signbit.cli.progress import working
from signbit.cli.sources import RUN_HELP, run_path
from signbit.packed import report


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit export`."""
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("output", nargs="?", help="the file to write; default: model.sbit in the run directory")


def run(options: argparse.Namespace) -> Output:
    """Writes the packed file; the Python call is `export.export(model, path, image=..., labels=...)`."""
    source = run_path(options.run)
    target = source / "model.sbit" if options.output is None else Path(options.output)
    graph = graph_of_run(source)
    packed.save(graph, target)
    totals = report.inspect(graph)
    text = (
        f"{target}: {size(totals.file_bytes)}, {totals.binary_weights:,} of {totals.weights:,} weights in one bit; "
        f"float32 {size(totals.fp32_bytes)}, int8 {size(totals.int8_bytes)}\n"
        f"next: signbit verify {target} --run {source}; signbit inspect {target}; signbit bench {target}"
    )
    return Output(text, {"run": source, "file": target, **totals.dict()["totals"]})


def graph_of_run(source: Path) -> packed.Graph:
    """The packed graph of the network that a run trained."""
    require("torch", "reading a run directory")
    from signbit import export, training

    with working(f"packing {source}"):
        trained = training.load_run(source)
        return export.to_graph(trained.model, image=trained.image, labels=trained.labels)
