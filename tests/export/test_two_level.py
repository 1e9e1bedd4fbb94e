"""Weights of two levels: torch = packed reference = native engine, as real numbers and as signs of real sums."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from export.compare import EVEN, IMAGE, assert_close, assert_equal, ops, pixels, scramble
from signbit import nn as binary
from signbit import runtime
from signbit.export import ExportError, fold_levels, to_graph, verify
from signbit.packed import load, reference, save
from signbit.packed.report import inspect
from signbit.quantizers import TwoLevel, sign

QUANTIZERS = [
    "twolevel",
    "twolevel(density=0.1, tails=both)",
    "twolevel(density=0.05, granularity=filter)",
    "twolevel(values=learned, density=0.2, granularity=filter)",
    "twolevel(values=zero_one, density=0.2)",
    "twolevel(values=zero, density=0.1)",
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
    assert graph.node("2").levels.shape == (8 if "filter" in quantizer else 1, 2)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2, "bias": True}])
def test_batch_norm_and_sign_become_one_number_per_filter(options, quantizer, pad_value):
    conv = binary.BinaryConv2d(4, 16, 3, padding=1, pad_value=pad_value, weight_quantizer=quantizer, **options)
    layers = [binary.BinaryConv2d(3, 4, 1), conv, nn.BatchNorm2d(16), nn.Hardtanh(), binary.BinaryConv2d(16, 32, 1)]
    model = learned(scramble(nn.Sequential(*layers)))
    graph = assert_runs(assert_equal(model))
    assert ops(graph) == ["Threshold", "BinaryConv", "Threshold", "WindowSum", "BinaryConv", "Sign", "BinaryConv"]
    sign_node = graph.node("4.sign")
    assert sign_node.shift.shape == (16,)
    turned = graph.node("1").levels - torch.stack(conv.output_levels(), 1).detach().numpy()
    assert np.any(turned)
    assert not np.any(turned[(model[2].weight >= 0).numpy()])


def every_pair(graph, layer):
    """The packed bits (512, C) of a layer on 9 bits, for every input there is, so for every attainable pair (d, S)."""
    x = torch.tensor([[1.0 - 2 * (number >> bit & 1) for bit in range(9)] for number in range(512)])
    sums = x.sum(1, keepdim=True).numpy().astype(np.int32)
    real = reference.compute(graph.node(layer), x.numpy().astype(np.int8), sums).astype(np.float32)
    return x, reference.compute(graph.node(graph.output), real)


@pytest.mark.parametrize(
    "quantizer",
    [*QUANTIZERS, "twolevel(values=learned, granularity=filter)"],
)
def test_the_sign_is_torch_on_every_pair_of_sums(quantizer):
    quantizer = quantizer.replace("0.05", "0.2")
    layer, norm = binary.BinaryLinear(9, 16, weight_quantizer=quantizer), nn.BatchNorm1d(16)
    model = learned(scramble(nn.Sequential(nn.Flatten(), binary.Sign(), layer, norm, binary.Sign())))
    norm.running_mean.data.mul_(0.2)
    graph = to_graph(model, image=type(IMAGE)(height=3, width=3, mode="L"))
    x, found = every_pair(graph, "2")
    with torch.no_grad():
        expected = model[2:](x).numpy()
    np.testing.assert_array_equal(found, expected)
    assert {-1, 1} == set(expected[:, 1:].ravel().tolist())


@pytest.mark.parametrize("limit", [2**26, 2**12])
def test_the_cut_is_where_torch_turns_whatever_the_size(limit, monkeypatch):
    """With far more pairs than are tried: sums around every cut, at depths whose roundings do not vanish."""
    monkeypatch.setattr(fold_levels, "MAX_TRIALS", limit)
    layer, norm = binary.BinaryLinear(1000, 8, weight_quantizer="twolevel(density=0.05)"), nn.BatchNorm1d(8)
    model = scramble(nn.Sequential(nn.Flatten(), binary.Sign(), layer, norm, binary.Sign()))
    graph = to_graph(model, image=type(IMAGE)(height=25, width=40, mode="L"))
    low, high = graph.node("2").levels[:, 0].copy(), graph.node("2").levels[:, 1].copy()
    half, middle = (high - low) / np.float32(2), (high + low) / np.float32(2)
    d, s = (np.ravel(part).astype(np.float32) for part in np.meshgrid(np.arange(-400, 402, 2), np.arange(-400, 402, 2)))
    ones = (~layer.weight_bits()).sum(1).max().item()
    d, s = d[np.abs(d + s) <= 2 * ones], s[np.abs(d + s) <= 2 * ones]
    shift = graph.node(graph.output).shift
    found = np.where((half * d[:, None] + middle * s[:, None]) + shift < 0, -1, 1)
    with torch.no_grad():
        expected = model[3:](layer.rescale(torch.from_numpy(d)[:, None].repeat(1, 8), torch.from_numpy(s)[:, None]))
    np.testing.assert_array_equal(found, expected.numpy())


def test_a_sign_that_turns_twice_is_computed_as_torch_does():
    conv = binary.BinaryConv2d(4, 8, 3, weight_quantizer="twolevel(density=0.1)")
    layers = [binary.BinaryConv2d(3, 4, 1), conv, nn.PReLU(8), binary.RSign(8), binary.BinaryConv2d(8, 5, 1)]
    model = scramble(nn.Sequential(*layers))
    model[2].weight.data.fill_(-1)
    model[3].shift.data.fill_(-2)
    graph = assert_runs(assert_equal(model))
    assert ops(graph)[4:7] == ["BinaryConv", "PReLU", "Sign"]


@pytest.mark.parametrize("quantizer", ["twolevel(density=0.05)", "twolevel(values=learned, granularity=filter)"])
def test_linear(quantizer):
    hidden = binary.BinaryLinear(270, 24, weight_quantizer=quantizer, bias=True)
    last = binary.BinaryLinear(24, 5, weight_quantizer="twolevel")
    model = learned(scramble(nn.Sequential(nn.Flatten(), hidden, nn.BatchNorm1d(24), last)))
    graph = assert_runs(assert_equal(model))
    assert ops(graph)[2:] == ["WindowSum", "BinaryLinear", "Sign", "WindowSum", "BinaryLinear"]


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


@pytest.mark.parametrize("rising", [True, False])
def test_the_cuts_take_four_bytes_a_filter_and_the_levels_eight_a_layer_unless_some_are_turned(rising):
    model = two_layers(16)
    if rising:
        for norm in (model[1], model[3]):
            norm.weight.data.abs_()
    graph = assert_runs(assert_equal(model))
    assert [node.shift.nbytes for node in graph.nodes if type(node).__name__ == "Sign"] == [64, 64]
    levels = [node.levels for node in graph.nodes if getattr(node, "levels", None) is not None]
    assert [level.shape for level in levels] == [(1 if rising else 16, 2)] * 2
    assert ops(graph).count("Affine") == 0


@pytest.mark.parametrize("rising", [True, False])
def test_pools_before_and_behind_the_batch_norm(rising):
    class Pooled(nn.Module):
        def __init__(self, *between):
            super().__init__()
            self.conv = binary.BinaryConv2d(3, 16, 3, padding=1, weight_quantizer="twolevel(density=0.1)")
            self.between, self.last = nn.Sequential(*between), binary.BinaryConv2d(16, 8, 1)

        def forward(self, x):
            return self.last(self.between(self.conv(x)))

    def made(*between):
        model = scramble(Pooled(*between))
        norm = next(part for part in between if isinstance(part, nn.BatchNorm2d))
        if rising:
            norm.weight.data.abs_()
        return ops(assert_runs(assert_equal(model)))

    assert made(nn.BatchNorm2d(16), nn.MaxPool2d(2))[2:] == ["BinaryConv", "Sign", "Pool", "BinaryConv"]
    found = made(nn.MaxPool2d(2), nn.BatchNorm2d(16))[2:]
    turned = ["Sign", "Pool"] if rising else ["Pool", "Affine", "Sign"]
    assert found == ["BinaryConv", *turned, "BinaryConv"]


def test_flattened_features_with_a_norm_of_their_own_stay_real():
    conv = binary.BinaryConv2d(3, 4, 3, weight_quantizer="twolevel(density=0.1)")
    layers = [conv, nn.Flatten(), nn.BatchNorm1d(4 * 56), binary.BinaryLinear(4 * 56, 5)]
    graph = assert_runs(assert_close(scramble(nn.Sequential(*layers))))
    assert ops(graph)[2:] == ["BinaryConv", "Flatten", "Affine", "Sign", "BinaryLinear"]


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
