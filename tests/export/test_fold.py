import numpy as np
import pytest
import torch
from torch import nn

from export.compare import EVEN, IMAGE, assert_close, assert_equal, ops, scramble
from signbit import nn as binary
from signbit.export import ExportError, to_graph
from signbit.packed import reference
from signbit.packed.edges import Bits, Int


def network(*between: nn.Module, channels: int = 24, **options) -> nn.Module:
    """Pixels -> sign -> convolution -> `between` -> sign -> 1x1 convolution, whose sums show every bit."""
    first = binary.BinaryConv2d(3, channels, 3, padding=1, **options)
    return scramble(nn.Sequential(first, *between, binary.BinaryConv2d(channels, channels, 1)))


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("scale", ["none", "mean"])
def test_batch_norm_becomes_a_threshold(pad_value, scale):
    model = network(nn.BatchNorm2d(24), pad_value=pad_value, weight_quantizer=f"sign(scale={scale})", bias=True)
    graph = assert_equal(model)
    assert ops(graph) == ["Threshold", "BinaryConv", "Threshold", "BinaryConv"]


def test_threshold_is_torch_on_every_attainable_sum():
    batch_norm = nn.BatchNorm1d(64)
    model = scramble(nn.Sequential(nn.Flatten(), binary.BinaryLinear(270, 64), batch_norm, binary.Sign()))
    graph = to_graph(model, image=IMAGE)
    node = next(node for node in graph.nodes if node.name == graph.output)
    sums = torch.arange(-270, 271, 2).float()[:, None].repeat(1, 64)
    expected = torch.where(batch_norm(sums) < 0, -1, 1).numpy()
    got = reference.compute(node, sums.numpy().astype(np.int32))
    np.testing.assert_array_equal(got, expected)
    assert {-1, 1} == set(node.direction.tolist())
    assert isinstance(graph.edges[node.name], Bits)


@pytest.mark.parametrize(
    "activation",
    [nn.Hardtanh(), nn.PReLU(24), binary.RPReLU(24), binary.TwoSlopePReLU(24), nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.1)],
    ids=lambda m: type(m).__name__,
)
def test_monotone_functions_fold(activation):
    graph = assert_equal(network(nn.BatchNorm2d(24), activation, nn.BatchNorm2d(24)))
    assert "PReLU" not in ops(graph)
    assert "Affine" not in ops(graph)


def test_rsign_folds_and_shifts():
    model = scramble(
        nn.Sequential(
            binary.BinaryConv2d(3, 24, 3),
            nn.BatchNorm2d(24),
            binary.RSign(24),
            binary.BinaryConv2d(24, 8, 3, input_quantizer=None, pad_value=1),
        )
    )
    assert ops(assert_equal(model)) == ["Threshold", "BinaryConv", "Threshold", "BinaryConv"]


def test_constant_channels_are_exact():
    model = network(nn.BatchNorm2d(24))
    model[1].weight.data.zero_()
    model[1].bias.data.fill_(1)
    model[1].bias.data[::2] = -1e-30
    model[1].bias.data[1] = -0.0
    graph = assert_equal(model)
    value = dict(reference.trace(graph, np.zeros((1, *IMAGE.shape), np.uint8)))["2.sign"]
    np.testing.assert_array_equal(value[0, :, 0, 0], np.where(np.arange(24) % 2, 1, -1))


def test_a_function_that_is_not_monotone_is_named():
    model = network(nn.BatchNorm2d(24), nn.PReLU(24), nn.BatchNorm2d(24))
    for norm in (model[1], model[3]):
        norm.weight.data.fill_(1)
        norm.bias.data.zero_()
        norm.running_mean.zero_()
    model[2].weight.data[5] = -0.5
    model[3].running_mean[5] = 0.3
    with pytest.raises(ExportError, match=r"4\.sign: the sign of channel 5 changes 2 times .* PReLU slopes >= 0"):
        to_graph(model, image=IMAGE)


@pytest.mark.parametrize("direction", [-1, 1])
def test_pool_before_batch_norm(direction):
    model = network(nn.MaxPool2d(2), nn.BatchNorm2d(24))
    model[2].weight.data.abs_().mul_(direction)
    graph = assert_equal(model)
    pool = next(node for node in graph.nodes if type(node).__name__ == "Pool")
    assert isinstance(graph.edges[pool.name], Bits if direction == 1 else Int)


def test_pool_between_mixed_directions():
    assert_equal(network(nn.MaxPool2d(3, 2, 1), nn.BatchNorm2d(24)))


def test_pool_behind_batch_norm_moves_onto_bits():
    graph = assert_equal(network(nn.BatchNorm2d(24), nn.MaxPool2d(2), nn.Hardtanh()))
    assert ops(graph) == ["Threshold", "BinaryConv", "Threshold", "Pool", "BinaryConv"]


def test_pool_between_two_batch_norms():
    assert_close(network(nn.BatchNorm2d(24), nn.MaxPool2d(2), nn.BatchNorm2d(24)))
    rising = network(nn.BatchNorm2d(24), nn.MaxPool2d(2), nn.BatchNorm2d(24))
    rising[1].weight.data.abs_()
    assert "Affine" not in ops(assert_equal(rising))


@pytest.mark.parametrize("order", ["flatten first", "batch norm first"])
def test_flatten(order):
    norm = (nn.BatchNorm2d(5), nn.Flatten()) if order == "batch norm first" else (nn.Flatten(), nn.BatchNorm1d(280))
    conv = binary.BinaryConv2d(3, 5, 3)
    model = scramble(nn.Sequential(conv, *norm, binary.BinaryLinear(280, 7)))
    expected = ["Threshold", "Flatten"] if order == "batch norm first" else ["Flatten", "Threshold"]
    assert ops(assert_equal(model))[2:4] == expected


def test_the_image_itself_is_thresholded_by_its_256_values():
    model = scramble(nn.Sequential(nn.BatchNorm2d(3), binary.BinaryConv2d(3, 8, 3, padding=1)))
    assert ops(assert_equal(model)) == ["Threshold", "BinaryConv"]


def test_one_bit_weights_on_pixels_are_integer_where_the_normalisation_is():
    first = binary.BinaryConv2d(3, 24, 3, padding=1, input_quantizer=None)
    model = scramble(nn.Sequential(first, nn.BatchNorm2d(24), binary.BinaryConv2d(24, 8, 3)))
    assert ops(assert_equal(model, EVEN)) == ["Lookup", "BinaryConv", "Threshold", "BinaryConv"]
    assert ops(to_graph(model, image=IMAGE)) == ["Lookup", "BinaryConv", "Affine", "Sign", "BinaryConv"]


def test_the_same_sign_is_taken_once():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = binary.BinaryConv2d(3, 8, 3), nn.BatchNorm2d(8)
            self.a, self.b = binary.BinaryConv2d(8, 4, 1), binary.BinaryConv2d(8, 4, 1)

        def forward(self, x):
            x = self.norm(self.conv(x))
            return self.a(x) + self.b(x)

    assert ops(assert_equal(scramble(Pair()))).count("Threshold") == 2
