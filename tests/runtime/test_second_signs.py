"""A threshold beside the reals of the same sums: where it says what their signs say, the chain makes both."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.cases import floats, values
from runtime.test_chain import convolution
from signbit import runtime
from signbit.packed import nodes as n
from signbit.packed.edges import Bits
from signbit.packed.graph import Graph

KERNELS = {True: "bit-planes", False: "popcount"}


def block(rng, channels, filters, *, pad=1, other=0):
    """Reals of a convolution's sums, and a threshold at which their sign turns, or `other` further for one filter."""
    scale, offset = floats(rng, filters), floats(rng, filters) * np.float32(channels)
    depth = channels * 9
    # Padding 0 leaves out taps, so that all integers occur.
    sums = np.arange(-depth, depth + 1, 1 if pad == 0 else 2)
    below = sums.astype(np.float32)[:, None] * scale + offset < 0
    direction = np.where(scale < 0, -1, 1)
    turn = np.where(scale < 0, below.argmax(axis=0) - 1, (~below).argmax(axis=0))
    always, never = ~below.any(axis=0), below.all(axis=0)
    cut = sums[np.clip(turn, 0, len(sums) - 1)] + direction * other * (np.arange(filters) == 0)
    cut = np.where(always, -depth * direction, np.where(never, (depth + 1) * direction, cut))
    return [
        convolution(rng, "conv", "x", channels, filters, pad=pad),
        n.Affine(name="real", inputs=("conv",), scale=scale, offset=offset),
        n.Threshold(name="bits", inputs=("conv",), threshold=cut.astype(np.int32), direction=direction.astype(np.int8)),
        convolution(rng, "next", "bits", filters, filters, pad=pad),
        n.Add(name="sum", inputs=("next", "real")),
    ]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_both_outputs_equal_the_reference(agree, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels, filters = data.draw(st.sampled_from([1, 3, 64, 96])), data.draw(st.sampled_from([1, 16, 63, 65]))
    x = Bits((channels, data.draw(st.integers(1, 17)), data.draw(st.integers(1, 17))))
    other, pad = data.draw(st.integers(-3, 3)), data.draw(st.sampled_from([-1, 0, 1]))
    nodes = block(rng, channels, filters, pad=pad, other=other)
    agree(Graph({"x": x}, tuple(nodes), "sum"), {"x": values(rng, x, 3)})


@pytest.mark.parametrize("pad", [-1, 0, 1])
@pytest.mark.parametrize(("other", "same"), [(0, True), (2, False), (-2, False)])
def test_only_equal_signs_are_made_with_the_reals(native, pad, other, same):
    nodes = block(np.random.default_rng(3), 64, 64, pad=pad, other=other)
    graph = Graph({"x": Bits((64, 32, 32))}, tuple(nodes), "sum")
    plan = {node.name: node.kernel for node in runtime.compile(graph, isa="generic").plan}
    assert plan["conv"].startswith(KERNELS[same])
    assert plan["bits"] == "plain, fused with 'conv'"
