"""Times a packed model on this machine: median and 95th percentile of a call, and where the time goes.

A call is model.run(batch): pixels in, output out, image normalisation included. `--against float,int8` (needs PyTorch;
the default for a run, and for a network of `signbit models`, which gets random weights) times twins of the same layers,
in PyTorch in float32 with ReLU and in int8, on images already normalised, with the same batch and threads, call by call
in turns. `onnx` is int8 in ONNX Runtime. Several models, such as a dense and a sparse one, are shown side by side.
"""

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from signbit import packed, runtime
from signbit.cli import plan, side_by_side
from signbit.cli.errors import UserError, require, unknown
from signbit.cli.machine import cpu_name
from signbit.cli.output import Output, count, duration, table
from signbit.cli.progress import note
from signbit.cli.sources import MODEL_HELP, RUN_HELP, is_network, is_run, networks, packed_path, run_path
from signbit.cli.timing import Timing, interleaved
from signbit.packed import nodes as n
from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, integer_range

OURS = "signbit"
PEERS = ("float", "int8", "onnx")
CHECKED = 64
"""Random images on which a twin is compared with our output."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was timed and what came out.

    Attributes:
        cpu: name of the processor.
        isa: kernels that were used.
        threads: of every contender.
        calls: timings by batch size and contender.
        overhead: timings of a call that computes nothing, by contender.
        nodes: time of every node at the first batch size, as `Model.profile` gives it.
        notes: what was checked, and which contender is missing and why.
    """

    cpu: str
    isa: str
    threads: int
    calls: dict[int, dict[str, Timing]]
    overhead: dict[str, Timing]
    nodes: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def dict(self) -> dict[str, Any]:
        """Everything in seconds, for JSON."""
        calls = [
            {"batch": batch, "engine": name, **asdict(timing)}
            for batch, timings in self.calls.items()
            for name, timing in timings.items()
        ]
        overhead = {name: asdict(timing) for name, timing in self.overhead.items()}
        return {**vars(self), "calls": calls, "overhead": overhead}

    def latency_table(self) -> str:
        """One line per batch size and contender, with the ratio to ours."""
        rows = [
            (
                batch,
                name,
                duration(timing.median),
                duration(timing.p95),
                duration(timing.median / batch),
                f"{timing.median / timings[OURS].median:.2f}",
            )
            for batch, timings in self.calls.items()
            for name, timing in timings.items()
        ]
        return table(("batch", "engine", "median", "p95", "per image", "x signbit"), rows)

    def overhead_line(self) -> str:
        """The call overhead of every contender."""
        each = ", ".join(f"{name} {duration(timing.median)}" for name, timing in self.overhead.items())
        return f"of which the call itself, timed on an empty network: {each}"

    def table(self) -> str:
        """Everything, for people."""
        total = sum(node["microseconds"] for node in self.nodes)
        rows = [(node["name"], node["op"], node["kernel"], *_cost(node["microseconds"], total)) for node in self.nodes]
        parts = [
            f"{self.cpu}, {self.isa}, {count(self.threads, 'thread')}",
            f"{self.latency_table()}\n{self.overhead_line()}",
            f"at batch {next(iter(self.calls))}:\n{table(('node', 'op', 'kernel', 'µs', 'share'), rows)}",
            *(["\n".join(self.notes)] if self.notes else []),
        ]
        return "\n\n".join(parts)


