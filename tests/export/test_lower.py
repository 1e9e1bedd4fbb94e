import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize, prune

from export.compare import IMAGE, assert_close, assert_equal, ops, pixels, scramble
from signbit import nn as binary
from signbit.export import ExportError, to_graph
from signbit.packed import reference
from signbit.packed.edges import Int
from signbit.quantizers import Quantizer, create_quantizer, sign_with_surrogate


def parity_of(graph, name):
    value = dict(reference.trace(graph, pixels(IMAGE)))[name]
    return set((value % 2).reshape(-1).tolist())


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    [
        (3, 1, 1, 1, 1),
        (3, 2, 1, 1, 4),
        ((1, 3), (2, 1), (0, 1), 1, 8),
        (3, 1, 2, 2, 2),
        (2, 1, "same", 1, 1),
        (5, 2, 2, 1, 16),
        (1, 1, 0, 1, 1),
    ],
)
def test_binary_convolution(pad_value, kernel, stride, padding, dilation, groups):
    model = nn.Sequential(
        binary.BinaryConv2d(3, 16, 1),
        nn.BatchNorm2d(16),
        binary.BinaryConv2d(16, 32, kernel, stride, padding, dilation, groups, pad_value=pad_value),
    )
    graph = assert_equal(scramble(model))
    assert isinstance(graph.edges[graph.output], Int)


@pytest.mark.parametrize("features", [1, 63, 64, 65])
def test_binary_linear_of_sizes_around_the_word(features):
    model = nn.Sequential(nn.Flatten(), binary.BinaryLinear(270, features), nn.BatchNorm1d(features))
    model.append(binary.BinaryLinear(features, 3))
    assert_equal(scramble(model))


def test_attainable_sums_are_every_second_integer_but_for_padding_0():
    for pad_value, parities in ((1, {1}), (-1, {1}), (0, {0, 1})):
        conv = binary.BinaryConv2d(3, 4, 3, padding=1, pad_value=pad_value)
        graph = to_graph(scramble(nn.Sequential(conv)), image=IMAGE)
        assert parity_of(graph, "0") == parities


def test_real_stem_and_classifier():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 3, groups=4, padding="same", bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    graph = assert_close(scramble(model))
    assert ops(graph) == ["Lookup", "Conv", "Affine", "PReLU", "Pool", "Conv", "Pool", "Flatten", "Linear"]
    assert [node.name for node in graph.nodes] == ["normalise", "0", "1", "2", "4", "5", "6", "7", "8"]


def test_layer_norm_over_the_sample():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 8, 7]), nn.GroupNorm(1, 8), nn.Flatten())
    model.append(nn.LayerNorm(448, elementwise_affine=False))
    assert ops(assert_close(scramble(model))).count("Norm") == 3


def test_layer_norm_over_the_channels():
    model = nn.Sequential(binary.BinaryConv2d(3, 8, 3), binary.ChannelNorm(8), binary.BinaryConv2d(8, 8, 3))
    assert ops(assert_close(scramble(model))) == ["Threshold", "BinaryConv", "Norm", "Sign", "BinaryConv"]


def test_functions_of_torch():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = binary.BinaryConv2d(3, 8, 3)
            self.scale, self.shift = nn.Parameter(torch.rand(8, 1, 1)), nn.Parameter(torch.rand(1, 8, 1, 1))

        def forward(self, x):
            x = self.conv(x) * self.scale + self.shift - 0.5
            a, b = torch.chunk(F.relu(2 * x) / 3, 2, dim=1)
            x = F.max_pool2d(torch.cat((a, -b), 1), 3, 2, ceil_mode=True).clamp(min=-1)
            y = F.leaky_relu(F.hardtanh(x), 0.1)
            y = F.adaptive_avg_pool2d(y, (2, 1)) * y.shape[1]
            return y.mean((2, 3)).view(x.size(0), -1)

    assert_close(Functional().eval())


def test_sign_in_front_of_a_layer_that_has_its_own():
    model = nn.Sequential(binary.Sign(), nn.MaxPool2d(2), binary.BinaryConv2d(3, 8, 3))
    assert ops(assert_equal(scramble(model))) == ["Threshold", "Pool", "BinaryConv"]


def test_layers_that_are_binary_on_one_side():
    real_weight = binary.BinaryConv2d(3, 8, 3, padding=1, pad_value=0, weight_quantizer=None, bias=True)
    real_input = binary.BinaryConv2d(8, 8, 3, padding=1, input_quantizer=None)
    features = nn.Sequential(nn.Flatten(), binary.BinaryLinear(720, 4, weight_quantizer=None))
    graph = assert_close(scramble(nn.Sequential(real_weight, real_input, *features)))
    assert ops(graph) == ["Threshold", "Conv", "Affine", "BinaryConv", "Sign", "Flatten", "Linear"]


def test_integers_added_stay_integers():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = binary.BinaryConv2d(3, 8, 3), binary.BinaryConv2d(3, 8, 3)
            self.norm, self.c = nn.BatchNorm2d(8), binary.BinaryConv2d(8, 8, 1)

        def forward(self, x):
            return self.c(self.norm(self.a(x) + self.b(x)))

    assert ops(assert_equal(scramble(Sum())))[-2:] == ["Threshold", "BinaryConv"]


