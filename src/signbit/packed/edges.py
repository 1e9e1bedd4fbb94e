"""What flows between the nodes of a graph: four kinds of values, each with its shape for one sample.

A shape is (channels, height, width) or (features,). The reference interpreter holds a batch of N samples as one array
of shape (N, *shape) with the dtype given below.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

import numpy as np

INT32_MAX = 2**31 - 1
MAX_ELEMENTS = 2**26
"""Largest number of values on one edge of one sample; beyond it a file is taken for damaged."""

SMALLEST = 2.0**-126
"""Smallest positive normal number of float32."""

RealFormat = Literal["float32", "float16", "int16"]
WeightFormat = Literal["float32", "int8"]
"""Number formats of real weights."""


class GraphError(ValueError):
    """A graph that breaks the rules of docs/format.md; the message names the node."""


@dataclass(frozen=True)
class Image:
    """Pixels 0..255, uint8, (C, H, W)."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Bits:
    """Signs. One plane: ±1. Two planes: 2·high + low in {-3, -1, 1, 3}, three times the value. Held as int8."""

    shape: tuple[int, ...]
    planes: int = 1


@dataclass(frozen=True)
class Int:
    """Integers known to lie in low..high (both attainable bounds of int32). Held as int32."""

    shape: tuple[int, ...]
    low: int
    high: int


@dataclass(frozen=True)
class Real:
    """Real numbers, each rounded to `format` when produced. Held as float32.

    float16 rounds to half precision; int16 rounds to the nearest multiple of `step`, at most 32767 steps from 0.
    """

    shape: tuple[int, ...]
    format: RealFormat = "float32"
    step: float | None = None


Edge: TypeAlias = Image | Bits | Int | Real


def check_edge(edge: Edge) -> Edge:
    """Returns `edge` if it obeys the limits of the format, else raises `GraphError`."""
    if len(edge.shape) not in (1, 3) or min(edge.shape) < 1:
        raise GraphError(f"shape {edge.shape} is neither (channels, height, width) nor (features,), all positive")
    if prod(edge.shape) > MAX_ELEMENTS:
        raise GraphError(f"shape {edge.shape} has more than {MAX_ELEMENTS} values")
    match edge:
        case Image() if len(edge.shape) != 3:
            raise GraphError(f"an image has three dimensions, got {edge.shape}")
        case Bits() if edge.planes not in (1, 2):
            raise GraphError(f"bits have 1 or 2 planes, got {edge.planes}")
        case Int() if not -INT32_MAX <= edge.low <= edge.high <= INT32_MAX:
            raise GraphError(f"integers from {edge.low} to {edge.high} do not fit in 32 bits")
        case Real() if (edge.format == "int16") != (edge.step is not None and SMALLEST <= edge.step < float("inf")):
            raise GraphError(
                f"format {edge.format} with step {edge.step}: int16, and only int16, needs a positive step"
            )
    return edge


EDGE_DTYPES: dict[type[Edge], type] = {Image: np.uint8, Bits: np.int8, Int: np.int32, Real: np.float32}
"""How the values on an edge are held."""


def describe(edge: Edge) -> str:
    """One short phrase for tables and messages, such as 'bits 64x56x56'."""
    size = "x".join(map(str, edge.shape))
    match edge:
        case Bits(planes=2):
            return f"2-bit {size}"
        case Int():
            return f"int {size} in {edge.low}..{edge.high}"
        case Real():
            return f"{edge.format} {size}"
    return f"{type(edge).__name__.lower()} {size}"


def integer_range(edge: Edge) -> tuple[int, int]:
    """Smallest and largest integer on an edge of integers (bits count as their integer values)."""
    match edge:
        case Image():
            return 0, 255
        case Bits(planes=planes):
            return (-1, 1) if planes == 1 else (-3, 3)
        case Int(low=low, high=high):
            return low, high
    raise GraphError(f"expected integers or bits, got {describe(edge)}")
