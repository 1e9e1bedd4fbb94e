import pytest

from signbit.optim import Constant, Cosine, Exponential, Linear, Polynomial, Staircase, WarmUp

RAMPS = [Linear, Cosine, Exponential, Polynomial]


@pytest.mark.parametrize("ramp", RAMPS)
@pytest.mark.parametrize(("start", "end"), [(1e-2, 1e-5), (1e-7, 1e-2), (1e-4, 1e-9), (0.3, 0.3)])
def test_ramps_begin_exactly_and_end_where_they_should(ramp, start, end):
    schedule = ramp(start, end, 7)
    assert schedule(0) == start
    assert [schedule(index) for index in (7, 8, 10**6)] == pytest.approx([end] * 3, rel=1e-9)
    values = [schedule(index) for index in range(8)]
    assert values == sorted(values, reverse=start > end)


def test_values():
    line = Linear(1e-2, 1e-5, 4)
    assert [line(index) for index in (1, 2)] == pytest.approx([0.75e-2 + 0.25e-5, 0.5e-2 + 0.5e-5])
    assert [Polynomial(1.0, 0.0, 4, power=2.0)(index) for index in range(5)] == [1, 0.5625, 0.25, 0.0625, 0]
    assert [Polynomial(0.3, 0.1, 4)(i) for i in range(5)] == pytest.approx([Linear(0.3, 0.1, 4)(i) for i in range(5)])
    assert [Cosine(2.0, 0.0, 4)(index) for index in range(5)] == pytest.approx([2, 1.7071068, 1, 0.2928932, 0])
    assert [Exponential(1e-4, 1e-8, 4)(i) for i in range(5)] == pytest.approx([1e-4, 1e-5, 1e-6, 1e-7, 1e-8])
    assert [Constant(0.3)(index) for index in (0, 9)] == [0.3, 0.3]


def test_a_ramp_to_zero_freezes_and_never_passes_below():
    for ramp in (Linear, Cosine, Polynomial):
        values = [ramp(0.1, 0.0, 333)(index) for index in range(335)]
        assert min(values) == 0
        assert values[333:] == [0, 0]


def test_staircase():
    stairs = Staircase(1e-4, 0.1, 100)
    assert [stairs(index) for index in (0, 99, 100, 250)] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])
    assert stairs(99) == 1e-4
    short = Staircase(1.0, 0.5, 2.5, stairs=2)
    assert [short(index) for index in range(9)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("then", [Constant(0.8), Linear(0.8, 0.0, 4), Staircase(0.8, 0.5, 2), Cosine(0.8, 0.1, 4)])
def test_warm_up_comes_before_any_schedule(then):
    schedule = WarmUp(4, then)
    assert [schedule(index) for index in range(5)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert [schedule(4 + index) for index in range(6)] == [then(index) for index in range(6)]
    assert [WarmUp(2, then, start=0.4)(index) for index in range(3)] == pytest.approx([0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(1, 0, 0), "steps must be >= 1, got 0"),
        (lambda: Cosine(1, 0, 0), "steps must be >= 1, got 0"),
        (lambda: Polynomial(1, 0, 0), "steps must be >= 1, got 0"),
        (lambda: Polynomial(1, 0, 5, power=0.0), "power must be > 0, got 0"),
        (lambda: Exponential(1, 0, 5), "start and end of an exponential must be > 0, got 1 and 0"),
        (lambda: Staircase(1, 0.1, 0), "period must be >= 1, got 0"),
        (lambda: Staircase(1, -0.1, 5), "factor must be >= 0, got -0.1"),
        (lambda: WarmUp(0, Constant(1)), "steps must be >= 1, got 0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
