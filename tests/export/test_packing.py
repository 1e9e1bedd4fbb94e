"""Every network of `list_models()` packs, verifies with random and with briefly trained weights, and benches."""

import importlib.util
from pathlib import Path

import pytest

from models.counts import small
from signbit.models import image_shape, list_models

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "packing.py"
spec = importlib.util.spec_from_file_location("packing", SCRIPT)
packing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(packing)

REDUCED = {
    "binarynet": {"widths": (16, 32, 64), "hidden": (64, 64)},
    "vgg": {"widths": (16, 32, 64)},
    "resnet18": {"widths": (16, 32, 64), "depths": (1, 2, 1)},
    "resnet20": {"depths": (1, 2, 1)},
    "birealnet18": {"widths": (16, 32), "depths": (1, 2)},
    "birealnet34": {"widths": (16, 32), "depths": (2, 1)},
    "react": {"widths": (16, 32), "depths": (1, 2)},
    "mnist": {"widths": (64, 64)},
}
"""Options that leave the wiring and take the width and the depth, by the first word of a name."""


def reduced(name):
    return {"side": min(image_shape(name)[1], 64)} | (small(name) or REDUCED.get(name.split("_")[0], {}))


def check(rows, *, ratios):
    found = list(rows)
    assert [row.weights for row in found] == ["random", "trained"]
    for row in found:
        assert row.verification.passed, row.verification.table()
        assert row.verification.native
        assert row.float32 > 1
        assert list(row.speed) == ratios, row.notes
        assert any("equals ours" in note for note in row.notes)


@pytest.mark.parametrize("name", list_models())
def test_every_network_packs_verifies_and_benches(name):
    rows = packing.measure(name, samples=16, steps=2, seconds=1e-4, against=("float",), **reduced(name))
    check(rows, ratios=["PyTorch fp32"])


@pytest.mark.parametrize("name", list_models())
def test_every_float_twin_packs_too(name):
    rows = packing.measure(name, samples=16, steps=2, seconds=1e-4, binary=False, **reduced(name))
    for row in rows:
        assert row.verification.passed, row.verification.table()
        assert row.one_bit == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", list_models())
def test_every_network_at_full_size(name):
    pytest.importorskip("onnxruntime")
    rows = packing.measure(name, samples=32, steps=3, seconds=0.1, against=("float", "onnx"))
    check(rows, ratios=["PyTorch fp32", "ONNX Runtime int8"])
