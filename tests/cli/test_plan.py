"""`bench --plan` and `bench --tune`: what the planner chooses, and what by."""

from dataclasses import replace

import numpy as np
import pytest

from signbit import packed, runtime
from signbit.cli import plan, sparse_costs
from signbit.cli.main import main
from signbit.cli.plan import _layer as binary_layer
from signbit.packed import nodes
from signbit.packed.weights import encode_dense
from signbit.runtime import choices

pytestmark = pytest.mark.skipif(len(runtime.isas()) == 1, reason="the native extension is not built")


@pytest.fixture(scope="module")
def shown():
    graph = binary_layer(7, 512, 512)
    x = np.ones((1, 512, 7, 7), np.int8)
    return plan.show(graph, {"x": x}, threads=1, isa=None)


def test_the_plan_tells_kernel_tile_and_both_times(shown):
    (layer,) = shown.data["choices"]
    assert layer["name"] == "sum"
    assert sum(piece["rows"] for piece in layer["pieces"]) == 49
    assert layer["predicted"] == pytest.approx(sum(piece["predicted"] for piece in layer["pieces"]))
    assert layer["measured"] > 0
    assert {form["kernel"] for form in layer["forms"]} <= set(choices.FORMS)
    assert "mirrored: 49 rows" in shown.text
    assert ", 1 thread\n" in shown.text
    assert "estimated / measured µs at batch 1" in shown.text


def test_times_have_two_digits_or_three():
    assert plan._both(0.253, 9.46) == "0.25 / 9.5"
    assert plan._both(10.4, 1234.5) == "10 / 1234"


def test_what_is_taken_costs_least(shown):
    (layer,) = shown.data["choices"]
    assert layer["predicted"] <= min(form["predicted"] for form in layer["forms"]) * 1.001


def test_a_sparse_layer_tells_its_density_and_where_it_stops_to_pay():
    graph = binary_layer(16, 128, 128)
    product = graph.nodes[0]
    bits = (np.random.default_rng(0).random((128, 128 * 9)) < 0.05).astype(np.uint8)
    graph = packed.Graph(graph.inputs, (replace(product, weight=encode_dense(bits)), *graph.nodes[1:]), graph.output)
    x = np.ones((2, 128, 16, 16), np.int8)
    output = plan.show(graph, {"x": x}, threads=1, isa=None)
    (layer,) = output.data["choices"]
    assert layer["pieces"][0]["kernel"].startswith("sparse")
    assert layer["density"] == pytest.approx(bits.mean())
    assert layer["density"] < layer["break_even"] <= 1
    assert "sparse" in {form["kernel"] for form in layer["forms"]}
    assert "sparse pays" in output.text


def test_layers_without_a_choice_are_listed_once():
    graph = packed.Graph({"x": packed.Image((1, 2, 2))}, binary_only(), "bit")
    output = plan.show(graph, {"x": np.zeros((1, 1, 2, 2), np.uint8)}, threads=1, isa=None)
    assert output.data["choices"] == []
    assert "estimated" not in output.text


def binary_only():
    node = nodes.Threshold(name="bit", inputs=("x",), threshold=np.zeros(1, np.int32), direction=np.ones(1, np.int8))
    return (node,)


def test_the_reference_has_no_choice():
    assert choices.explain(binary_layer(2, 64, 64), {"x": np.ones((1, 64, 2, 2), np.int8)}, isa="reference") == []
    with pytest.raises(ValueError, match="needs the native extension"):
        plan.tune("reference")


def test_tuning_scales_what_was_measured(monkeypatch):
    monkeypatch.setattr(plan, "TUNED", ((8, 1), (8, 8)))
    monkeypatch.setattr(plan, "TUNED_CHANNELS", ((64, 64),))
    output = plan.tune(None)
    assert output.data["factors"]["popcount"] > 0
    assert all(width["plane_cost"] > 0 for width in output.data["new"]["widths"])
    assert all(width["filter_cost"] >= 0 for width in output.data["new"]["widths"])
    assert output.data["new"]["lane_cost"] >= 0
    assert "filter_cost" in output.text
    named = {int(form.split()[1]) for form in output.data["factors"] if form.startswith("mirrored")}
    assert named <= {width["lanes"] for width in output.data["new"]["widths"]}


def test_sparse_constants_are_what_planes_leave():
    old = {"widths": [{"lanes": 512, "filter_cost": 10.0}, {"lanes": 256, "filter_cost": 7.0}], "lane_cost": 1.0}
    factors = {"popcount": 2.0, "bit-planes 512": 3.0}

    def time(filters, *, line):  # planes of 1000 ns, that take 1.5 times as long; filters of 20, lanes of 4
        lanes = 512 if line else 0
        measured = 2.0 * 2 * (1000 * 1.5 + 20 * filters + 4 * lanes)
        return sparse_costs.SparseTime(512, 2, filters, line, 2 * (1000 + 10 * filters + lanes), measured)

    found = sparse_costs.fit([time(64, line=False), time(128, line=False), time(64, line=True)], old, factors)
    assert found["filter_cost"] == pytest.approx([20.0, 7.0])
    assert found["lane_cost"] == pytest.approx(4.0)
    assert sparse_costs.fit([], old, factors) == {"filter_cost": [10.0, 7.0], "lane_cost": 1.0}


def test_constants_are_relative_to_popcount():
    old = {
        "widths": [
            {"lanes": 512, "plane_cost": 1.0, "group_cost": (10.0, 20.0), "input_cost": 2.0, "mirror_cost": 3.0},
            {"lanes": 256, "plane_cost": 1.0, "group_cost": (10.0, 20.0), "input_cost": 2.0, "mirror_cost": 3.0},
        ],
        "popcount_cost": (0.5, 0.1),
        "sort_cost": 4.0,
    }
    new = plan.scaled(old, {"popcount": 2.0, "bit-planes 512": 3.0, "mirrored 512": 1.0})
    first, second = new["widths"]
    assert first == {"lanes": 512, "plane_cost": 1.5, "group_cost": [15.0, 30.0], "input_cost": 3.0, "mirror_cost": 1.5}
    assert second["plane_cost"] == 1.0  # never measured alone: as it was
    assert new["popcount_cost"] == [0.5, 0.1]
    assert new["sort_cost"] == 2.0


def test_bench_without_a_model_says_what_it_needs(capsys):
    assert main(["bench"]) == 2
    assert "needs a packed file, a run or a network" in capsys.readouterr().err