def test_the_model_is_not_changed():
    model = scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3), nn.BatchNorm2d(8))).train().double()
    before = copy.deepcopy(model.state_dict())
    to_graph(model, image=IMAGE)
    assert model.training
    assert model[0].weight.requires_grad
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model[0].weight.dtype == torch.float64


def test_copies_pruned_and_parametrised_models():
    model = scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3), nn.BatchNorm2d(8), binary.BinaryConv2d(8, 8, 3)))
    assert_equal(copy.deepcopy(model))

    prune.random_unstructured(model[0], "weight", amount=0.5)
    model(torch.zeros(1, *IMAGE.shape))
    with torch.no_grad():
        model[0].weight_orig.neg_()
    assert_equal(model)
    assert "weight_orig" in dict(model[0].named_parameters())

    class Negative(nn.Module):
        def forward(self, x):
            return -x

    parametrize.register_parametrization(model[2], "weight", Negative())
    assert_equal(model)


def test_wrapped_models():
    model = scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3), nn.BatchNorm2d(8)))
    names = [node.name for node in to_graph(model, image=IMAGE).nodes]
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        assert [node.name for node in to_graph(wrapped, image=IMAGE).nodes] == names


def test_arguments_that_no_rule_takes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(x, x)

    with pytest.raises(ExportError, match="relu: these arguments have no packed form"):
        to_graph(Two(), image=IMAGE)


def test_two_modules_that_are_one():
    shared = binary.BinaryConv2d(3, 3, 3, padding=1)
    graph = assert_equal(scramble(nn.Sequential(shared, nn.BatchNorm2d(3), shared)))
    assert [node.name for node in graph.nodes] == ["0.sign", "0", "0.sign.2", "0.2"]


class Odd(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).real


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.InstanceNorm2d(3)), r"0\.0: torch.nn.*InstanceNorm2d has no packed form; use BatchNorm2d"),
        (nn.Bilinear(1, 1, 1), r"0: .*Bilinear has no packed form; what packs: .*BinaryConv2d"),
        (nn.GroupNorm(3, 3), r"0: GroupNorm packs with one group, got 3"),
        (nn.BatchNorm2d(3, track_running_stats=False), r"0: batch norm without running statistics"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), r"0: padding_mode 'reflect'"),
        (nn.AdaptiveAvgPool2d(3), r"0: adaptive pooling packs where \[3, 3\] divides the map \[10, 9\]"),
        (nn.Sigmoid(), r"0: this function packs only between a one-bit layer and the sign"),
        (nn.LayerNorm(9), r"0: LayerNorm packs over the whole sample \(3, 10, 9\), got \(9,\)"),
        (Odd(), r"0\..*: the function .* has no packed form"),
        (Branching(), r"cannot be traced by torch.fx"),
        (nn.Linear(9, 3), r"0: needs an input of \(features,\)"),
        (nn.Conv2d(3, 3, 12), r"0: kernel \(12, 12\) is larger than the padded input"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_has_no_packed_form_is_named(module, message):
    with pytest.raises(ExportError, match=message):
        to_graph(nn.Sequential(module), image=IMAGE)


class Mine(Quantizer):
    """A sign of one's own."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x):
        return sign_with_surrogate(x - self.shift, torch.ones_like)

    def scale(self, weight):
        return None

    def levels(self, weight):
        return -torch.ones(len(weight)), torch.ones(len(weight))


def test_quantizers_of_ones_own():
    conv = binary.BinaryConv2d(3, 8, 3, input_quantizer=Mine(), weight_quantizer=Mine(0.1))
    assert_equal(scramble(nn.Sequential(conv)))
    conv = binary.BinaryConv2d(3, 8, 3, input_quantizer=Mine(0.1))
    with pytest.raises(ExportError, match=r"0.sign: Mine is not the sign of each single value"):
        to_graph(nn.Sequential(conv), image=IMAGE)


def test_what_is_done_in_place_is_seen_by_later_readers():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = binary.BinaryConv2d(3, 8, 3), nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.conv(x)
            before = x
            x = self.relu(x)
            y = x * 2
            y += before
            y.clamp_(max=30)
            return y + F.leaky_relu(-before, inplace=False) + before

    assert_equal(InPlace().eval())


def test_pool_of_reals_in_front_of_a_sign_is_done_on_bits():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Flatten(), binary.BinaryLinear(96, 4)
    )
    assert ops(assert_equal(scramble(model)))[2:] == ["Affine", "Sign", "Pool", "Flatten", "BinaryLinear"]


def test_a_quantizer_as_a_module():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.conv = create_quantizer("swishsign"), binary.BinaryConv2d(3, 8, 3, input_quantizer=None)

        def forward(self, x):
            return self.conv(self.code(x))

    assert ops(assert_equal(scramble(Bare()))) == ["Threshold", "BinaryConv"]
