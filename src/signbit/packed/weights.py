"""Three ways to store one-bit weights: dense bits, coded gaps between the rarer sign, and a codebook of kernels.

Whatever the way, the meaning is a matrix of bits (filters, depth), 1 for -1; depth runs over (input channel of the
group, kernel row, kernel column), as a torch weight does when flattened.
"""

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from signbit.packed import rice
from signbit.packed.bits import Array, Bytes, pack_stream, unpack_stream
from signbit.packed.edges import GraphError

MAX_COMPRESSED = 2**28
"""Most weights that gaps or a codebook may unfold to: a small file must not ask for unbounded memory."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dense:
    """Every bit, filter after filter, without gaps."""

    encoding: ClassVar[str] = "dense"
    bits: Bytes = field(metadata={"dtype": ("uint8",)})

    def check(self, filters: int, depth: int) -> None:
        """Raises `GraphError` unless the stream holds exactly filters x depth bits."""
        if self.bits.shape != (-(-filters * depth // 8),):
            raise GraphError(
                f"{filters} filters of {depth} bits need {-(-filters * depth // 8)} bytes, got {self.bits.size}"
            )

    def decode(self, filters: int, depth: int) -> Bytes:
        """The bits as a (filters, depth) matrix of 0 and 1."""
        return unpack_stream(self.bits, (filters, depth))


@dataclass(frozen=True, eq=False, kw_only=True)
class Gaps:
    """Per filter the positions of its rarer sign, as Rice-coded gaps (`packed.rice`), one stream for all filters.

    `rice` holds per filter the Rice parameter (bits 0..4) and which sign is listed (bit 7 set: -1); `count` how many
    positions follow.
    """

    encoding: ClassVar[str] = "gaps"
    stream: Bytes = field(metadata={"dtype": ("uint8",)})
    rice: Bytes = field(metadata={"dtype": ("uint8",)})
    count: Array = field(metadata={"dtype": ("uint16", "uint32")})

    def check(self, filters: int, depth: int) -> None:
        """Raises `GraphError` unless the lists belong to `filters` filters of `depth` weights."""
        if filters * depth > MAX_COMPRESSED:
            raise GraphError(f"{filters} x {depth} coded weights are more than {MAX_COMPRESSED}")
        if self.rice.shape != (filters,) or self.count.shape != (filters,):
            raise GraphError(f"{filters} filters need as many Rice parameters and counts")
        if np.any(self.count > depth) or np.any(self.rice & 0x60):
            raise GraphError(f"a filter lists more than its {depth} weights or has a bad Rice parameter")
        if int(self.count.sum(dtype=np.int64)) > 8 * self.stream.size:
            raise GraphError("the stream of gaps is shorter than its counts say")

    def positions(self, depth: int) -> list[Array]:
        """The listed positions of every filter; `GraphError` if the stream is damaged."""
        return rice.decode(self.stream, self.rice & 0x1F, self.count, depth)

    def decode(self, filters: int, depth: int) -> Bytes:
        """The bits as a (filters, depth) matrix of 0 and 1."""
        listed = (self.rice >> 7).astype(np.uint8)
        bits = np.repeat(1 - listed[:, None], depth, axis=1)
        for row, where, bit in zip(bits, self.positions(depth), listed, strict=True):
            row[where] = bit
        return bits


@dataclass(frozen=True, eq=False, kw_only=True)
class Codebook:
    """Every kernel of `taps` bits is one of 2**width patterns (sub-bit networks, 2110.09195)."""

    encoding: ClassVar[str] = "codebook"
    taps: int
    width: int
    patterns: Bytes = field(metadata={"dtype": ("uint8",)})
    index: Bytes = field(metadata={"dtype": ("uint8",)})

    def check(self, filters: int, depth: int) -> None:
        """Raises `GraphError` unless the indices cover filters x depth weights."""
        if not 0 <= self.width <= 16 or self.taps < 1 or depth % self.taps:
            raise GraphError(
                f"a codebook of 2^{self.width} patterns of {self.taps} weights does not divide depth {depth}"
            )
        if filters * depth > MAX_COMPRESSED:
            raise GraphError(f"{filters} x {depth} coded weights are more than {MAX_COMPRESSED}")
        kernels = filters * depth // self.taps
        sizes = (-(-(self.taps << self.width) // 8), -(-kernels * self.width // 8))
        if (self.patterns.shape, self.index.shape) != ((sizes[0],), (sizes[1],)):
            raise GraphError(f"the codebook needs {sizes[0]} bytes of patterns and {sizes[1]} of indices")

    def decode(self, filters: int, depth: int) -> Bytes:
        """The bits as a (filters, depth) matrix of 0 and 1."""
        patterns = unpack_stream(self.patterns, (1 << self.width, self.taps))
        return patterns[self.indices(filters, depth)].reshape(filters, depth)

    def indices(self, filters: int, depth: int) -> Array:
        """Which pattern each kernel is, (filters·depth / taps,)."""
        kernels = filters * depth // self.taps
        index_bits = unpack_stream(self.index, (kernels, self.width))
        index = np.zeros(kernels, np.uint16)
        for k in range(self.width):
            index |= index_bits[:, k].astype(np.uint16) << k
        return index


BinaryWeights: TypeAlias = Dense | Gaps | Codebook
ENCODINGS: dict[str, type[Dense] | type[Gaps] | type[Codebook]] = {c.encoding: c for c in (Dense, Gaps, Codebook)}


def encode_dense(bits: Array) -> Dense:
    """Stores a (filters, depth) matrix of bits as it is."""
    return Dense(bits=pack_stream(bits))


def encode_gaps(bits: Array) -> Gaps:
    """Stores a (filters, depth) matrix of bits by the positions of each filter's rarer sign (+1 on a tie)."""
    depth = bits.shape[1]
    listed = (2 * bits.sum(axis=1, dtype=np.int64) < depth).astype(np.uint8)
    positions = [np.flatnonzero(row == bit) for row, bit in zip(bits, listed, strict=True)]
    counts = np.array([len(p) for p in positions], np.uint16 if depth < 2**16 else np.uint32)
    parameters = np.array([rice.parameter(len(p), depth) for p in positions], np.uint8)
    return Gaps(stream=rice.encode(positions, parameters), rice=parameters | (listed << 7), count=counts)


def encode_codebook(bits: Array, *, taps: int) -> Codebook:
    """Stores a (filters, depth) matrix of bits by the distinct kernels of `taps` bits in it."""
    kernels = np.packbits(bits.reshape(-1, taps), axis=1, bitorder="little")
    patterns, index = np.unique(kernels, axis=0, return_inverse=True)
    width = max(0, int(len(patterns) - 1).bit_length())
    if width > 16:
        raise ValueError(f"{len(patterns)} distinct kernels are too many for a codebook; store the weights densely")
    table = np.zeros((1 << width, taps), np.uint8)
    table[: len(patterns)] = np.unpackbits(patterns, axis=1, count=taps, bitorder="little")
    index_bits = (index.reshape(-1, 1) >> np.arange(width)) & 1
    return Codebook(taps=taps, width=width, patterns=pack_stream(table), index=pack_stream(index_bits.astype(np.uint8)))
