"""Proves a packed model: every node of the engine against the numpy reference, then the whole network.

Integer nodes must agree bit for bit; the sign of a real value may differ only where the value is within the stated
rounding bound of its cut, and such ties are counted. `--run` also compares with the network that PyTorch trained, on
its held-out images. Exit code 1 when the proof fails.
"""

import argparse
from pathlib import Path
from typing import Any

from signbit import packed
from signbit.cli.errors import UserError, require
from signbit.cli.output import Output
from signbit.cli.progress import working
from signbit.cli.sources import MODEL_HELP, RUN_HELP, packed_path, run_path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit verify`."""
    parser.add_argument("model", help=MODEL_HELP)
    parser.add_argument("--run", help=f"{RUN_HELP}: compare with its network too")
    parser.add_argument("--samples", type=int, default=256, help="images to run")
    parser.add_argument("--threads", type=int, default=1, help="threads to run on")
    parser.add_argument("--isa", help="kernels to prove; default: the best this machine has")


def run(options: argparse.Namespace) -> Output:
    """The table of a verification; the Python call is `export.verify(path, model=..., batch=...)`."""
    if options.samples < 1:
        raise UserError(f"--samples must be at least 1, got {options.samples}")
    path = packed_path(options.model)
    trained = {} if options.run is None else _trained(run_path(options.run), options.samples)
    from signbit import export

    graph = packed.load(path)
    with working(f"verifying {path}"):
        result = export.verify(graph, samples=options.samples, threads=options.threads, isa=options.isa, **trained)
    return Output(f"{path}\n{result.table()}", {"file": path, **result.dict()}, code=0 if result.passed else 1)


def _trained(source: Path, samples: int) -> dict[str, Any]:
    require("torch", "comparing with a run")
    from signbit import training

    trained = training.load_run(source)
    held_out = training.load_part(trained.recipe.data, "test")
    return {"model": trained.model, "batch": held_out.images[:samples]}
