"""Element-wise arithmetic on real numbers, and normalisation."""

from dataclasses import dataclass
from typing import Literal

from signbit.packed.bits import Array
from signbit.packed.edges import Edge, Int, Real, describe, integer_range
from signbit.packed.nodes.node import (
    RealNode,
    expect,
    expect_border,
    expect_finite,
    expect_same_shapes,
    expect_shape,
    tensor,
)


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(RealNode):
    """Sum of two or more inputs, left to right: exact for integers, else each addition rounded to float32."""

    def infer(self, *edges: Edge) -> Edge:
        """Int if all inputs are integers, else Real."""
        shape = expect_same_shapes(edges)
        expect(
            all(isinstance(e, Int | Real) for e in edges), f"needs integers or reals: {', '.join(map(describe, edges))}"
        )
        if all(isinstance(e, Int) for e in edges):
            ranges = [integer_range(e) for e in edges]
            return Int(shape, sum(low for low, _ in ranges), sum(high for _, high in ranges))
        return self.real(shape)


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
