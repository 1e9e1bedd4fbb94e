"""The two engines behind a model: native plans, and the reference interpreter."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from signbit.packed import reference
from signbit.packed.bits import Array
from signbit.packed.edges import EDGE_DTYPES, GraphError
from signbit.packed.graph import Graph
from signbit.runtime.handover import describe_inputs, describe_nodes
from signbit.runtime.isa import REFERENCE


@dataclass(frozen=True)
class NodePlan:
    """How one node runs: the kernel, and `why` it does not run on packed bits (empty where it does, or never could)."""

    name: str
    op: str
    kernel: str
    why: str


class Way(NamedTuple):
    """One way in which a layer can compute some output positions of a batch, or does.

    Attributes:
        kernel: what computes them.
        rows: how many positions; of a way that is not taken, all of the layer's.
        predicted: microseconds estimated for them.
        taken: whether the plan does so.
        density: share of rare weights of a sparse kernel; 0 of the others.
        break_even: the density at which it would cost as much as the cheapest other way; 0 of the others.
    """

    kernel: str
    rows: int
    predicted: float
    taken: bool
    density: float
    break_even: float


class Engine(Protocol):
    """Runs one graph on batches, given by input name and checked."""

    plan: list[NodePlan]

    def plan_for(self, samples: int) -> list[NodePlan]:
        """`plan`, with the kernels that a batch of `samples` gets where they depend on it."""

    def run(self, batches: Mapping[str, Array]) -> Array:
        """The output for a batch."""

    def profile(self, batches: Mapping[str, Array], repeats: int) -> list[float]:
        """Microseconds of every node, median over `repeats`."""


class NativeEngine:
    """A plan of the native engine; what is fused into an earlier node takes no time of its own.

    `layout` other than "chosen" forces one form of every layer that has a choice: "popcount", "bit-planes",
    "mirrored" or "sparse".
    """

    def __init__(self, graph: Graph, isa: str, threads: int, layout: str = "chosen") -> None:
        from signbit import _native  # there only where it was built, as `isas` says

        self._inputs = tuple(graph.inputs)
        output = graph.edges[graph.output]
        self._shape, self._dtype = output.shape, EDGE_DTYPES[type(output)]
        try:
            self._plan = _native.Plan(describe_inputs(graph), describe_nodes(graph), graph.output, isa, threads, layout)
        except ValueError as error:
            raise GraphError(str(error)) from None
        self.plan = [NodePlan(*row) for row in self._plan.nodes()]

    def plan_for(self, samples: int) -> list[NodePlan]:
        """`plan`, with the kernels that a batch of `samples` gets: of a layer in several pieces joined by " + "."""
        steps = {step.name: step for step in self.plan}
        for layer, ways in self.choices(samples).items():
            any_form = steps[layer].kernel
            taken = " + ".join(way.kernel for way in ways if way.taken) or any_form
            for name, step in steps.items():
                if name == layer or step.kernel == f"{any_form}, fused with '{layer}'":
                    steps[name] = replace(step, kernel=step.kernel.replace(any_form, taken, 1))
        return [*steps.values()]

    def run(self, batches: Mapping[str, Array]) -> Array:
        """The output for a batch."""
        arrays, output = self._arrays(batches)
        self._plan.run(arrays, output)
        return output

    def profile(self, batches: Mapping[str, Array], repeats: int) -> list[float]:
        """Microseconds of every node, median over `repeats`."""
        times: list[float] = self._plan.profile(*self._arrays(batches), repeats)
        return times

    def choices(self, samples: int) -> dict[str, list[Way]]:
        """What each layer with a choice chooses from, for a batch of `samples`, by its name and in the plan's order."""
        return {layer: [Way(*way) for way in ways] for layer, ways in self._plan.choices(samples)}

    def _arrays(self, batches: Mapping[str, Array]) -> tuple[list[Array], Array]:
        arrays = [np.ascontiguousarray(batches[name]) for name in self._inputs]
        return arrays, np.empty((len(arrays[0]), *self._shape), self._dtype)


def costs(isa: str) -> dict[str, Any]:
    """The constants that the native planner's estimates rest on (native/kernels), in nanoseconds."""
    from signbit import _native

    return dict(_native.costs(isa))


class ReferenceEngine:
    """The reference interpreter: right, and slow."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.plan = [NodePlan(node.name, type(node).__name__, REFERENCE, "") for node in graph.nodes]

    def plan_for(self, samples: int) -> list[NodePlan]:
        """`plan`: every batch runs alike."""
        return self.plan

    def run(self, batches: Mapping[str, Array]) -> Array:
        """The output for a batch."""
        return reference.run(self._graph, batches)

    def profile(self, batches: Mapping[str, Array], repeats: int) -> list[float]:
        """Microseconds of every node, median over `repeats`."""
        times: list[list[float]] = [[] for _ in self._graph.nodes]
        for _ in range(repeats):
            start = perf_counter()
            for row, _value in zip(times, reference.trace(self._graph, batches), strict=True):
                row.append((perf_counter() - start) * 1e6)
                start = perf_counter()
        return [median(row) for row in times]
