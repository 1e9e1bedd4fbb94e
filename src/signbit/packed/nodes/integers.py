"""From pixels, integers and reals to bits and integers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, Int, Real, describe, integer_range
from signbit.packed.nodes.node import (
    Node,
    expect,
    expect_border,
    expect_finite,
    expect_shape,
    expect_window_sum,
    tensor,
)


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
