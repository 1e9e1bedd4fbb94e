"""Ternary weights: torch = packed reference = native engine, as the sum of two one-bit layers."""

import numpy as np
import pytest
import torch
from torch import nn

from export.compare import EVEN, IMAGE, assert_close, assert_equal, ops, pixels, scramble
from signbit import nn as binary
from signbit import runtime
from signbit.export import to_graph, verify
from signbit.packed import reference, save
from signbit.packed.report import inspect


def assert_runs(graph, image=IMAGE):
    batch = pixels(image)
    np.testing.assert_array_equal(runtime.compile(graph).run(batch), reference.run(graph, batch))
    return graph


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("quantizer", ["ternary", "ternary(density=0.1, granularity=filter)", "ternary(scale=none)"])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2, "bias": True}])
def test_two_planes_and_one_threshold(options, quantizer, pad_value):
    conv = binary.BinaryConv2d(4, 16, 3, padding=1, pad_value=pad_value, weight_quantizer=quantizer, **options)
    layers = [binary.BinaryConv2d(3, 4, 1), conv, nn.BatchNorm2d(16), nn.Hardtanh(), binary.BinaryConv2d(16, 32, 1)]
    graph = assert_runs(assert_equal(scramble(nn.Sequential(*layers))))
    assert ops(graph)[3:] == ["BinaryConv", "BinaryConv", "Add", "Threshold", "BinaryConv"]
    minus, plus = (reference.conv_signs(graph.node(f"1.{part}"), 4) for part in ("minus", "plus"))
    np.testing.assert_array_equal((minus + plus) / 2, conv.weight_quantizer(conv.weight).detach().numpy())


def test_linear_and_real_output():
    layers = [nn.Flatten(), binary.BinaryLinear(270, 24, True, weight_quantizer="ternary(density=0.05)")]
    last = binary.BinaryLinear(24, 5, weight_quantizer="ternary(density=0.2, scale=none)")
    graph = assert_runs(assert_equal(scramble(nn.Sequential(*layers, nn.BatchNorm1d(24), last))))
    assert ops(graph)[2:] == ["BinaryLinear", "BinaryLinear", "Add", "Threshold"] + ["BinaryLinear"] * 2 + [
        "Add",
        "Affine",
    ]


def test_on_pixels_and_on_reals():
    conv = binary.BinaryConv2d(3, 8, 3, input_quantizer=None, weight_quantizer="ternary(density=0.3)")
    model = scramble(nn.Sequential(conv, nn.BatchNorm2d(8), binary.BinaryConv2d(8, 4, 1)))
    assert ops(assert_runs(assert_equal(model, EVEN), EVEN))[:4] == ["Lookup", "BinaryConv", "BinaryConv", "Add"]
    assert ops(assert_close(model))[:4] == ["Lookup", "BinaryConv", "BinaryConv", "Add"]


def test_without_zeros_it_is_one_plane():
    conv = binary.BinaryConv2d(3, 16, 3, weight_quantizer="ternary(density=1.0)")
    assert ops(assert_equal(scramble(nn.Sequential(conv)))) == ["Threshold", "BinaryConv", "Affine"]


def test_takes_about_the_information_of_a_ternary_mask():
    conv = binary.BinaryConv2d(64, 64, 3, padding=1, weight_quantizer="ternary(density=0.05)")
    graph = assert_runs(assert_equal(scramble(nn.Sequential(binary.BinaryConv2d(3, 64, 1), conv))))
    (row,) = (row for row in inspect(graph).rows if row.name == "1")
    assert row.density == pytest.approx(0.05, abs=1e-3)
    assert row.entropy == pytest.approx(0.2864 + 0.05, abs=0.01)
    assert row.weight_bits < 1.035 * row.entropy + 2 * 24 / 576


def test_verifies_and_survives_the_file(tmp_path):
    first = binary.BinaryConv2d(3, 16, 3, padding=1, weight_quantizer="ternary(density=0.1)")
    layers = [first, nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.Flatten(), binary.BinaryLinear(16 * 20, 5)]
    model = scramble(nn.Sequential(*layers))
    model[2].weight.data.abs_()
    found = verify(save(to_graph(model, image=IMAGE), tmp_path / "model.sbit"), model=model, samples=32)
    assert found.passed, found.table()
    assert found.network.promise == "equal"


def test_a_code_that_is_neither_is_refused():
    class Five(type(binary.BinaryLinear(2, 2).weight_quantizer)):
        def forward(self, x):
            return torch.full_like(x, 5)

    model = nn.Sequential(nn.Flatten(), binary.BinaryLinear(270, 2, weight_quantizer=Five()))
    with pytest.raises(ValueError, match=r"1: Five gives codes other than -1, 0 and \+1"):
        to_graph(model, image=IMAGE)
