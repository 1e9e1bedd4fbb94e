"""Continues an interrupted run at its last checkpoint, as if it had never stopped."""

import argparse

from signbit.cli.errors import require
from signbit.cli.output import Output
from signbit.cli.sources import RUN_HELP, run_path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit resume`."""
    parser.add_argument("run", help=RUN_HELP)
    parser.add_argument(
        "--changed", action="store_true", help="go on even if recipe, versions or machine have changed since"
    )


def run(options: argparse.Namespace) -> Output:
    """Trains the rest; the Python call is `training.resume(run)`."""
    source = run_path(options.run)
    require("lightning", "training")
    from signbit import training
    from signbit.cli.train import report

    return report(training.resume(source, changed=options.changed), training.load_run(source).recipe)
