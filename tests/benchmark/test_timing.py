from signbit.benchmark import interleaved


def test_contenders_take_turns():
    order = []
    timings = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, seconds=0.001)
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")
    assert all(0 < timing.median <= timing.p95 for timing in timings.values())
