"""Turns a run into one packed file (.sbit): one bit per weight, batch norm and sign folded into integer thresholds.

The file carries image preparation and labels and is all that predict, inspect and bench need. Real weights stay float32
unless asked for otherwise; int8 is smaller and faster, and no longer equal to PyTorch.
"""

import argparse
from pathlib import Path
from typing import Any, get_args

import numpy as np

from signbit import packed
from signbit.cli.errors import require
from signbit.cli.output import Output, command
from signbit.cli.progress import working
from signbit.cli.sources import RUN_HELP, run_path
from signbit.packed import report
from signbit.packed.edges import WeightFormat
from signbit.text import size

CALIBRATION = 256
"""Training images from which int8 takes the ranges of the values it rounds."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit export`."""
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument("output", nargs="?", help="the file to write; default: model.sbit in the run directory")
    formats: dict[str, Any] = {"choices": get_args(WeightFormat), "default": "float32"}
    parser.add_argument("--stem", help="number format of real weights that read the image", **formats)
    parser.add_argument("--dense", help="number format of all other real weights, such as a classifier", **formats)


def run(options: argparse.Namespace) -> Output:
    """Writes the packed file; the Python call is `export.export(model, path, image=..., labels=...)`."""
    source = run_path(options.run)
    target = source / "model.sbit" if options.output is None else Path(options.output)
    graph = graph_of_run(source, stem=options.stem, dense=options.dense)
    packed.save(graph, target)
    totals = report.inspect(graph)
    text = (
        f"{target}: {size(totals.file_bytes)}, {totals.of_one_bit()}; "
        f"float32 {size(totals.fp32_bytes)}, int8 {size(totals.int8_bytes)}\n"
        f"next: {command('verify', target, '--run', source)}; {command('inspect', target)}; {command('bench', target)}"
    )
    return Output(text, {"run": source, "file": target, **totals.dict()["totals"]})


def graph_of_run(source: Path, *, stem: WeightFormat = "float32", dense: WeightFormat = "float32") -> packed.Graph:
    """The packed graph of the network that a run trained; int8 ranges come from its training images."""
    require("torch", "reading a run directory")
    from signbit import export, training

    with working(f"packing {source}"):
        trained = training.load_run(source)
        calibration = None
        if dense == "int8":
            images = training.load_part(trained.recipe.data, "train").images
            # Spread over the set, because folders come class by class.
            calibration = images[np.linspace(0, len(images) - 1, CALIBRATION).astype(np.int64)]
        return export.to_graph(
            trained.model, image=trained.image, labels=trained.labels, stem=stem, dense=dense, calibration=calibration
        )


def graph_of_network(name: str) -> packed.Graph:
    """The packed graph of a network of `signbit models` with random weights, always the same ones."""
    import torch

    from signbit import export, models

    channels, height, width = models.image_shape(name)
    image = packed.ImagePreparation(height=height, width=width, mode="L" if channels == 1 else "RGB")
    with working(f"packing {name} with random weights"), torch.random.fork_rng():
        torch.manual_seed(0)
        return export.to_graph(models.create_model(name), image=image)
