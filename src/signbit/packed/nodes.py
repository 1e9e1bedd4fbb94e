"""The vocabulary of a graph: one frozen dataclass per node type, with the rule that types its output.

Nodes are unfused primitives; what each computes is defined by `packed.reference`, and docs/format.md lists them. A
field of arrays names the dtypes it may have; every other field is stored as JSON. `infer` checks the shapes of both
and returns the output edge, or raises `GraphError`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import (
    Bits,
    Edge,
    GraphError,
    Image,
    Int,
    Real,
    RealFormat,
    describe,
    integer_range,
)
from signbit.packed.weights import BinaryWeights
from signbit.packed.window import Window


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
    if value is not None and not np.isfinite(value).all():
        raise GraphError(f"{name} holds a value that is not finite")


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(ABC):
    """A step of the graph. Its output carries the node's `name`; `inputs` name earlier nodes or graph inputs."""

    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def infer(self, *edges: Edge) -> Edge:
        """The output edge for these input edges."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RealNode(Node):
    """A node whose real output is rounded to a stated format."""

    format: RealFormat = "float32"
    step: float | None = None

    def real(self, shape: tuple[int, ...]) -> Real:
        """The output edge of `shape` in this node's format."""
        return Real(shape, self.format, self.step)


def _dot_range(edge: Edge, terms: int, pad_value: int = 0) -> tuple[int, int]:
    low, high = integer_range(edge)
    reach = terms * max(abs(low), abs(high), abs(pad_value))
    return -reach, reach


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryConv(RealNode):
    """Convolution with ±1 weights; on bits, pixels and integers the exact integer sum, on reals a float32 sum.

    Padding supplies the constant `pad_value`; 0 leaves the tap out. With `levels` (filters, 2) = (low, high), weights
    stand for low (bit 1) and high (bit 0), a second input holds the `WindowSum` S, and the output is real:
    (high - low)/2 · sum + (high + low)/2 · S.
    """

    window: Window
    filters: int
    groups: int = 1
    pad_value: Literal[-1, 0, 1] = 1
    weight: BinaryWeights
    levels: Array | None = tensor("float32", optional=True)

    def depth(self, edge: Edge) -> int:
        """Weights of one filter."""
        return edge.shape[0] // self.groups * self.window.taps

    def infer(self, *edges: Edge) -> Edge:
        """Int, or Real with `levels` or on a real input."""
        x = edges[0]
        size = self.window.output(x.shape)
        expect(self.filters >= 1 and self.groups >= 1, f"{self.filters} filters in {self.groups} groups")
        expect(
            x.shape[0] % self.groups == 0 and self.filters % self.groups == 0,
            f"{x.shape[0]} channels and {self.filters} filters do not divide into {self.groups} groups",
        )
        self.weight.check(self.filters, self.depth(x))
        return _binary_output(self, x, edges[1:], (self.filters, *size), self.depth(x), self.pad_value)


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryLinear(RealNode):
    """Product with a ±1 matrix (filters, features); `levels` as in `BinaryConv`."""

    filters: int
    weight: BinaryWeights
    levels: Array | None = tensor("float32", optional=True)

    def depth(self, edge: Edge) -> int:
        """Weights of one filter."""
        return edge.shape[0]

    def infer(self, *edges: Edge) -> Edge:
        """Int, or Real with `levels` or on a real input."""
        x = edges[0]
        expect(len(x.shape) == 1, f"needs an input of (features,), got {describe(x)}")
        expect(self.filters >= 1, f"{self.filters} filters")
        self.weight.check(self.filters, x.shape[0])
        return _binary_output(self, x, edges[1:], (self.filters,), x.shape[0], 0)


def _binary_output(
    node: BinaryConv | BinaryLinear, x: Edge, rest: tuple[Edge, ...], shape: tuple[int, ...], depth: int, pad: int
) -> Edge:
    expect_shape("levels", node.levels, (node.filters, 2))
    expect_finite("levels", node.levels)
    if node.levels is not None:
        expect(isinstance(x, Bits), f"levels need bits as input, got {describe(x)}")
        expect(len(rest) == 1 and isinstance(rest[0], Int), "levels need the window sum as second input")
        expect_window_sum(rest[0], shape)
        return node.real(shape)
    expect(not rest, "a second input needs levels")
    if isinstance(x, Real):
        return node.real(shape)
    expect((node.format, node.step) == ("float32", None), "integer sums have no real format")
    return Int(shape, *_dot_range(x, depth, pad))


