"""The planner's costs, measured anew."""

import pytest

from signbit import runtime
from signbit.benchmark import sparse_costs, tuning

pytestmark = pytest.mark.skipif(len(runtime.isas()) == 1, reason="the native extension is not built")


def test_the_reference_has_nothing_to_tune():
    with pytest.raises(ValueError, match="needs the native extension"):
        tuning.tune("reference")


def test_tuning_scales_what_was_measured(monkeypatch):
    monkeypatch.setattr(tuning, "TUNED", ((8, 1), (8, 8)))
    monkeypatch.setattr(tuning, "TUNED_CHANNELS", ((64, 64),))
    found = tuning.tune()
    assert found.factors["popcount"] > 0
    assert all(width["plane_cost"] > 0 for width in found.new["widths"])
    assert all(width["filter_cost"] >= 0 for width in found.new["widths"])
    assert found.new["lane_cost"] >= 0
    assert "filter_cost" in found.table()
    named = {int(form.split()[1]) for form in found.factors if form.startswith("mirrored")}
    assert named <= {width["lanes"] for width in found.new["widths"]}


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
    new = tuning.scaled(old, {"popcount": 2.0, "bit-planes 512": 3.0, "mirrored 512": 1.0})
    first, second = new["widths"]
    assert first == {"lanes": 512, "plane_cost": 1.5, "group_cost": [15.0, 30.0], "input_cost": 3.0, "mirror_cost": 1.5}
    assert second["plane_cost"] == 1.0  # never measured alone: as it was
    assert new["popcount_cost"] == [0.5, 0.1]
    assert new["sort_cost"] == 2.0
