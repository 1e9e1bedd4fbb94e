"""What every node has, and the checks that their rules share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import Edge, GraphError, Int, Real, RealFormat, describe


def tensor(*dtypes: str, optional: bool = False) -> Any:
    """A field holding an array of one of `dtypes`."""
    metadata = {"dtype": dtypes}
    return field(default=None, metadata=metadata) if optional else field(metadata=metadata)


def expect(condition: bool, message: str) -> None:
    """Raises `GraphError(message)` unless `condition` holds."""
    if not condition:
        raise GraphError(message)


def expect_shape(name: str, value: Array | None, *shapes: tuple[int, ...]) -> None:
    """Raises `GraphError` unless the array `value` (if there is one) has one of `shapes`."""
    if value is not None and value.shape not in shapes:
        raise GraphError(f"{name} has shape {value.shape}, expected {' or '.join(map(str, shapes))}")


def expect_finite(name: str, value: Array | None) -> None:
    """Raises `GraphError` if the array holds NaN or an infinity."""
    if value is not None and value.dtype.kind == "f" and not np.isfinite(value).all():
        raise GraphError(f"{name} holds a value that is not finite")


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(ABC):
    """A step of the graph. Its output carries the node's `name`; `inputs` name earlier nodes or graph inputs."""

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def infer(self, *edges: Edge) -> Edge:
        """The output edge for these input edges."""

    def terms(self, edge: Edge) -> int:
        """How many values make one value of the output, the first input being `edge`."""
        return len(self.inputs)


@dataclass(frozen=True, eq=False, kw_only=True)
class RealNode(Node):
    """A node whose real output is rounded to a stated format."""

    format: RealFormat = "float32"
    step: float | None = None

    def real(self, shape: tuple[int, ...]) -> Real:
        """The output edge of `shape` in this node's format."""
        return Real(shape, self.format, self.step)


def expect_border(name: str, value: Array, border: Array | None, shape: tuple[int, ...]) -> None:
    """Checks a tensor that is per channel, or per channel and border class."""
    if border is None:
        expect_shape(name, value, shape[:1])
        return
    expect_shape("border", border, shape[1:])
    expect(
        value.ndim == 2 and value.shape[0] == shape[0],
        f"{name} has shape {value.shape}, expected ({shape[0]}, classes)",
    )
    expect(int(border.max(initial=0)) < value.shape[1], f"border names a class past the {value.shape[1]} of {name}")


def expect_window_sum(s: Edge, shape: tuple[int, ...]) -> None:
    """Raises `GraphError` unless `s` can stand beside an edge of `shape`: its channels are 1 or the groups."""
    expect(
        isinstance(s, Int) and len(s.shape) == len(shape) and shape[0] % s.shape[0] == 0 and s.shape[1:] == shape[1:],
        f"the window sum {describe(s)} does not fit {shape}",
    )


def expect_same_shapes(edges: tuple[Edge, ...]) -> tuple[int, ...]:
    """The shape of two or more edges of one shape, else raises `GraphError`."""
    expect(len(edges) >= 2, f"needs two or more inputs, got {len(edges)}")
    expect(len({e.shape for e in edges}) == 1, f"inputs differ in shape: {', '.join(map(describe, edges))}")
    return edges[0].shape