def _cost(microseconds: float, total: float) -> tuple[str, str]:
    return (f"{microseconds:.1f}", f"{100 * microseconds / total:.0f}%") if microseconds > 0 else ("-", "-")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `signbit bench`."""
    parser.add_argument(
        "model", nargs="*", help=f"{MODEL_HELP}, {RUN_HELP}, or a network of signbit models; several: side by side"
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="batch sizes")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument("--isa", help="kernels to use; default: the best this machine has")
    parser.add_argument("--against", help="twins to time beside it, separated by commas: float, int8, onnx; or none")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to time each contender and batch size")
    parser.add_argument("--plan", action="store_true", help="show which kernel runs each node, and what else could")
    parser.add_argument(
        "--tune", action="store_true", help="refit the costs that the planner chooses by; needs no model"
    )


def run(options: argparse.Namespace) -> Output:
    """Times the model that `options` name."""
    if options.threads < 1 or min(options.batch) < 1:
        raise UserError(f"--threads {options.threads} and --batch {options.batch} must be at least 1")
    if not 0 < options.seconds < 3600:
        raise UserError(f"--seconds must lie within 0..3600, got {options.seconds:g}")
    if options.tune:
        return plan.tune(options.isa)
    if not options.model:
        raise UserError("bench needs a packed file, a run or a network; only --tune does without")
    if len(options.model) > 1:
        return _side_by_side(options)
    (name,) = options.model
    own = is_run(name) or is_network(name)
    against = _peers(options.against, default="float,int8" if own else "none")
    graph = _graph(name)
    if options.plan:
        return _plan(graph, options)
    if sys.stderr.isatty():  # a plain line: whatever moves would be timed too
        note(f"timing for about {options.seconds * len(options.batch) * (1 + len(against)):.0f} s ...")
    result = bench(
        graph,
        batches=options.batch,
        threads=options.threads,
        isa=options.isa,
        against=against,
        seconds=options.seconds,
    )
    return Output(result.table(), {"model": name, **result.dict()})


def _side_by_side(options: argparse.Namespace) -> Output:
    if options.plan or options.against is not None:
        raise UserError(f"{'--plan' if options.plan else '--against'} is for one model, got {len(options.model)}")
    graphs = {name: _graph(name) for name in options.model}
    if len(graphs) < len(options.model):
        raise UserError(f"{' '.join(options.model)}: a model stands there twice")
    side_by_side.expect_equal_inputs(graphs)
    (edge,) = next(iter(graphs.values())).inputs.values()
    random = np.random.default_rng(0)
    return side_by_side.compare(
        graphs,
        {batch: sample(edge, batch, random) for batch in options.batch},
        threads=options.threads,
        isa=options.isa,
        seconds=options.seconds,
    )


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
        return packed.load(packed_path(name, also=() if Path(name).exists() else networks()))
    require("torch", "packing a run or a network")
    from signbit.cli.export import graph_of_network, graph_of_run

    return graph_of_run(run_path(name)) if is_run(name) else graph_of_network(name)


def _plan(graph: packed.Graph, options: argparse.Namespace) -> Output:
    random = np.random.default_rng(0)
    batches = {name: sample(edge, options.batch[0], random) for name, edge in graph.inputs.items()}
    return plan.show(graph, batches, threads=options.threads, isa=options.isa)


def bench(
    graph: packed.Graph,
    *,
    batches: Iterable[int] = (1,),
    threads: int = 1,
    isa: str | None = None,
    against: Iterable[str] = (),
    seconds: float = 1.0,
) -> Bench:
    """Times `graph` on random inputs, and the twins named in `against` beside it.

    Args:
        graph: what to run.
        batches: batch sizes, each at least 1.
        threads: of every contender.
        isa: kernels; None takes the best.
        against: of `PEERS`.
        seconds: for each contender at each batch size.
    """
    sizes, wanted = tuple(batches), tuple(against)
    model = runtime.compile(graph, threads=threads, isa=isa)
    nothing = runtime.compile(_empty(), threads=threads, isa=isa)
    (edge,) = graph.inputs.values()
    random = np.random.default_rng(0)
    inputs = {size: sample(edge, size, random) for size in sizes}
    calls: dict[int, dict[str, Timing]] = {}
    notes: tuple[str, ...] = ()
    with ExitStack() as stack:
        rivals = None
        if wanted:
            from signbit.cli.peers import Rivals

            rivals = stack.enter_context(Rivals(graph, wanted, threads=threads))
            notes = rivals.check(model.run, sample(edge, CHECKED, random))
        for size, batch in inputs.items():
            theirs = {} if rivals is None else rivals.calls(batch)
            calls[size] = interleaved({OURS: partial(model.run, batch), **theirs}, seconds=seconds)
        theirs = {} if rivals is None else rivals.empty_calls()
        empty = partial(nothing.run, np.zeros((1, 1, 1, 1), np.uint8))
        overhead = interleaved({OURS: empty, **theirs}, seconds=min(seconds, 0.2))
    return Bench(
        cpu=cpu_name(),
        isa=model.isa,
        threads=model.threads,
        calls=calls,
        overhead=overhead,
        nodes=tuple(asdict(node) for node in model.profile(inputs[sizes[0]])),
        notes=notes,
    )


def _empty() -> packed.Graph:
    """A network of one pixel and one comparison: what is left is the call."""
    cut, up = np.zeros(1, np.int32), np.ones(1, np.int8)
    node = n.Threshold(name="bit", inputs=("input",), threshold=cut, direction=up)
    return packed.Graph({"input": Image((1, 1, 1))}, (node,), "bit")


def sample(edge: Edge, size: int, random: np.random.Generator) -> Array:
    """A batch of random values that may stand on `edge`."""
    shape = (size, *edge.shape)
    match edge:
        case Image():
            return random.integers(0, 256, shape, dtype=np.uint8)
        case Bits():
            low, high = integer_range(edge)
            return (2 * random.integers(0, (high - low) // 2 + 1, shape) + low).astype(np.int8)
        case packed.Int(low=low, high=high):
            return random.integers(low, high + 1, shape, dtype=np.int32)
    return random.standard_normal(prod(shape)).reshape(shape).astype(np.float32)
