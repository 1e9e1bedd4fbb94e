"""Which kernel runs each node, and what it was chosen by."""

from dataclasses import replace

import numpy as np
import pytest

from signbit import assets, packed, runtime
from signbit.benchmark import bench, explain
from signbit.benchmark.plan import _both
from signbit.benchmark.tuning import layer
from signbit.packed import nodes
from signbit.packed.weights import encode_dense
from signbit.runtime.choices import FORMS

pytestmark = pytest.mark.skipif(len(runtime.isas()) == 1, reason="the native extension is not built")


@pytest.fixture(scope="module")
def shown():
    return explain(layer(7, 512, 512))


def test_the_plan_tells_kernel_tile_and_both_times(shown):
    (choice,) = shown.choices
    assert choice.name == "sum"
    assert sum(piece.rows for piece in choice.pieces) == 49
    assert choice.predicted == pytest.approx(sum(piece.predicted for piece in choice.pieces))
    assert choice.measured > 0
    assert {form.kernel for form in choice.forms} <= set(FORMS)
    assert "mirrored: 49 rows" in shown.table()
    assert ", 1 thread\n" in shown.table()
    assert "estimated / measured µs at batch 1" in shown.table()


def test_times_have_two_digits_or_three():
    assert _both(0.253, 9.46) == "0.25 / 9.5"
    assert _both(10.4, 1234.5) == "10 / 1234"


def test_what_is_taken_costs_least(shown):
    (choice,) = shown.choices
    assert choice.predicted <= min(form.predicted for form in choice.forms) * 1.001


def test_a_sparse_layer_tells_its_density_and_where_it_stops_to_pay():
    graph = layer(16, 128, 128)
    product = graph.nodes[0]
    bits = (np.random.default_rng(0).random((128, 128 * 9)) < 0.05).astype(np.uint8)
    graph = packed.Graph(graph.inputs, (replace(product, weight=encode_dense(bits)), *graph.nodes[1:]), graph.output)
    output = explain(graph, batch=2)
    (choice,) = output.choices
    assert choice.pieces[0].kernel.startswith("sparse")
    assert choice.density == pytest.approx(bits.mean())
    assert choice.density < choice.break_even <= 1
    assert "sparse" in {form.kernel for form in choice.forms}
    assert "sparse pays" in output.table()


def test_layers_without_a_choice_are_listed_once():
    graph = packed.Graph({"x": packed.Image((1, 2, 2))}, binary_only(), "bit")
    output = explain(graph)
    assert output.choices == ()
    assert "estimated" not in output.table()


def binary_only():
    node = nodes.Threshold(name="bit", inputs=("x",), threshold=np.zeros(1, np.int32), direction=np.ones(1, np.int8))
    return (node,)


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("isa", runtime.isas()[:-1])
def test_every_table_names_the_kernels_that_run(isa, batch):
    graph = packed.load(assets.model("digits"))
    plan = explain(graph, batch=batch, isa=isa)
    chosen = {choice.name: " + ".join(piece.kernel for piece in choice.pieces) for choice in plan.choices}
    assert len(chosen) >= 2
    steps = {step.name: step.kernel for step in plan.steps}
    assert {name: steps[name] for name in chosen} == chosen
    assert steps["hidden.fc.sign"] == f"{chosen['stage1.conv']}, fused with 'stage1.conv'"
    timed = bench(graph, batches=(batch,), isa=isa, seconds=0.01)
    assert {node["name"]: node["kernel"] for node in timed.nodes} == steps


def test_the_reference_has_no_choice():
    assert explain(layer(2, 64, 64), isa="reference").choices == ()
