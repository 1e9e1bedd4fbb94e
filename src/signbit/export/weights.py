"""The smallest way to store the one-bit weights of a layer."""

import numpy as np

from signbit.packed.bits import Array
from signbit.packed.schema import tensor_fields
from signbit.packed.weights import BinaryWeights, encode_codebook, encode_dense, encode_gaps

_HEADER = 80
"""Bytes that one more tensor costs in the header of a file."""


def encode(bits: Array, *, taps: int = 1) -> BinaryWeights:
    """Stores a (filters, depth) matrix of bits, 1 for -1, in the encoding of fewest bytes.

    Args:
        bits: the matrix.
        taps: weights of one kernel, by which a codebook groups them.
    """
    candidates: list[BinaryWeights] = [encode_dense(bits)]
    density = bits.mean(axis=1)
    if np.minimum(density, 1 - density).mean() < 0.3:
        candidates.append(encode_gaps(bits))
    if 1 < taps <= 25 and _distinct(bits.reshape(-1, taps)) <= 2 ** min(16, taps - 1):
        candidates.append(encode_codebook(bits, taps=taps))
    return min(candidates, key=_size)


def _distinct(kernels: Array) -> int:
    return len(np.unique(kernels @ (1 << np.arange(kernels.shape[1], dtype=np.int64))))


def _size(weight: BinaryWeights) -> int:
    arrays = [getattr(weight, name) for name in tensor_fields(type(weight))]
    return sum(array.nbytes + _HEADER for array in arrays)
