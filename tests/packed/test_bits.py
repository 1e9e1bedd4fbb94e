import numpy as np
import pytest

from signbit.packed import bits

SIZES = (0, 1, 63, 64, 65, 127, 128, 129)


def test_the_sign_of_zero_is_plus_one():
    x = np.array([-1.0, -0.0, 0.0, 1e-45, -1e-45, np.inf, -np.inf], np.float32)
    assert bits.sign(x).tolist() == [-1, 1, 1, 1, -1, 1, -1]
    assert bits.negative(x).tolist() == [1, 0, 0, 0, 1, 0, 1]
    assert bits.sign(np.float64("nan")) == 1


def test_the_bit_is_the_ieee_sign_bit():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    np.testing.assert_array_equal(bits.negative(x), x.view(np.uint32) >> 31)
    np.testing.assert_array_equal(bits.values(bits.negative(x)), np.copysign(1, x))


@pytest.mark.parametrize("depth", SIZES)
def test_words_hold_bit_i_at_place_i_and_spare_bits_are_zero(depth):
    rows = np.random.default_rng(depth).integers(0, 2, (3, depth), np.uint8)
    words = bits.pack_words(rows)
    assert words.shape == (3, -(-depth // 64))
    assert words.dtype == np.uint64
    for row, packed in zip(rows, words, strict=True):
        number = sum(int(word) << (64 * i) for i, word in enumerate(packed))
        assert number == sum(int(bit) << i for i, bit in enumerate(row))
    np.testing.assert_array_equal(bits.unpack_words(words, depth), rows)


@pytest.mark.parametrize("depth", SIZES)
def test_the_product_of_packed_rows_is_the_sum_of_products(depth):
    rng = np.random.default_rng(depth)
    a, b = rng.integers(0, 2, (4, depth), np.uint8), rng.integers(0, 2, (5, depth), np.uint8)
    product = bits.dot(bits.pack_words(a), bits.pack_words(b), depth)
    expected = [[sum((1 - 2 * int(x)) * (1 - 2 * int(y)) for x, y in zip(r, s, strict=True)) for s in b] for r in a]
    assert product.tolist() == expected
    assert product.dtype == np.int32


@pytest.mark.parametrize("depth", SIZES)
def test_a_stream_has_no_gap_between_rows(depth):
    rows = np.random.default_rng(depth).integers(0, 2, (3, depth), np.uint8)
    stream = bits.pack_stream(rows)
    assert len(stream) == -(-3 * depth // 8)
    assert int.from_bytes(stream.tobytes(), "little") == sum(int(bit) << i for i, bit in enumerate(rows.reshape(-1)))
    np.testing.assert_array_equal(bits.unpack_stream(stream, rows.shape), rows)
