import numpy as np
import pytest

from signbit.export.weights import encode
from signbit.packed.weights import Codebook, Dense, Gaps


def random_bits(filters: int, depth: int, density: float) -> np.ndarray:
    return (np.random.default_rng(0).random((filters, depth)) < density).astype(np.uint8)


@pytest.mark.parametrize("density", [0.01, 0.05, 0.1, 0.9, 0.99])
def test_rare_signs_become_gaps_near_their_entropy(density):
    bits = random_bits(64, 2304, density)
    weight = encode(bits, taps=9)
    assert isinstance(weight, Gaps)
    np.testing.assert_array_equal(weight.decode(*bits.shape), bits)
    p = bits.mean()
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    stored = 8 * (weight.stream.nbytes + weight.rice.nbytes + weight.count.nbytes)
    assert stored <= 1.035 * bits.size * entropy + 24 * len(bits)


def test_balanced_signs_stay_dense():
    bits = random_bits(64, 2304, 0.5)
    assert isinstance(encode(bits, taps=9), Dense)
    assert isinstance(encode(bits), Dense)


def test_few_kernels_become_a_codebook():
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (32, 9), dtype=np.uint8)
    bits = patterns[rng.integers(0, 32, 64 * 64)].reshape(64, 576)
    weight = encode(bits, taps=9)
    assert isinstance(weight, Codebook)
    assert weight.width == 5
    np.testing.assert_array_equal(weight.decode(64, 576), bits)
    assert isinstance(encode(bits, taps=1), Dense)


@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (1, 63), (2, 65)])
def test_small_layers(shape):
    for density in (0, 0.1, 0.5, 1):
        bits = random_bits(*shape, density)
        np.testing.assert_array_equal(encode(bits, taps=1).decode(*shape), bits)
