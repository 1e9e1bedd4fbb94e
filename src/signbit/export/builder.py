"""A graph that grows node by node, and the values that stand for its edges while it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from signbit.export.error import ExportError
from signbit.packed import nodes as n
from signbit.packed.edges import Bits, Edge, GraphError, Image, Real, check_edge
from signbit.packed.graph import Graph
from signbit.packed.image import ImagePreparation


@dataclass(frozen=True, eq=False, kw_only=True)
class Step(ABC):
    """Something done to a value, at `path` in the model."""

    path: str

    @abstractmethod
    def evaluate(self, x: Tensor) -> Tensor:
        """What torch computes from x: (1, C, n, 1) or (n, features)."""

    @abstractmethod
    def emit(self, builder: Builder, source: str) -> str:
        """Adds the node that does this to `source`."""

    def merge(self, following: Step) -> Step | None:
        """One step that does this and then `following`, if there is one."""
        return None


@dataclass(frozen=True, eq=False)
class Value:
    """What a tensor of the traced model is: the output of node `source`, then `steps` that are not emitted yet.

    Steps wait because what follows decides about them: before a sign they become integer thresholds, before anything
    else nodes of real numbers.

    Attributes:
        source: a node, or the input of the graph.
        shape: of one sample, after the steps.
        steps: what to do to the output of `source`.
    """

    source: str
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    def then(self, step: Step, shape: tuple[int, ...] | None = None) -> Value:
        """This value after one more step."""
        return Value(self.source, self.shape if shape is None else shape, (*self.steps, step))

    def size(self) -> tuple[int, ...]:
        """Shape of a batch of one, as torch sees it."""
        return (1, *self.shape)


class Builder:
    """Emits nodes with unique names and knows the edge of each.

    Attributes:
        nodes: in order of execution.
        edges: edge of the input and of every node.
        sums: attainable integers of nodes, where they are fewer than the edge's range.
        shared: chains of steps that several consumers read, so that a real result is emitted there.
        signs: bits of chains of steps whose sign was taken already.
    """

    INPUT = "input"

    def __init__(self, image: ImagePreparation) -> None:
        self.nodes: list[n.Node] = []
        self.edges: dict[str, Edge] = {self.INPUT: Image(image.shape)}
        self.sums: dict[str, range] = {}
        self.shared: set[tuple[str, tuple[Step, ...]]] = set()
        self.signs: dict[tuple[str, tuple[Step, ...]], Value] = {}
        self._emitted: dict[tuple[Any, ...], str] = {}
        self._image = image

    def add(self, op: type[n.Node], path: str, *inputs: str, **fields: Any) -> str:
        """Emits a node called `path` (or path.2, path.3, …) and returns its name."""
        name, count = path, 1
        while name in self.edges:
            count += 1
            name = f"{path}.{count}"
        try:
            node = op(name=name, inputs=inputs, **fields)
            self.edges[name] = check_edge(node.infer(*(self.edges[source] for source in inputs)))
        except GraphError as error:
            raise ExportError(f"{path}: {error}") from None
        self.nodes.append(node)
        return name

    def emit(self, value: Value) -> str:
        """The node that holds `value`, its steps emitted."""
        source, done = value.source, 0
        for end in range(len(value.steps), 0, -1):
            if (value.source, value.steps[:end]) in self._emitted:
                source, done = self._emitted[value.source, value.steps[:end]], end
                break
        while done < len(value.steps):
            end = done + 1
            step = value.steps[done]
            while end < len(value.steps) and (value.source, value.steps[:end]) not in self.shared:
                merged = step.merge(value.steps[end])
                if merged is None:
                    break
                step, end = merged, end + 1
            source = step.emit(self, source)
            done = end
            self._emitted[value.source, value.steps[:done]] = source
        return source

    def number(self, value: Value, path: str) -> str:
        """As `emit`, but bits become real numbers."""
        return self.numeric(self.emit(value), path)

    def numeric(self, source: str, path: str) -> str:
        """`source`, or real numbers where it holds bits."""
        return self._as_real(source, path) if isinstance(self.edges[source], Bits) else source

    def as_real(self, value: Value, path: str) -> str:
        """As `emit`, but bits and integers become real numbers."""
        source = self.emit(value)
        return source if isinstance(self.edges[source], Real) else self._as_real(source, path)

    def _as_real(self, source: str, path: str) -> str:
        channels = self.edges[source].shape[0]
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return self.once(("real", source), n.Affine, f"{path}.input", source, scale=one, offset=zero)

    def once(self, key: tuple[Any, ...], op: type[n.Node], path: str, *inputs: str, **fields: Any) -> str:
        """The node emitted earlier under `key`, else a new one."""
        if key not in self._emitted:
            self._emitted[key] = self.add(op, path, *inputs, **fields)
        return self._emitted[key]

    def same_sums(self, name: str, source: str) -> str:
        """Notes that `name`, which it returns, holds integers of `source`."""
        if source in self.sums:
            self.sums[name] = self.sums[source]
        return name

    def value(self, source: str, *steps: Step) -> Value:
        """The output of `source`, after steps that keep its shape."""
        return Value(source, self.edges[source].shape, steps)

    def graph(self, output: str, labels: tuple[str, ...]) -> Graph:
        """The finished graph, without nodes that nothing reads."""
        needed = {output}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        nodes = tuple(node for node in self.nodes if node.name in needed)
        return Graph({self.INPUT: Image(self._image.shape)}, nodes, output, self._image, labels)
