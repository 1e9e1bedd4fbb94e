"""Several models of the same input, timed in turns and shown layer by layer: `bench DENSE SPARSE`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from signbit import packed, runtime
from signbit.benchmark.inputs import sample
from signbit.benchmark.timing import Timing, interleaved
from signbit.machine import cpu_name
from signbit.packed.bits import Array
from signbit.text import count, duration, size, table


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """What was timed and what came out; models by what they are called, the first of them the measure of the others.

    Attributes:
        cpu: name of the processor.
        isa: kernels that were used.
        threads: of every model.
        bytes: of every packed file.
        calls: timings by batch size and model.
        layers: microseconds by layer and model at the first batch size, see `layer_times`.
    """

    cpu: str
    isa: str
    threads: int
    bytes: dict[str, int]
    calls: dict[int, dict[str, Timing]]
    layers: dict[str, dict[str, float | None]]

    def dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        calls = [
            {"batch": batch, "model": name, **asdict(timing)}
            for batch, timings in self.calls.items()
            for name, timing in timings.items()
        ]
        return {**vars(self), "calls": calls}

    def table(self) -> str:
        """Everything, for people."""
        first = next(iter(self.calls))
        return "\n\n".join(
            [
                f"{self.cpu}, {self.isa}, {count(self.threads, 'thread')}",
                _calls_table(self.calls, self.bytes),
                f"µs of each layer at batch {first}, and how many times as fast:\n{_layers_table(self.layers)}",
            ]
        )


def compare(
    graphs: Mapping[str, packed.Graph],
    *,
    batches: Iterable[int] = (1,),
    threads: int = 1,
    isa: str | None = None,
    seconds: float = 1.0,
) -> SideBySide:
    """Times every model on random inputs, call by call in turns, and every layer at the first batch size.

    Args:
        graphs: at least two of equal inputs, by what they are called; the first is what the others are measured by.
        batches: batch sizes, each at least 1.
        threads: of every model.
        isa: kernels; None takes the best.
        seconds: for each model and batch size.
    """
    _expect_equal_inputs(graphs)
    (edge,) = next(iter(graphs.values())).inputs.values()
    random = np.random.default_rng(0)
    inputs = {batch: sample(edge, batch, random) for batch in batches}
    models = {name: runtime.compile(graph, threads=threads, isa=isa) for name, graph in graphs.items()}
    calls = {
        batch: interleaved({name: partial(model.run, x) for name, model in models.items()}, seconds=seconds)
        for batch, x in inputs.items()
    }
    first = next(iter(models.values()))
    return SideBySide(
        cpu=cpu_name(),
        isa=first.isa,
        threads=first.threads,
        bytes={name: len(packed.dumps(graph)) for name, graph in graphs.items()},
        calls=calls,
        layers=layer_times(graphs, {name: _node_times(model, *inputs.values()) for name, model in models.items()}),
    )


def _expect_equal_inputs(graphs: Mapping[str, packed.Graph]) -> None:
    name, *others = graphs
    for other in others:
        if [*graphs[name].inputs.values()] != [*graphs[other].inputs.values()]:
            raise ValueError(f"{name} and {other} take different inputs; bench each of them alone")


def layer_times(
    graphs: Mapping[str, packed.Graph], nodes: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    """Microseconds by layer and model; None where a model lacks the layer, or another node has done its work.

    Nodes that not all models have, such as the two products of a ternary layer, count with the layer that their names
    begin with.
    """
    first, *others = ([node.name for node in graph.nodes] for graph in graphs.values())
    common = [name for name in first if all(name in names for names in others)]
    found: dict[str, dict[str, float | None]] = {}
    for name in common:
        found[name] = dict.fromkeys(graphs)
    for model, times in nodes.items():
        for node, time in times.items():
            owners = [name for name in common if node == name or node.startswith(f"{name}.")]
            row = found.setdefault(max(owners, key=len, default=node), dict.fromkeys(graphs))
            if time > 0:
                row[model] = (row[model] or 0.0) + time
    return {name: row for name, row in found.items() if any(time is not None for time in row.values())}


def _node_times(model: runtime.Model, batch: Array, *_: Array) -> dict[str, float]:
    return {node.name: node.microseconds for node in model.profile(batch)}


def _calls_table(calls: Mapping[int, Mapping[str, Timing]], sizes: Mapping[str, int]) -> str:
    rows: list[tuple[Any, ...]] = []
    for batch, timings in calls.items():
        unit = next(iter(timings.values())).median
        rows += [
            (
                batch,
                name,
                size(sizes[name]),
                duration(timing.median),
                duration(timing.p95),
                duration(timing.median / batch),
                f"{unit / timing.median:.2f}",
            )
            for name, timing in timings.items()
        ]
    return table(("batch", "model", "bytes", "median", "p95", "per image", "x as fast"), rows)


def _layers_table(layers: Mapping[str, Mapping[str, float | None]]) -> str:
    models = list(next(iter(layers.values())))
    rows = [(name, *_cells([row[model] for model in models])) for name, row in layers.items()]
    totals = [sum(row[model] or 0.0 for row in layers.values()) for model in models]
    header = [models[0], *(column for model in models[1:] for column in (model, ""))]
    return table(("layer", *header), [*rows, ("all", *_cells(totals))])


def _cells(times: list[float | None] | list[float]) -> list[str]:
    first, *others = times
    cells = ["-" if first is None else f"{first:.1f}"]
    for time in others:
        cells.append("-" if time is None else f"{time:.1f}")
        cells.append("-" if time is None or first is None else f"{first / time:.2f}x")
    return cells
