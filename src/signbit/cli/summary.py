"""Per layer of a trained run: bits of weight and input, weights, operations, bytes, packed or why not.

The network is lowered first and the packed graph is read, so the table says what the file will hold.
"""

import argparse

from signbit.cli.errors import require
from signbit.cli.output import Output
from signbit.cli.progress import working
from signbit.cli.sources import RUN_HELP, run_path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit summary`."""
    parser.add_argument("run", help=RUN_HELP)


def run(options: argparse.Namespace) -> Output:
    """The table of a run; the Python call is `export.summary(model, image=...)`."""
    source = run_path(options.run)
    require("torch", "reading a run directory")
    from signbit import export, training

    with working(f"packing {source}"):
        trained = training.load_run(source)
        result = export.summary(trained.model, image=trained.image, labels=trained.labels)
    return Output(result.table(), {"run": source, **result.dict()})
