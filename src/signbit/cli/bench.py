"""Times a packed model on this machine: median and 95th percentile of a call, and where the time goes.

A call is model.run(batch): pixels in, output out, image normalisation included. `--against float,int8` (needs PyTorch;
the default for a run, and for a network of `signbit models`, which gets random weights) times twins of the same layers,
in PyTorch in float32 with ReLU and in int8, on images already normalised, with the same batch and threads, call by call
in turns. `onnx` is int8 in ONNX Runtime. Several models, such as a dense and a sparse one, are shown side by side.
"""

import argparse
import sys

from signbit import benchmark, packed
from signbit.benchmark import PEERS
from signbit.cli.errors import UserError, require, unknown
from signbit.cli.output import Output
from signbit.cli.progress import note
from signbit.cli.sources import MODEL_HELP, RUN_HELP, is_network, is_run, networks, packed_path, run_path
from signbit.runtime.model import MAX_THREADS


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit bench`."""
    parser.add_argument(
        "model", nargs="*", help=f"{MODEL_HELP}, {RUN_HELP}, or a network of signbit models; several: side by side"
    )
    parser.add_argument("--batch", type=int, nargs="+", help="batch sizes; default: 1")
    parser.add_argument("--threads", type=int, help="threads of every contender; default: 1")
    parser.add_argument("--isa", help="kernels to use; default: the best this machine has")
    parser.add_argument("--against", help="twins to time beside it, separated by commas: float, int8, onnx; or none")
    parser.add_argument("--seconds", type=float, help="how long to time each contender and batch size; default: 1")
    parser.add_argument(
        "--plan", action="store_true", help="instead show which kernel runs each node, and what else could"
    )
    parser.add_argument(
        "--tune", action="store_true", help="instead refit the costs that the planner chooses by; takes no model"
    )


def run(options: argparse.Namespace) -> Output:
    """What `options` ask for; in Python `benchmark.bench`, `.compare`, `.explain` and `.tune`."""
    _refuse_unused(options)
    batches = [1] if options.batch is None else options.batch
    threads = 1 if options.threads is None else options.threads
    seconds = 1.0 if options.seconds is None else options.seconds
    if not 1 <= threads <= MAX_THREADS:
        raise UserError(f"--threads must be 1..{MAX_THREADS}, got {threads}")
    if min(batches) < 1:
        raise UserError(f"--batch must be at least 1, got {min(batches)}")
    if not 0 < seconds < 3600:
        raise UserError(f"--seconds must lie within 0..3600, got {seconds:g}")
    if options.tune:
        tuning = benchmark.tune(options.isa)
        return Output(tuning.table(), tuning.dict())
    if not options.model:
        raise UserError("bench needs a packed file, a run or a network; only --tune does without")
    if len(options.model) > 1:
        graphs = {name: _graph(name) for name in options.model}
        if len(graphs) < len(options.model):
            raise UserError(f"{' '.join(options.model)}: a model stands there twice")
        found = benchmark.compare(graphs, batches=batches, threads=threads, isa=options.isa, seconds=seconds)
        return Output(found.table(), found.dict())
    (name,) = options.model
    own = is_run(name) or is_network(name)
    against = _peers(options.against, default="float,int8" if own else "none")
    graph = _graph(name)
    if options.plan:
        plan = benchmark.explain(graph, batch=batches[0], threads=threads, isa=options.isa)
        return Output(plan.table(), plan.dict())
    if sys.stderr.isatty():  # a plain line: whatever moves would be timed too
        note(f"timing for about {seconds * len(batches) * (1 + len(against)):.0f} s ...")
    result = benchmark.bench(graph, batches=batches, threads=threads, isa=options.isa, against=against, seconds=seconds)
    return Output(result.table(), {"model": name, **result.dict()})


def _refuse_unused(options: argparse.Namespace) -> None:
    """Refuses what --tune, --plan or several models would leave unused."""
    names = ("batch", "threads", "against", "seconds", "plan")
    given = {f"--{name}" for name in names if getattr(options, name) not in (None, False)}
    rest = [*options.model, *sorted(given)]
    if options.tune and rest:
        raise UserError(f"--tune takes --isa and nothing else, got {' '.join(rest)}")
    if len(options.model) > 1 and (one := sorted(given & {"--plan", "--against"}, reverse=True)):
        raise UserError(f"{one[0]} is for one model, got {len(options.model)}")
    if options.plan and (unused := sorted(given & {"--against", "--seconds"})):
        raise UserError(f"{unused[0]} is about timing, which --plan does in its own way; leave one of them out")
    if options.plan and options.batch is not None and len(options.batch) > 1:
        raise UserError(f"--plan takes one batch size, got {' '.join(map(str, options.batch))}")


def _peers(text: str | None, *, default: str) -> tuple[str, ...]:
    names = tuple(name for name in (default if text is None else text).split(",") if name != "none")
    for name in names:
        if name not in PEERS:
            raise unknown("contender", name, (*PEERS, "none"))
    if names:
        require("torch", "timing a float or int8 twin")
    return names


def _graph(name: str) -> packed.Graph:
    if not is_run(name) and not is_network(name):
        return packed.load(packed_path(name, also=networks))
    require("torch", "packing a run or a network")
    from signbit.cli.export import graph_of_network, graph_of_run

    return graph_of_run(run_path(name)) if is_run(name) else graph_of_network(name)
