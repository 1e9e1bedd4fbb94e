"""Published counts of sub-bit and sparse networks (sparse.md §1.7 and §3.1)."""

import numpy as np
import pytest

from signbit.packed.operations import entropy, ones_additions, shared_kernel_ops

# Inputs, filters and positions of the sixteen binary 3x3 layers of ResNet-18 at 224x224.
STAGES = [(64, 56), (128, 28), (256, 14), (512, 7)]
LAYERS = [
    (width // 2 if first and width > 64 else width, width, side * side)
    for width, side in STAGES
    for first in (True, False, False, False)
]


@pytest.mark.parametrize(
    ("width", "giga", "bits"),
    [(9, 1.676280, 10_985_472), (6, 0.883900, 7_323_648), (5, 0.501359, 6_103_040), (4, 0.297243, 4_882_432)],
)
def test_sub_bit_networks(width, giga, bits):
    """Operations to the last digit that is given; with 512 patterns they are those of the dense layers."""
    total = sum(
        shared_kernel_ops(positions=p, channels=c, filters=f, codewords=1 << width if width < 9 else f)
        for c, f, p in LAYERS
    )
    assert round(total / 1e9, 6) == giga
    assert sum(c * f * 9 for c, f, _ in LAYERS) * width // 9 == bits


def test_sparse_networks():
    listed = sum(ones_additions(positions=p, listed=round(0.05 * 9 * c * f), shared=0) for c, f, p in LAYERS)
    total = sum(ones_additions(positions=p, listed=round(0.05 * 9 * c * f), shared=9 * c) for c, f, p in LAYERS)
    assert round(listed / 1e6, 1) == 83.8
    assert round(total / 1e6, 1) == 96.6
    dense = sum(p * 9 * c * f for c, f, p in LAYERS)
    assert round(dense / total, 1) == 17.4


def test_entropy():
    assert entropy(np.array([5, 5])) == 1
    assert entropy(np.array([1, 19])) == pytest.approx(0.2864, abs=5e-5)
    assert entropy(np.array([7])) == 0
    assert entropy(np.array([0, 3, 3, 3, 3])) == 2
