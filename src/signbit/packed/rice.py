"""Rice codes for gaps: within 3.5 % of the entropy of a sparse random mask, one integer parameter, streaming.

A gap g is written as g >> r ones, a zero, then the r low bits of g, lowest first. The gaps of a filter are the numbers
of weights skipped before each listed position.
"""

from collections.abc import Iterable, Sequence
from math import ceil, log, log2

import numpy as np

from signbit.packed.bits import Array, Bytes
from signbit.packed.edges import GraphError


def parameter(count: int, depth: int) -> int:
    """The Rice parameter of least expected length for `count` positions among `depth`: exact for random positions."""
    if count == 0 or count >= depth:
        return 0
    return min(31, max(0, ceil(log2(0.4812 / -log(1 - count / depth)))))


def encode(positions: Sequence[Array], parameters: Iterable[int]) -> Bytes:
    """Codes the rising positions of every filter into one stream of bits (bytes, low bit first)."""
    pieces: list[Bytes] = []
    for where, r in zip(positions, map(int, parameters), strict=True):
        gaps: Array = np.diff(where.astype(np.int64), prepend=-1) - 1
        quotients = gaps >> r
        ends = np.cumsum(quotients + 1 + r)
        bits = np.ones(int(ends[-1]) if len(ends) else 0, np.uint8)
        bits[ends - r - 1] = 0
        for k in range(r):
            bits[ends - r + k] = (gaps >> k) & 1
        pieces.append(bits)
    return np.packbits(np.concatenate(pieces) if pieces else np.zeros(0, np.uint8), bitorder="little")


def decode(stream: Bytes, parameters: Array, counts: Array, depth: int) -> list[Array]:
    """Inverse of `encode`: the positions of every filter, all below `depth`.

    Raises:
        GraphError: the stream ends too early, lists a position past `depth`, or has bytes left over.
    """
    bits = np.unpackbits(stream, bitorder="little")
    text = bits.tobytes()
    at = 0
    filters: list[Array] = []
    for r, count in zip(map(int, parameters), map(int, counts), strict=True):
        begin, stops = at, []
        for _ in range(count):
            stops.append(text.find(b"\0", at))
            at = stops[-1] + 1 + r
            if stops[-1] < 0 or at > len(text):
                raise GraphError("the stream of gaps ends before its last position")
        zeros = np.array(stops, np.int64)
        quotients = np.diff(zeros, prepend=begin - 1 - r) - 1 - r
        low = np.zeros(count, np.int64)
        for k in range(r):
            low |= bits[zeros + 1 + k].astype(np.int64) << k
        # Limited to the depth, which is too far already, so that neither the shift nor the sum overflows.
        gaps = np.minimum((np.minimum(quotients, depth) << r) + low, depth)
        where = np.cumsum(gaps + 1) - 1
        if count and where[-1] >= depth:
            raise GraphError(f"the stream of gaps lists a position past the depth {depth}")
        filters.append(where)
    if len(text) - at >= 8 or b"\1" in text[at:]:
        raise GraphError("the stream of gaps has bits left over")
    return filters
