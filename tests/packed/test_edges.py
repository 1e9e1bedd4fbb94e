import pytest

from signbit.packed import Bits, GraphError, Image, Int, Real
from signbit.packed.edges import INT32_MAX, MAX_ELEMENTS, check_edge, describe, integer_range


@pytest.mark.parametrize(
    "edge",
    [
        Image((3, 4, 4)),
        Bits((1,)),
        Bits((64, 1, 1), planes=2),
        Int((5,), -INT32_MAX, INT32_MAX),
        Int((5,), 3, 3),
        Real((MAX_ELEMENTS,)),
        Real((2, 2, 2), "float16"),
        Real((2, 2, 2), "int16", 2.0**-126),
    ],
)
def test_edges_within_the_limits(edge):
    assert check_edge(edge) is edge


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (Bits(()), "neither"),
        (Bits((2, 2)), "neither"),
        (Bits((1, 2, 3, 4)), "neither"),
        (Bits((0,)), "all positive"),
        (Bits((1, -1, 1)), "all positive"),
        (Bits((2**13, 2**13, 2)), "more than"),
        (Real((MAX_ELEMENTS + 1,)), "more than"),
        (Image((5,)), "three dimensions"),
        (Bits((1,), planes=3), "1 or 2 planes"),
        (Int((1,), 1, 0), "do not fit"),
        (Int((1,), -(2**31), 0), "do not fit"),
        (Int((1,), 0, 2**31), "do not fit"),
        (Real((1,), "int16"), "needs a positive step"),
        (Real((1,), "int16", 0.0), "needs a positive step"),
        (Real((1,), "int16", -1.0), "needs a positive step"),
        (Real((1,), "int16", 1e-320), "needs a positive step"),
        (Real((1,), "int16", float("inf")), "needs a positive step"),
        (Real((1,), "int16", float("nan")), "needs a positive step"),
        (Real((1,), "float32", 1.0), "only int16"),
    ],
)
def test_edges_beyond_the_limits(edge, message):
    with pytest.raises(GraphError, match=message):
        check_edge(edge)


def test_short_phrases():
    edges = [Image((3, 2, 2)), Bits((4,)), Bits((4, 1, 2), 2), Int((4,), -1, 2), Real((4,), "float16")]
    phrases = ["image 3x2x2", "bits 4", "2-bit 4x1x2", "int 4 in -1..2", "float16 4"]
    assert list(map(describe, edges)) == phrases


def test_integers_of_every_kind():
    edges = [Image((3, 2, 2)), Bits((4,)), Bits((4,), 2), Int((4,), -7, 9)]
    assert list(map(integer_range, edges)) == [(0, 255), (-1, 1), (-3, 3), (-7, 9)]
    with pytest.raises(GraphError, match="expected integers or bits, got float32 4"):
        integer_range(Real((4,)))
