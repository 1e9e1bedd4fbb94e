"""Weights of two levels: torch = packed reference = native engine, as real numbers and as tables of thresholds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from export.compare import EVEN, IMAGE, assert_close, assert_equal, ops, pixels, scramble
from signbit import nn as binary
from signbit import runtime
from signbit.export import ExportError, fold, to_graph, verify
from signbit.packed import load, reference, save
from signbit.packed.container import dumps
from signbit.packed.report import inspect
from signbit.quantizers import TwoLevel, sign

QUANTIZERS = [
    "twolevel",
    "twolevel(density=0.1, tails=both)",
    "twolevel(density=0.05, granularity=filter)",
    "twolevel(values=learned, density=0.2, granularity=filter)",
    "twolevel(values=zero_one, density=0.2)",
]


def learned(model, seed=1):
    """The model with random learned values, of either order."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, TwoLevel):
            for parameter in module.parameters():
                parameter.data = torch.randn(parameter.shape, generator=generator)
    return model


def assert_runs(graph, image=IMAGE):
    """The native engine gives the reference's very numbers."""
    batch = pixels(image)
    np.testing.assert_array_equal(runtime.compile(graph).run(batch), reference.run(graph, batch))
    return graph


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2, "bias": True}])
def test_real_output_is_torch_and_the_engine(options, quantizer, pad_value):
    first = binary.BinaryConv2d(3, 16, 1)
    conv = binary.BinaryConv2d(16, 8, 3, padding=1, pad_value=pad_value, weight_quantizer=quantizer, **options)
    graph = assert_runs(assert_equal(learned(scramble(nn.Sequential(first, nn.BatchNorm2d(16), conv)))))
    found = ["Threshold", "BinaryConv", "Threshold", "WindowSum", "BinaryConv"]
    assert ops(graph) == found + (["Affine"] if options else [])
    assert graph.node("2").levels.shape == (8, 2)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2, "bias": True}])
def test_batch_norm_and_sign_become_a_table_over_the_window_sum(options, quantizer, pad_value):
    conv = binary.BinaryConv2d(4, 16, 3, padding=1, pad_value=pad_value, weight_quantizer=quantizer, **options)
    layers = [binary.BinaryConv2d(3, 4, 1), conv, nn.BatchNorm2d(16), nn.Hardtanh(), binary.BinaryConv2d(16, 32, 1)]
    model = learned(scramble(nn.Sequential(*layers)))
    graph = assert_runs(assert_equal(model))
    assert ops(graph) == ["Threshold", "BinaryConv", "Threshold", "WindowSum", "BinaryConv", "Threshold", "BinaryConv"]
    table = graph.node("4.sign")
    depth = 36 // options.get("groups", 1)
    assert table.threshold.shape == (16, 2 * depth + 1 if pad_value == 0 else depth + 1)
    assert table.table_step == (1 if pad_value == 0 else 2)


@pytest.mark.parametrize("quantizer", ["twolevel(density=0.25)", "twolevel(values=learned, granularity=filter)"])
def test_the_table_is_torch_on_every_pair_of_sums(quantizer):
    """Every input of 9 bits, so every attainable pair (d, S)."""
    layer, norm = binary.BinaryLinear(9, 16, weight_quantizer=quantizer), nn.BatchNorm1d(16)
    model = learned(scramble(nn.Sequential(nn.Flatten(), binary.Sign(), layer, norm, binary.Sign())))
    norm.running_mean.data.mul_(0.2)
    graph = to_graph(model, image=type(IMAGE)(height=3, width=3, mode="L"))
    table = next(node for node in graph.nodes if node.name == graph.output)
    x = torch.tensor([[1.0 - 2 * (number >> bit & 1) for bit in range(9)] for number in range(512)])
    code = sign(layer.weight_quantizer(layer.weight))
    sums = (x @ code.T).detach().numpy().astype(np.int32), x.sum(1, keepdim=True).numpy().astype(np.int32)
    with torch.no_grad():
        expected = model[2:](x).numpy()
    np.testing.assert_array_equal(reference.compute(table, *sums), expected)
    assert {-1, 1} == set(expected[:, 1:].ravel().tolist())


@pytest.mark.parametrize("quantizer", ["twolevel(density=0.05)", "twolevel(values=learned, granularity=filter)"])
def test_linear(quantizer):
    hidden = binary.BinaryLinear(270, 24, weight_quantizer=quantizer, bias=True)
    last = binary.BinaryLinear(24, 5, weight_quantizer="twolevel")
    model = learned(scramble(nn.Sequential(nn.Flatten(), hidden, nn.BatchNorm1d(24), last)))
    graph = assert_runs(assert_equal(model))
    assert ops(graph)[2:] == ["WindowSum", "BinaryLinear", "Threshold", "WindowSum", "BinaryLinear"]


def test_signs_with_a_budget_are_plain_one_bit_weights():
    conv = binary.BinaryConv2d(3, 16, 3, padding=1, weight_quantizer="twolevel(values=signs, density=0.05)")
    assert ops(assert_equal(scramble(nn.Sequential(conv)))) == ["Threshold", "BinaryConv"]


def test_sparse_weights_are_stored_as_gaps():
    conv = binary.BinaryConv2d(64, 64, 3, padding=1, weight_quantizer="twolevel(density=0.05)")
    graph = assert_runs(assert_equal(scramble(nn.Sequential(binary.BinaryConv2d(3, 64, 1), conv))))
    assert type(graph.node("1").weight).__name__ == "Gaps"
    assert inspect(graph).rows[-1].weight_bits < 1.035 * 0.2864 + 24 / 576


