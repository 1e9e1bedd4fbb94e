import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.counts import counts, small
from signbit.models import create_model
from signbit.nn import RPReLU, RSign
from signbit.params import named_binary_parameters
from signbit.quantizers import sign


@pytest.mark.parametrize(
    ("name", "parameters", "binary", "real", "mebibytes"),
    [
        ("reactnet_a", 29_343_592, 28_253_184, 1_090_408, 7.53),
        ("reactnet_b", 28_819_816, 27_554_816, 1_265_000, 8.11),
        ("reactnet_c", 29_343_592, 27_554_816, 1_788_776, 10.11),
    ],
)
def test_parameters(name, parameters, binary, real, mebibytes):
    net = counts(name)
    assert (net.parameters, net.binary_weights, net.real_parameters) == (parameters, binary, real)
    assert round(net.mebibytes, 2) == mebibytes


@pytest.mark.parametrize(
    ("name", "binary", "real", "ops"),
    [
        ("reactnet_a", 4_816_896_000, 11_862_016, 0.871),
        ("reactnet_b", 4_688_445_440, 43_974_656, 1.172),
        ("reactnet_c", 4_688_445_440, 140_312_576, 2.136),
    ],
)
def test_operations(name, binary, real, ops):
    net = counts(name)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (binary, 0, real)
    assert net.ops == binary / 64 + real
    assert round(net.ops / 1e8, 3) == ops


def test_layers():
    widening, same = (115_605_504, 2 * 12_845_056), (462_422_016, 51_380_224)
    layers = list(counts("reactnet_a").layers.values())
    assert layers[0] == (864, 10_838_016)
    assert layers[-1] == (1_024_000, 1_024_000)
    spatial, point = layers[1:-1:2], layers[2:-1:2]
    deep = [(2_359_296, same[0])] * 5
    assert spatial == [
        (9_216, widening[0]),
        (36_864, widening[0]),
        (147_456, same[0]),
        (147_456, widening[0]),
        (589_824, same[0]),
        (589_824, widening[0]),
        *deep,
        (2_359_296, widening[0]),
        (9_437_184, same[0]),
    ]
    assert point == [
        (2 * 1_024, widening[1]),
        (2 * 4_096, widening[1]),
        (16_384, same[1]),
        (2 * 16_384, widening[1]),
        (65_536, same[1]),
        (2 * 65_536, widening[1]),
        *[(262_144, same[1])] * 5,
        (2 * 262_144, widening[1]),
        (1_048_576, same[1]),
    ]


def test_maps_at_full_width():
    with torch.device("meta"):
        info = create_model("reactnet_a", features_only=True).feature_info
    assert info.channels() == [32, 64, 128, 256, 512, 1024]
    assert info.reduction() == [2, 2, 4, 8, 16, 32]


def trained(name, **options):
    """A widening block of random parameters, in eval mode."""
    torch.manual_seed(0)
    block = create_model(name, **small(name), **options).get_submodule("stage2.0").eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d | RPReLU | RSign):
            for parameter in module.parameters():
                nn.init.normal_(parameter)
    return block


@pytest.mark.parametrize(("name", "groups"), [("reactnet_a", 1), ("reactnet_b", 4), ("reactnet_c", 1)])
def test_widening_is_two_branches_joined(name, groups):
    block, x = trained(name), torch.randn(2, 16, 8, 8)
    y = block.spatial.after(block.spatial.norm(block.spatial.conv(block.spatial.act(x))) + F.avg_pool2d(x, 2))
    weight = block.point.conv.weight if groups == 1 else block.point.conv.conv.weight
    if name == "reactnet_a":
        weight = sign(weight) * weight.abs().mean(dim=(1, 2, 3), keepdim=True)
    norm, bits = block.point.norm, block.point.act(y)
    branches = []
    for half in (slice(0, 16), slice(16, 32)):
        branch = F.conv2d(bits, weight[half], groups=groups)
        statistics = (t[half] for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
        branches.append(F.batch_norm(branch, *statistics, eps=norm.eps) + y)
    torch.testing.assert_close(block(x), block.point.after(torch.cat(branches, dim=1)))


def test_signs_and_bends_are_shifted_in_every_half():
    model = create_model("reactnet_b", **small("reactnet"))
    assert [sum(isinstance(m, kind) for m in model.modules()) for kind in (RSign, RPReLU, nn.PReLU)] == [6, 6, 0]


@pytest.mark.parametrize("name", ["reactnet_a", "reactnet_b", "reactnet_c"])
def test_the_first_of_two_stages_has_the_same_names(name):
    first = create_model(name, weight_quantizer=None, **small(name))
    second = create_model(name, **small(name))
    assert first.state_dict().keys() == second.state_dict().keys()
    assert not list(named_binary_parameters(first))
    second.load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widening": "none"}, r"widening must be binary or real, got 'none'"),
        ({"groups": 4}, r"groups must be >= 1, and 1 unless widening='real', got 4"),
        ({"widening": "real", "groups": 0}, r"groups must be >= 1"),
        ({"widening": "real", "groups": 3}, r"3 groups cannot widen 32 channels to 64; use groups=1"),
        ({"depths": (1,)}, r"need one number >= 1 for each stage"),
        ({"widths": (16,), "depths": (1,)}, r"cannot narrow 32 channels to 16"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("reactnet_a", **options)
