"""The sign bit: what it means, how it is packed, and the product of two packed vectors.

One convention for the whole project: sign(0) = +1, a bit is the IEEE sign bit (1 means -1), bit i of a row is bit
i mod 8 of byte i div 8 (so bit i mod 64 of word i div 64), and spare bits are 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


def negative(x: npt.ArrayLike) -> Bytes:
    """Sign bits of `x`, any shape: 1 where x < 0, else 0 (so for 0, -0.0 and NaN)."""
    return (np.asarray(x) < 0).view(np.uint8)


def sign(x: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """-1 where x is negative, else +1: zero counts as positive. Any shape."""
    return values(negative(x))


def values(bits: Array) -> npt.NDArray[np.int8]:
    """The ±1 values that `bits` (0 or 1, any shape) stand for."""
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8)


def pack_words(bits: Array) -> Words:
    """Packs the last axis: (..., K) bits to (..., ceil(K / 64)) words."""
    *rows, depth = bits.shape
    padded = np.zeros((*rows, -(-depth // 64) * 64), np.uint8)
    padded[..., :depth] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def unpack_words(words: Words, depth: int) -> Bytes:
    """Inverse of `pack_words`: (..., ceil(depth / 64)) words to (..., depth) bits."""
    octets = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=depth, bitorder="little")


def pack_stream(bits: Array) -> Bytes:
    """All of `bits`, in C order, as one stream without gaps: ceil(size / 8) bytes."""
    return np.packbits(bits.reshape(-1), bitorder="little")


def unpack_stream(stream: Bytes, shape: Sequence[int]) -> Bytes:
    """Inverse of `pack_stream` for bits of `shape`."""
    count = int(np.prod(shape, dtype=np.int64))
    return np.unpackbits(stream, count=count, bitorder="little").reshape(shape)


def dot(a: Words, b: Words, depth: int) -> npt.NDArray[np.int32]:
    """Products of ±1 vectors: (M, W) and (N, W) words to (M, N) integers, K - 2·popcount(a ^ b).

    Spare bits are 0 on both sides, so they add nothing and `depth` stays the true K.
    """
    different = np.bitwise_count(a[:, None, :] ^ b[None, :, :]).sum(axis=-1, dtype=np.int32)
    return np.asarray(depth - 2 * different, np.int32)
