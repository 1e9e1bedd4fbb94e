"""Operations of sparse and sub-bit layers, by the counts that their papers give."""

from math import log2

from signbit.packed.bits import Array

__all__ = ["entropy", "ones_additions", "shared_kernel_ops"]


def shared_kernel_ops(*, positions: int, channels: int, filters: int, codewords: int, taps: int = 9) -> float:
    """Bit operations of a layer whose kernels are `codewords` patterns (sub-bit networks, 2110.09195).

    Each input channel is convolved with each pattern once, positions·taps·channels·codewords; the results are gathered
    and added, an addition counting half: positions·channels·filters/2. With no fewer patterns than filters nothing is
    shared. The rule was found from the paper's four rows, which it gives exactly.

    Args:
        positions: of the output.
        channels: of the input that a filter sees.
        filters: of the layer.
        codewords: patterns of its codebook.
        taps: weights of a kernel.
    """
    if codewords >= filters:
        return float(positions * taps * channels * filters)
    return positions * taps * channels * codewords + positions * channels * filters / 2


def ones_additions(*, positions: int, listed: int, shared: int) -> int:
    """Additions of a layer that adds only the inputs of its listed weights: positions·(listed + shared).

    Args:
        positions: of the output.
        listed: weights of all filters that have their filter's rarer sign.
        shared: inputs under a window, where their sum is needed once for all filters; else 0.
    """
    return positions * (listed + shared)


def entropy(counts: Array) -> float:
    """Bits that one of things with these numbers of occurrences holds, −Σ p·log2 p."""
    total = float(counts.sum())
    return -sum(float(count) / total * log2(float(count) / total) for count in counts if count > 0) + 0.0
