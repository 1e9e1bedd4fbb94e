"""A packed model ready to run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signbit.packed import container
from signbit.packed.bits import Array
from signbit.packed.edges import Edge, GraphError, Image, describe
from signbit.packed.graph import Graph
from signbit.packed.image import as_pixels
from signbit.packed.reference import checked
from signbit.runtime.engine import Engine, NativeEngine, NodePlan, ReferenceEngine
from signbit.runtime.isa import REFERENCE, choose

MAX_THREADS = 256


@dataclass(frozen=True)
class Prediction:
    """A class, by its name or else its index, and its softmax score."""

    label: str | int
    score: float


@dataclass(frozen=True)
class NodeTime:
    """Time of one node; 0 for a node fused into another, as `kernel` then says."""

    name: str
    op: str
    kernel: str
    microseconds: float


class Model:
    """A graph on an engine. Safe to use from several threads at once.

    Attributes:
        graph: what runs.
        isa: the instruction set it runs on, or "reference".
        threads: how many threads share one call.
    """

    def __init__(self, graph: Graph, *, threads: int = 1, isa: str | None = None) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be 1..{MAX_THREADS}, got {threads}")
        self.graph = graph
        self.isa = choose(isa)
        self.threads = threads
        self._engine: Engine = (
            ReferenceEngine(graph) if self.isa == REFERENCE else NativeEngine(graph, self.isa, threads)
        )

    @property
    def plan(self) -> list[NodePlan]:
        """How every node runs, in order; of a layer whose form depends on the batch the one kernel it has in all."""
        return list(self._engine.plan)

    def plan_for(self, samples: int) -> list[NodePlan]:
        """`plan`, with the kernels that a batch of `samples` gets: of a layer in several pieces joined by " + "."""
        if samples < 1:
            raise ValueError(f"samples must be >= 1, got {samples}")
        return list(self._engine.plan_for(samples))

    def run(self, batch: Array | Mapping[str, Array]) -> Array:
        """The output for a batch (N, ...), or for one batch per input name.

        An image input takes uint8 pixels or float32 within 0..1; other inputs take the dtype of their edge.
        """
        return self._engine.run(self._prepare(batch))

    def predict(self, image: Any, top: int = 5) -> list[Prediction]:
        """The `top` best classes of one image (a path, or a Pillow image), best first."""
        preparation = self.graph.image
        if preparation is None:
            raise ValueError("the model does not say how to prepare an image; give its input to `run`")
        if top < 1:
            raise ValueError(f"top must be >= 1, got {top}")
        logits = self.run(preparation.pixels(image)[None])[0].reshape(-1).astype(np.float64)
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        best = np.argsort(-scores, kind="stable")[:top]
        labels = self.graph.labels
        return [Prediction(labels[i] if labels else int(i), float(scores[i])) for i in best]

    def profile(self, batch: Array | Mapping[str, Array], *, repeats: int = 20) -> list[NodeTime]:
        """Median time of every node over `repeats` runs, and the kernels that a batch of this size gets."""
        if repeats < 1:
            raise ValueError(f"repeats must be >= 1, got {repeats}")
        batches = self._prepare(batch)
        plan = self._engine.plan_for(len(next(iter(batches.values()))))
        times = self._engine.profile(batches, repeats)
        return [NodeTime(p.name, p.op, p.kernel, t) for p, t in zip(plan, times, strict=True)]

    def _prepare(self, batch: Array | Mapping[str, Array]) -> dict[str, Array]:
        inputs = self.graph.inputs
        if isinstance(batch, np.ndarray):
            if len(inputs) != 1:
                raise ValueError(f"the graph has the inputs {', '.join(inputs)}; give a mapping of arrays")
            batch = dict.fromkeys(inputs, batch)
        if missing := [name for name in inputs if name not in batch]:
            raise ValueError(f"no batch for input {missing[0]!r}")
        batches = {name: _checked(batch[name], edge, name) for name, edge in inputs.items()}
        if len({len(array) for array in batches.values()}) > 1:
            raise ValueError("the inputs differ in batch size")
        return batches


def _checked(batch: Array, edge: Edge, name: str) -> Array:
    if not isinstance(batch, np.ndarray):
        raise ValueError(f"input {name!r} takes an array for {describe(edge)}, got {type(batch).__name__}")
    return as_pixels(batch, edge.shape) if isinstance(edge, Image) else checked(batch, edge, name)


def load(path: str | Path, *, threads: int = 1, isa: str | None = None) -> Model:
    """Reads a packed file and makes it ready to run.

    Args:
        path: a `.sbit` file.
        threads: how many threads share one call.
        isa: instruction set; None takes the one that SIGNBIT_ISA names, else the best.
    """
    # The native engine decodes the streams itself, many times faster.
    graph = container.load(path, streams=choose(isa) == REFERENCE)
    try:
        return Model(graph, threads=threads, isa=isa)
    except GraphError as error:
        raise container.PackedFileError(f"{str(path)!r}: {error}") from None


def compile(graph: Graph, *, threads: int = 1, isa: str | None = None) -> Model:  # noqa: A001
    """Makes a graph in memory ready to run; arguments as in `load`."""
    return Model(graph, threads=threads, isa=isa)