def two_layers(filters, pool=()):
    quantizer = "twolevel(density=0.1)"
    first = binary.BinaryConv2d(3, 16, 3, padding=1, weight_quantizer=quantizer)
    layers = [first, *pool, nn.BatchNorm2d(16), binary.BinaryConv2d(16, filters, 3, weight_quantizer=quantizer)]
    return scramble(nn.Sequential(*layers, nn.BatchNorm2d(filters), nn.Flatten(), binary.BinaryLinear(filters * 56, 5)))


def test_a_large_table_stays_real(monkeypatch):
    graph = assert_equal(two_layers(16))
    assert ops(graph).count("Sign") == 0
    small = graph.node("5.sign").threshold.nbytes
    assert small == 4 * 16 * 145 <= fold.MAX_TABLE
    monkeypatch.setattr(fold, "MAX_TABLE", small - 1)
    real = assert_runs(assert_close(two_layers(16)))
    assert ops(real).count("Sign") == 1
    assert len(dumps(real)) < len(dumps(graph)) - small // 2


def test_pools_follow_the_table_or_make_it_real():
    class Pooled(nn.Module):
        def __init__(self, *between):
            super().__init__()
            self.conv = binary.BinaryConv2d(3, 16, 3, padding=1, weight_quantizer="twolevel(density=0.1)")
            self.between, self.last = nn.Sequential(*between), binary.BinaryConv2d(16, 8, 1)

        def forward(self, x):
            return self.last(self.between(self.conv(x)))

    late = assert_runs(assert_equal(scramble(Pooled(nn.BatchNorm2d(16), nn.MaxPool2d(2)))))
    assert ops(late)[3:6] == ["Threshold", "Pool", "BinaryConv"]
    early = assert_runs(assert_close(scramble(Pooled(nn.MaxPool2d(2), nn.BatchNorm2d(16)))))
    assert ops(early)[2:] == ["BinaryConv", "Pool", "Affine", "Sign", "BinaryConv"]


def test_real_values_that_something_else_reads_are_computed_once():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm = binary.BinaryConv2d(3, 8, 3, weight_quantizer="twolevel"), nn.BatchNorm2d(8)
            self.b = binary.BinaryConv2d(8, 8, 3, padding=1, weight_quantizer="twolevel(density=0.1)")

        def forward(self, x):
            x = self.norm(self.a(x))
            return x + self.b(x)

    graph = assert_runs(assert_close(scramble(Block())))
    assert ops(graph).count("BinaryConv") == 2
    assert ops(graph).count("Sign") == 1


def test_one_window_sum_serves_all_layers_that_read_the_same_bits():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.sign = binary.Sign()
            options = {"padding": 1, "input_quantizer": None, "pad_value": -1, "weight_quantizer": "twolevel"}
            self.a, self.b = (binary.BinaryConv2d(3, 8, 3, **options) for _ in range(2))

        def forward(self, x):
            x = self.sign(x)
            return self.a(x) + self.b(x)

    assert ops(assert_equal(scramble(Pair()))).count("WindowSum") == 1


def test_verifies_and_survives_the_file(tmp_path):
    model = two_layers(16)
    path = save(to_graph(model, image=IMAGE), tmp_path / "model.sbit")
    found = verify(path, model=model, samples=32)
    assert found.passed, found.table()
    assert found.network.promise == "equal"
    np.testing.assert_array_equal(reference.run(load(path), pixels(IMAGE)), run_torch(model))


def run_torch(model):
    with torch.no_grad():
        return model(torch.from_numpy(IMAGE.normalize(pixels(IMAGE)))).numpy()


def test_a_padded_border_without_bits_is_torch_too():
    """pad_value 0 leaves taps out of both sums, so that they no longer have the parity of the depth."""
    conv = binary.BinaryConv2d(3, 8, 3, padding=1, pad_value=0, weight_quantizer="twolevel(density=0.2)")
    model = scramble(nn.Sequential(conv))
    low, high = conv.weight_quantizer.levels(conv.weight)
    weight = torch.where(conv.weight_bits(), low.view(-1, 1, 1, 1), high.view(-1, 1, 1, 1))
    x = torch.from_numpy(IMAGE.normalize(pixels(IMAGE)))
    torch.testing.assert_close(model(x), F.conv2d(sign(x), weight, padding=1), rtol=1e-5, atol=1e-5)
    assert_runs(assert_equal(model))


def test_pixels_have_no_two_level_product():
    conv = binary.BinaryConv2d(3, 8, 3, input_quantizer=None, weight_quantizer="twolevel")
    for image in (IMAGE, EVEN):
        with pytest.raises(
            ExportError, match=r"0: weights of two levels pack on bits, got .*; give the layer an input"
        ):
            to_graph(scramble(nn.Sequential(conv)), image=image)


def test_a_constant_layer_is_refused():
    model = nn.Sequential(binary.BinaryConv2d(3, 8, 3, weight_quantizer="twolevel"))
    nn.init.constant_(model[0].weight, 0.5)
    with pytest.raises(ValueError, match=r"weight: all 216 values of a layer are 0\.5, which is one level"):
        to_graph(model, image=IMAGE)
