"""Rice codes for gaps: within 3.5 % of the entropy of a sparse random mask, one integer parameter, streaming.

A gap g is written as g >> r ones, a zero, then the r low bits of g, lowest first. The gaps of a filter are the numbers
of weights skipped before each listed position.
"""

import re
from collections.abc import Iterable, Sequence
from math import ceil, log, log2

import numpy as np

from signbit.packed.bits import Array, Bytes
from signbit.packed.edges import GraphError

_CODES = [re.compile(rb"(\x01*)\x00" + b"." * r, re.S) for r in range(32)]
"""By parameter, one code of a stream that has a byte for every bit; the group is its ones."""


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
    begin, codes = 0, []
    for r, count in zip(map(int, parameters), map(int, counts), strict=True):
        # All codes of a filter take no more bits than this, so that no search goes far past its end.
        stop = min(len(text), begin + count * (r + 1) + (depth >> r) + 1)
        found = _CODES[r].findall(text, begin, stop)[:count]
        if len(found) < count:
            reason = (
                "ends before its last position" if stop == len(text) else f"lists a position past the depth {depth}"
            )
            raise GraphError(f"the stream of gaps {reason}")
        begin += len(b"".join(found)) + count * (r + 1)
        codes += found
    if len(text) - begin >= 8 or b"\1" in text[begin:]:
        raise GraphError("the stream of gaps has bits left over")
    quotients = np.fromiter(map(len, codes), np.int64, len(codes))
    width = np.repeat(parameters.astype(np.int64), counts)
    ends = np.cumsum(quotients + 1 + width)
    low = np.zeros(len(codes), np.int64)
    for k in range(int(width.max(initial=0))):
        has = width > k
        low[has] |= bits[(ends - width)[has] + k].astype(np.int64) << k
    # Limited to the depth, which is too far already, so that neither the shift nor the sum overflows.
    gaps = np.minimum((np.minimum(quotients, depth) << width) + low, depth)
    filters = [np.cumsum(part + 1) - 1 for part in np.split(gaps, np.cumsum(counts, dtype=np.int64)[:-1])]
    if any(len(where) and where[-1] >= depth for where in filters):
        raise GraphError(f"the stream of gaps lists a position past the depth {depth}")
    return filters[: len(counts)]
