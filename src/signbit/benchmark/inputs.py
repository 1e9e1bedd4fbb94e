"""Random inputs that a graph may be given."""

from math import prod

import numpy as np

from signbit import packed
from signbit.packed.bits import Array
from signbit.packed.edges import Bits, Edge, Image, integer_range


def sample(edge: Edge, size: int, random: np.random.Generator) -> Array:
    """A batch of random values that may stand on `edge`."""
    shape = (size, *edge.shape)
    match edge:
        case Image():
            return random.integers(0, 256, shape, dtype=np.uint8)
        case Bits():
            low, high = integer_range(edge)
            return (2 * random.integers(0, (high - low) // 2 + 1, shape) + low).astype(np.int8)
        case packed.Int(low=low, high=high):
            return random.integers(low, high + 1, shape, dtype=np.int32)
    return random.standard_normal(prod(shape)).reshape(shape).astype(np.float32)