def expect_window_sum(s: Edge, shape: tuple[int, ...]) -> None:
    """Raises `GraphError` unless `s` can stand beside an edge of `shape`: its channels are 1 or the groups."""
    expect(
        isinstance(s, Int) and len(s.shape) == len(shape) and shape[0] % s.shape[0] == 0 and s.shape[1:] == shape[1:],
        f"the window sum {describe(s)} does not fit {shape}",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowSum(Node):
    """Sum of the input over each window and the channels of each group: what all filters share (2306.13515)."""

    window: Window | None = None
    groups: int = 1
    pad_value: Literal[-1, 0, 1] = 1

    def infer(self, *edges: Edge) -> Edge:
        """Int (groups, H', W'); without a window the sum of a vector, (1,)."""
        (x,) = edges
        expect(self.groups >= 1 and x.shape[0] % self.groups == 0, f"{x.shape[0]} channels in {self.groups} groups")
        if self.window is None:
            expect(len(x.shape) == 1 and self.groups == 1, f"without a window, needs (features,), got {describe(x)}")
            return Int((1,), *_dot_range(x, x.shape[0]))
        size = self.window.output(x.shape)
        depth = x.shape[0] // self.groups * self.window.taps
        return Int((self.groups, *size), *_dot_range(x, depth, self.pad_value))


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(RealNode):
    """Convolution with float32 weights (a float32 sum) or int8 weights (exact int32 sums, no bias)."""

    window: Window
    groups: int = 1
    weight: Array = tensor("float32", "int8")
    bias: Array | None = tensor("float32", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Real for float32 weights, Int for int8."""
        (x,) = edges
        size = self.window.output(x.shape)
        filters = self.weight.shape[0] if self.weight.ndim else 0
        expect(self.groups >= 1 and filters % self.groups == 0, f"{filters} filters in {self.groups} groups")
        expect_shape("weight", self.weight, (filters, x.shape[0] // self.groups, *self.window.kernel))
        expect(x.shape[0] % self.groups == 0, f"{x.shape[0]} channels in {self.groups} groups")
        return _dense_output(self, x, (filters, *size))


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(RealNode):
    """Product with a matrix (filters, features) of float32 or int8, as in `Conv`."""

    weight: Array = tensor("float32", "int8")
    bias: Array | None = tensor("float32", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Real for float32 weights, Int for int8."""
        (x,) = edges
        expect(len(x.shape) == 1, f"needs an input of (features,), got {describe(x)}")
        filters = self.weight.shape[0] if self.weight.ndim else 0
        expect_shape("weight", self.weight, (filters, x.shape[0]))
        return _dense_output(self, x, (filters,))


def _dense_output(node: Conv | Linear, x: Edge, shape: tuple[int, ...]) -> Edge:
    expect_shape("bias", node.bias, (shape[0],))
    expect_finite("weight", node.weight)
    expect_finite("bias", node.bias)
    if node.weight.dtype != np.int8:
        expect(not isinstance(x, Image), "float32 weights need integers, bits or reals; look pixels up first")
        return node.real(shape)
    expect(node.bias is None, "int8 sums take no bias; add it in the affine that follows")
    expect((node.format, node.step) == ("float32", None), "integer sums have no real format")
    low, high = integer_range(x)
    signed, unsigned = low >= -128 and high <= 127, low >= 0 and high <= 255
    expect(signed or unsigned, f"int8 weights need 8-bit inputs, got {describe(x)}")
    total = int(np.abs(node.weight.astype(np.int64)).reshape(shape[0], -1).sum(axis=1).max(initial=0))
    reach = total * max(abs(low), abs(high))
    return Int(shape, -reach, reach)


@dataclass(frozen=True, eq=False, kw_only=True)
class Lookup(Node):
    """Replaces every pixel by its entry of a table (channels or 1, 256): integers or float32."""

    table: Array = tensor("int32", "float32")

    def infer(self, *edges: Edge) -> Edge:
        """Int in the table's range, or Real."""
        (x,) = edges
        expect(isinstance(x, Image), f"needs an image, got {describe(x)}")
        expect_shape("table", self.table, (1, 256), (x.shape[0], 256))
        expect_finite("table", self.table)
        if self.table.dtype == np.int32:
            return Int(x.shape, int(self.table.min()), int(self.table.max()))
        return Real(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Affine(RealNode):
    """scale · x + offset per channel, each operation rounded to float32; offset may depend on the border class.

    `scale` is (C,), `offset` (C,) or, with `border` (H, W) of class numbers, (C, classes).
    """

    scale: Array = tensor("float32")
    offset: Array = tensor("float32")
    border: Array | None = tensor("uint8", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Real of the input's shape."""
        (x,) = edges
        expect_shape("scale", self.scale, x.shape[:1])
        expect_border("offset", self.offset, self.border, x.shape)
        expect_finite("scale", self.scale)
        expect_finite("offset", self.offset)
        return self.real(x.shape)


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Threshold(Node):
    """Integers to bits: +1 iff x >= threshold where direction is 1, iff x <= threshold where it is -1.

    `threshold` is (C,); (C, classes) with `border` (H, W); or, with a second input S (a window sum), (C, entries), the
    entry being (S - table_low) / table_step.
    """

    threshold: Array = tensor("int32")
    direction: Array = tensor("int8")
    border: Array | None = tensor("uint8", optional=True)
    table_low: int = 0
    table_step: int = 1

    def infer(self, *edges: Edge) -> Edge:
        """Bits of the input's shape."""
        x = edges[0]
        integer_range(x)
        expect_shape("direction", self.direction, x.shape[:1])
        expect(bool(np.all(np.abs(self.direction) == 1)), "direction holds a value other than -1 and 1")
        if len(edges) == 1:
            expect_border("threshold", self.threshold, self.border, x.shape)
            return Bits(x.shape)
        expect(len(edges) == 2 and self.border is None, "a threshold takes one window sum, and then no border")
        expect_window_sum(edges[1], x.shape)
        low, high = integer_range(edges[1])
        entries = self.threshold.shape[1] if self.threshold.ndim == 2 else 0
        expect_shape("threshold", self.threshold, (x.shape[0], entries))
        expect(
            self.table_step >= 1 and low >= self.table_low and (high - self.table_low) // self.table_step < entries,
            f"a table of {entries} entries from {self.table_low} by {self.table_step} misses some of {low}..{high}",
        )
        return Bits(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sign(Node):
    """Signs of x + shift (shift (C,), rounded to float32 first); sign(0) = +1.

    Two planes: 2·high + low = 2·round((clip(x + shift, -1, 1) + 1)·1.5) - 3, ties to even (FracBNN, 2012.12206).
    """

    planes: Literal[1, 2] = 1
    shift: Array | None = tensor("float32", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Bits of the input's shape."""
        (x,) = edges
        expect(isinstance(x, Real | Int), f"needs reals or integers, got {describe(x)}")
        expect_shape("shift", self.shift, x.shape[:1])
        expect_finite("shift", self.shift)
        return Bits(x.shape, self.planes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantize(Node):
    """Reals to integers: clip(round(x · inverse_step, ties to even) + zero, low, high)."""

    inverse_step: float
    zero: int = 0
    low: int = -128
    high: int = 127

    def infer(self, *edges: Edge) -> Edge:
        """Int in low..high."""
        (x,) = edges
        expect(isinstance(x, Real), f"needs reals, got {describe(x)}")
        expect(0 < self.inverse_step < 1e30, f"inverse_step must be positive and finite, got {self.inverse_step}")
        expect(
            -(2**15) <= self.low <= self.zero <= self.high <= 2**16,
            f"low {self.low}, zero {self.zero}, high {self.high}",
        )
        return Int(x.shape, self.low, self.high)


def _same_shapes(edges: tuple[Edge, ...]) -> tuple[int, ...]:
    expect(len(edges) >= 2, f"needs two or more inputs, got {len(edges)}")
    expect(len({e.shape for e in edges}) == 1, f"inputs differ in shape: {', '.join(map(describe, edges))}")
    return edges[0].shape


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(RealNode):
    """Sum of two or more inputs, left to right: exact for integers, else each addition rounded to float32."""

    def infer(self, *edges: Edge) -> Edge:
        """Int if all inputs are integers, else Real."""
        shape = _same_shapes(edges)
        expect(
            all(isinstance(e, Int | Real) for e in edges), f"needs integers or reals: {', '.join(map(describe, edges))}"
        )
        if all(isinstance(e, Int) for e in edges):
            ranges = [integer_range(e) for e in edges]
            return Int(shape, sum(low for low, _ in ranges), sum(high for _, high in ranges))
        return self.real(shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """The channels of several inputs of one kind, one after another."""

    def infer(self, *edges: Edge) -> Edge:
        """An edge of the inputs' kind."""
        expect(len(edges) >= 2, f"needs two or more inputs, got {len(edges)}")
        first = edges[0]
        expect(
            len({(type(e), e.shape[1:], getattr(e, "planes", 0)) for e in edges}) == 1,
            f"inputs differ in kind or size: {', '.join(map(describe, edges))}",
        )
        shape = (sum(e.shape[0] for e in edges), *first.shape[1:])
        if isinstance(first, Int):
            ranges = [integer_range(e) for e in edges]
            return Int(shape, min(low for low, _ in ranges), max(high for _, high in ranges))
        if isinstance(first, Real) and len({(e.format, e.step) for e in edges if isinstance(e, Real)}) > 1:
            return Real(shape)
        return replace(first, shape=shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(RealNode):
    """Maximum, sum or mean over a window; padding is left out, or counted as 0 in the mean with `count_padding`.

    The mean of integers is their exact sum, rounded to float32, divided by the count.
    """

    window: Window
    mode: Literal["max", "sum", "mean"] = "max"
    count_padding: bool = False

    def infer(self, *edges: Edge) -> Edge:
        """Max keeps the kind; sum needs integers or bits and gives Int; mean gives Real."""
        (x,) = edges
        shape = (x.shape[0], *self.window.output(x.shape))
        expect(
            all(
                size >= dilation or not padding
                for size, dilation, padding in zip(
                    x.shape[1:] * 2, self.window.dilation * 2, self.window.padding, strict=True
                )
            ),
            f"padding {self.window.padding} and dilation {self.window.dilation} leave windows without a value",
        )
        if self.mode == "max":
            return replace(x, shape=shape)
        if self.mode == "mean":
            return self.real(shape)
        low, high = integer_range(x)
        return Int(shape, min(0, self.window.taps * low), max(0, self.window.taps * high))


@dataclass(frozen=True, eq=False, kw_only=True)
class PReLU(RealNode):
    """x · positive where x >= 0, else x · slope; both per channel, `positive` 1 when absent. ReLU has slope 0."""

    slope: Array = tensor("float32")
    positive: Array | None = tensor("float32", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Real of the input's shape."""
        (x,) = edges
        expect(isinstance(x, Real | Int), f"needs reals or integers, got {describe(x)}")
        expect_shape("slope", self.slope, x.shape[:1])
        expect_shape("positive", self.positive, x.shape[:1])
        expect_finite("slope", self.slope)
        expect_finite("positive", self.positive)
        return self.real(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class HardTanh(RealNode):
    """min(max(x, low), high)."""

    low: float = -1.0
    high: float = 1.0

    def infer(self, *edges: Edge) -> Edge:
        """Real of the input's shape."""
        (x,) = edges
        expect(isinstance(x, Real | Int), f"needs reals or integers, got {describe(x)}")
        expect(self.low <= self.high, f"low {self.low} is above high {self.high}")
        return self.real(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Norm(RealNode):
    """Layer normalisation: (x - mean) / sqrt(variance + eps) · scale + offset.

    Mean and (biased) variance run over the channels of each position, or over the whole sample; scale and offset are
    per channel or, over the whole sample, of the input's shape.
    """

    over: Literal["channels", "sample"] = "channels"
    eps: float = 1e-5
    scale: Array | None = tensor("float32", optional=True)
    offset: Array | None = tensor("float32", optional=True)

    def infer(self, *edges: Edge) -> Edge:
        """Real of the input's shape."""
        (x,) = edges
        expect(isinstance(x, Real | Int), f"needs reals or integers, got {describe(x)}")
        expect(self.eps > 0, f"eps must be positive, got {self.eps}")
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            expect_shape(name, value, x.shape[:1], *([x.shape] if self.over == "sample" else []))
            expect_finite(name, value)
        return self.real(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Gate(RealNode):
    """x · f(gate), the gate of equal rank and each of its sizes equal to x's or 1, or (C,) beside (C, H, W).

    f is the identity, the logistic sigmoid or clip(gate/6 + 1/2, 0, 1).
    """

    function: Literal["identity", "sigmoid", "hardsigmoid"] = "identity"

    def infer(self, *edges: Edge) -> Edge:
        """Real of the first input's shape."""
        x, gate = edges
        expect(all(isinstance(e, Real | Int) for e in edges), f"needs reals: {', '.join(map(describe, edges))}")
        fits = len(gate.shape) == len(x.shape) and all(g in (1, s) for g, s in zip(gate.shape, x.shape, strict=True))
        expect(fits or gate.shape == x.shape[:1], f"a gate {describe(gate)} does not fit {describe(x)}")
        return self.real(x.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Where(RealNode):
    """The second input where the first (bits, one plane) is +1, the third where it is -1."""

    def infer(self, *edges: Edge) -> Edge:
        """Int if both choices are integers, Bits if both are bits, else Real."""
        condition, yes, no = edges
        _same_shapes(edges)
        expect(
            isinstance(condition, Bits) and condition.planes == 1, f"the condition is {describe(condition)}, not bits"
        )
        if isinstance(yes, Int) and isinstance(no, Int):
            return Int(yes.shape, min(yes.low, no.low), max(yes.high, no.high))
        if isinstance(yes, Bits) and yes == no:
            return yes
        expect(all(isinstance(e, Real | Int) for e in (yes, no)), f"cannot choose {describe(yes)} or {describe(no)}")
        return self.real(yes.shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Node):
    """Output channel i is input channel index[i], or 0 where that is -1: duplicate, drop, pad or shuffle channels."""

    index: Array = tensor("int32")

    def infer(self, *edges: Edge) -> Edge:
        """An edge of the input's kind."""
        (x,) = edges
        expect(
            self.index.ndim == 1 and self.index.size >= 1, f"index has shape {self.index.shape}, expected (channels,)"
        )
        low = 0 if isinstance(x, Bits) else -1
        expect(
            low <= int(self.index.min()) and int(self.index.max()) < x.shape[0],
            f"index names channels outside {low}..{x.shape[0] - 1}",
        )
        shape = (self.index.size, *x.shape[1:])
        if isinstance(x, Int):
            return Int(shape, min(0, x.low), max(0, x.high))
        return replace(x, shape=shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class Roll(Node):
    """Shifts every channel cyclically by (dy, dx) = shift[channel], downwards and to the right (BCDNet, 2209.01404)."""

    shift: Array = tensor("int8")

    def infer(self, *edges: Edge) -> Edge:
        """The input's edge."""
        (x,) = edges
        expect(len(x.shape) == 3, f"needs (channels, height, width), got {describe(x)}")
        expect_shape("shift", self.shift, (x.shape[0], 2))
        return x


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Node):
    """(C, H, W) to (C·H·W,), channels outermost."""

    def infer(self, *edges: Edge) -> Edge:
        """An edge of the input's kind."""
        (x,) = edges
        expect(not isinstance(x, Image), "an image cannot be flattened; look it up or threshold it first")
        return replace(x, shape=(int(np.prod(x.shape)),))


NODES: dict[str, type[Node]] = {
    cls.__name__: cls
    for cls in (
        BinaryConv,
        BinaryLinear,
        WindowSum,
        Conv,
        Linear,
        Lookup,
        Affine,
        Threshold,
        Sign,
        Quantize,
        Add,
        Concat,
        Pool,
        PReLU,
        HardTanh,
        Norm,
        Gate,
        Where,
        Select,
        Roll,
        Flatten,
    )
}
"""Every node type by the name it has in a file."""
