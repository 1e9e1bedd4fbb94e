"""The time of a packed model's call beside those of its twins, and where it goes, node by node."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from signbit import packed, runtime
from signbit.benchmark.inputs import sample
from signbit.benchmark.timing import Timing, interleaved
from signbit.machine import cpu_name
from signbit.packed import nodes as n
from signbit.packed.edges import Image
from signbit.text import count, duration, table

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
            from signbit.benchmark.peers import Rivals

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
