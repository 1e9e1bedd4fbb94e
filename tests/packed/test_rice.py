import numpy as np
import pytest

from signbit.packed import rice
from signbit.packed.edges import GraphError


def coded_by_hand(positions, r):
    """The text of one filter, bit by bit."""
    text, previous = "", -1
    for position in positions:
        gap, previous = position - previous - 1, position
        text += "1" * (gap >> r) + "0" + "".join(str(gap >> k & 1) for k in range(r))
    return text


@pytest.mark.parametrize("r", [0, 1, 3, 7])
def test_codes_are_ones_a_zero_and_the_low_bits(r):
    positions = [np.array([0, 1, 5, 64, 65, 100]), np.array([], int), np.array([127])]
    text = "".join(coded_by_hand(p.tolist(), r) for p in positions)
    stream = rice.encode(positions, [r] * 3)
    assert int.from_bytes(stream.tobytes(), "little") == int(text[::-1], 2)
    assert len(stream) == -(-len(text) // 8)
    decoded = rice.decode(stream, np.array([r] * 3), np.array([6, 0, 1]), 128)
    for found, expected in zip(decoded, positions, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("density", [0, 0.002, 0.05, 0.5, 1])
def test_the_parameter_is_near_the_best(depth, density):
    rng = np.random.default_rng(0)
    positions = [np.flatnonzero(rng.random(depth) < density) for _ in range(40)]
    chosen = rice.encode(positions, [rice.parameter(len(p), depth) for p in positions])
    best = min(len(rice.encode(positions, [r] * 40)) for r in range(12))
    assert len(chosen) <= 1.05 * best + 1


@pytest.mark.parametrize(
    ("count", "depth", "r"),
    [
        (1, 4, 1),
        (1, 10, 3),
        (5, 100, 4),
        (1, 20, 4),
        (2, 100, 5),
        (1, 100, 6),
        (1, 200, 7),
        (0, 9, 0),
        (9, 9, 0),
        (1, 1, 0),
    ],
)
def test_the_parameter_is_the_exact_optimum(count, depth, r):
    """max(0, ceil(log2(.4812 / -ln(1 - p)))) (sparse.md §0b): of least expected length for geometric gaps."""
    assert rice.parameter(count, depth) == r
    p = count / depth
    if 0 < p < 1:

        def length(k):
            return 1 + k + (1 - p) ** (2**k) / (1 - (1 - p) ** (2**k))

        assert length(r) == pytest.approx(min(length(k) for k in range(32)), rel=2e-4)


RICE_BITS = {0.25: 0.821, 0.1: 0.476, 0.05: 0.290, 0.04: 0.243, 0.03: 0.197, 0.02: 0.142, 0.01: 0.081, 0.005: 0.045}


@pytest.mark.parametrize("density", RICE_BITS)
def test_bits_a_weight_of_random_masks(density):
    """sparse.md §4.1: one stream over the whole mask; its figures have three digits."""
    mask = np.flatnonzero(np.random.default_rng(0).random(2**20) < density)
    stream = rice.encode([mask], [rice.parameter(len(mask), 2**20)])
    assert 8 * len(stream) / 2**20 == pytest.approx(RICE_BITS[density], rel=0.01, abs=0.0006)


def test_no_filters_take_no_bytes():
    assert rice.encode([], []).size == 0
    assert rice.decode(np.zeros(0, np.uint8), np.zeros(0, int), np.zeros(0, int), 64) == []


BAD = {
    "ends in the ones": (np.array([255, 255], np.uint8), [0], [1], 64),
    "ends in the low bits": (np.array([0b01111111], np.uint8), [3], [1], 64),
    "nothing left for the last": (np.array([0], np.uint8), [0], [9], 64),
    "past the depth": (np.array([0b00111111], np.uint8), [0], [1], 6),
    "past the depth in sum": (rice.encode([np.array([3]), np.array([60])], [2, 2]), [2, 2], [1, 1], 60),
    "a number that overflows": (np.array([255] * 4 + [0] * 4, np.uint8), [31], [1], 64),
    "a whole byte left over": (np.array([0, 0], np.uint8), [0], [1], 64),
    "a bit left over": (np.array([0b10000000], np.uint8), [0], [1], 64),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_stream_is_refused(case):
    stream, parameters, counts, depth = BAD[case]
    with pytest.raises(GraphError, match="stream of gaps"):
        rice.decode(stream, np.array(parameters), np.array(counts), depth)
