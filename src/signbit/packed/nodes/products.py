"""Sums of products: binary and real convolutions and matrices, and the sum that all filters of a layer share."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, Int, Real, describe, integer_range
from signbit.packed.nodes.node import Node, RealNode, expect, expect_finite, expect_shape, expect_window_sum, tensor
from signbit.packed.weights import BinaryWeights
from signbit.packed.window import Window


def _dot_range(edge: Edge, terms: int, pad_value: int = 0) -> tuple[int, int]:
    low, high = integer_range(edge)
    reach = terms * max(abs(low), abs(high), abs(pad_value))
    return -reach, reach


@dataclass(frozen=True, eq=False, kw_only=True)
class BinaryConv(RealNode):
    """Convolution with ±1 weights; on bits, pixels and integers the exact integer sum, on reals a float32 sum.

    Padding supplies the constant `pad_value`; 0 leaves the tap out. With `levels` (filters or 1, 2) = (low, high),
    weights stand for low (bit 1) and high (bit 0), a second input holds the `WindowSum` S, and the output is real:
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

    def terms(self, edge: Edge) -> int:
        """Weights of one filter."""
        return self.depth(edge)

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

    def terms(self, edge: Edge) -> int:
        """Weights of one filter."""
        return self.depth(edge)

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
    expect_shape("levels", node.levels, (node.filters, 2), (1, 2))
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


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowSum(Node):
    """Sum of the input over each window and the channels of each group: what all filters share (2306.13515)."""

    window: Window | None = None
    groups: int = 1
    pad_value: Literal[-1, 0, 1] = 1

    def terms(self, edge: Edge) -> int:
        """The inputs of a window."""
        return edge.shape[0] // self.groups * (1 if self.window is None else self.window.taps)

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

    def terms(self, edge: Edge) -> int:
        """Weights of one filter."""
        return prod(self.weight.shape[1:])

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

    def terms(self, edge: Edge) -> int:
        """Weights of one filter."""
        return prod(self.weight.shape[1:])

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
    magnitudes = np.abs(node.weight, dtype=np.int16).reshape(shape[0], -1)
    total = int(magnitudes.sum(axis=1, dtype=np.int64).max(initial=0))
    reach = total * max(abs(low), abs(high))
    return Int(shape, -reach, reach)
