from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signbit.packed.edges import GraphError
from signbit.packed.weights import (
    MAX_COMPRESSED,
    Codebook,
    Dense,
    Gaps,
    encode_codebook,
    encode_dense,
    encode_gaps,
)

SHAPES = [(1, 1), (2, 63), (3, 64), (4, 65), (5, 1), (7, 129)]
DENSITIES = ("0", "1/N", 0.005, 0.05, 0.1, 0.25, 0.5, 1)


def random_bits(shape, density):
    rng = np.random.default_rng(1)
    p = {"0": 0, "1/N": 1 / shape[1]}.get(density, density)
    return (rng.random(shape) < p).astype(np.uint8)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [*SHAPES, (8, 576)])
def test_dense_and_gaps_give_back_their_bits(shape, density):
    bits = random_bits(shape, density)
    for weight in (encode_dense(bits), encode_gaps(bits)):
        weight.check(*shape)
        decoded = weight.decode(*shape)
        np.testing.assert_array_equal(decoded, bits)
        assert decoded.dtype == np.uint8


@pytest.mark.parametrize("taps", [1, 9, 18, 576])
@pytest.mark.parametrize("density", [0, 0.05, 0.5, 1])
def test_a_codebook_gives_back_its_bits(taps, density):
    bits = random_bits((8, 576), density)
    weight = encode_codebook(bits, taps=taps)
    weight.check(8, 576)
    np.testing.assert_array_equal(weight.decode(8, 576), bits)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 6),
    st.integers(1, 200),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_any_bits_survive_gaps(filters, depth, p, seed):
    bits = (np.random.default_rng(seed).random((filters, depth)) < p).astype(np.uint8)
    weight = encode_gaps(bits)
    weight.check(filters, depth)
    np.testing.assert_array_equal(weight.decode(filters, depth), bits)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0.005, 0.25), st.integers(576, 4608), st.integers(32, 128), st.integers(0, 2**32 - 1))
def test_gaps_stay_within_their_size_bound(p, depth, filters, seed):
    """1.035·N·H(p) + 24 bits a filter for random masks (sparse.md §0b); N·H(p) of the mask's own density."""
    bits = (np.random.default_rng(seed).random((filters, depth)) < p).astype(np.uint8)
    weight = encode_gaps(bits)
    stored = weight.stream.nbytes + weight.rice.nbytes + weight.count.nbytes
    share = bits.mean()
    entropy = -share * log2(share) - (1 - share) * log2(1 - share)
    assert 8 * stored <= 1.035 * bits.size * entropy + 24 * filters
    np.testing.assert_array_equal(weight.decode(filters, depth), bits)


def test_gaps_list_the_rarer_sign_and_plus_one_on_a_tie():
    bits = np.array([[1, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], np.uint8)
    weight = encode_gaps(bits)
    assert (weight.rice >> 7).tolist() == [1, 0, 0, 1, 0]
    assert weight.count.tolist() == [1, 1, 2, 0, 0]
    assert weight.count.dtype == np.uint16
    assert encode_gaps(np.zeros((1, 2**16), np.uint8)).count.dtype == np.uint32


def test_dense_bits_of_one_filter_follow_the_other():
    weight = encode_dense(np.array([[1, 0, 1], [0, 1, 1]], np.uint8))
    assert weight.bits.tolist() == [0b110101]


def test_a_codebook_names_each_kernel_once():
    bits = np.array([[0, 1, 1, 0, 0, 1], [0, 1, 0, 1, 1, 1]], np.uint8)
    weight = encode_codebook(bits, taps=2)
    assert weight.width == 2
    assert len(weight.patterns) == 1
    assert len(weight.index) == 2
    with pytest.raises(ValueError, match="distinct kernels"):
        encode_codebook(np.random.default_rng(0).integers(0, 2, (2**17, 32), np.uint8), taps=32)


def array(*values, dtype=np.uint8):
    return np.array(values, dtype)


BAD = {
    "dense: too short": (Dense(bits=array(1)), (3, 3), "3 filters of 3 bits need 2 bytes, got 1"),
    "dense: too long": (Dense(bits=array(1, 2, 3)), (3, 3), "need 2 bytes"),
    "dense: of two dimensions": (Dense(bits=array([1, 2])), (3, 3), "need 2 bytes"),
    "gaps: too many weights": (
        Gaps(stream=array(), rice=array(0), count=array(0, dtype=np.uint16)),
        (1, MAX_COMPRESSED + 1),
        "more than",
    ),
    "gaps: filters": (Gaps(stream=array(), rice=array(0), count=array(0, 0, dtype=np.uint16)), (2, 8), "2 filters"),
    "gaps: count": (
        Gaps(stream=array(0, 0), rice=array(0), count=array(9, dtype=np.uint16)),
        (1, 8),
        "more than its 8",
    ),
    "gaps: parameter": (Gaps(stream=array(0), rice=array(0x20), count=array(1, dtype=np.uint16)), (1, 8), "bad Rice"),
    "gaps: stream": (Gaps(stream=array(), rice=array(0), count=array(1, dtype=np.uint16)), (1, 8), "shorter than"),
    "codebook: taps": (Codebook(taps=5, width=0, patterns=array(0), index=array()), (1, 8), "does not divide"),
    "codebook: no taps": (Codebook(taps=0, width=0, patterns=array(0), index=array()), (1, 8), "does not divide"),
    "codebook: width": (Codebook(taps=8, width=17, patterns=array(0), index=array()), (1, 8), "2.17 patterns"),
    "codebook: patterns": (Codebook(taps=8, width=1, patterns=array(0), index=array(0)), (1, 8), "2 bytes of patterns"),
    "codebook: index": (Codebook(taps=8, width=0, patterns=array(0), index=array(0)), (1, 8), "0 of indices"),
    "codebook: too many weights": (
        Codebook(taps=8, width=0, patterns=array(0), index=array()),
        (1, 8 * MAX_COMPRESSED),
        "more than",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_inconsistent_weights_are_refused(case):
    weight, size, message = BAD[case]
    with pytest.raises(GraphError, match=message):
        weight.check(*size)
