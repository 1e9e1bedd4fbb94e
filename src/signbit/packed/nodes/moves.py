"""Nodes that gather, choose or move values."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, Int, Real, describe, integer_range
from signbit.packed.nodes.node import Node, RealNode, expect, expect_same_shapes, expect_shape, tensor
from signbit.packed.window import Window


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

    def terms(self, edge: Edge) -> int:
        """The positions under the window."""
        return self.window.taps

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
class Where(RealNode):
    """The second input where the first (bits, one plane) is +1, the third where it is -1."""

    def infer(self, *edges: Edge) -> Edge:
        """Int if both choices are integers, Bits if both are bits, else Real."""
        condition, yes, no = edges
        expect_same_shapes(edges)
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
