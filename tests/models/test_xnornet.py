import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.counts import counts, small
from signbit.models import create_model
from signbit.nn import BinaryConv2d, ChannelNorm
from signbit.quantizers import sign


def test_counts_of_the_official_layout():
    net = counts("xnornet_alexnet")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (62_397_672, 58_236_928, 4_160_744)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (1_025_744_896, 0, 109_511_200)
    assert net.ops == 1_025_744_896 / 64 + 109_511_200
    assert round(net.ops / 1e8, 4) == 1.2554
    assert round(net.mebibytes, 3) == 22.814


def test_layers_of_the_official_layout():
    assert list(counts("xnornet_alexnet").layers.values()) == [
        (34_848, 105_415_200),
        (614_400, 447_897_600),
        (884_736, 149_520_384),
        (1_327_104, 224_280_576),
        (884_736, 149_520_384),
        (37_748_736, 37_748_736),
        (16_777_216, 16_777_216),
        (4_096_000, 4_096_000),
    ]


def test_counts_of_larqs_layout():
    with torch.device("meta"):
        model = create_model("xnornet_alexnet_larq")
    assert sum(parameter.numel() for parameter in model.parameters()) == 62_387_104
    assert not any(name.endswith("conv.bias") or name == "fc.bias" for name, _ in model.named_parameters())
    thin = counts("xnornet_alexnet_larq", widths=(96, 8, 8, 8, 8), hidden=(8, 8))
    assert thin.layers["stem.conv"] == (34_848, 109_283_328)
    assert thin.float_macs - 8_000 + 4_096_000 == 113_379_328
    assert thin.layers["stage1.0.conv"][1] == 96 * 8 * 25 * 27**2


def test_norm_comes_first_and_the_pool_last():
    model = create_model("xnornet_alexnet", **small("xnornet"))
    stages = [model.get_submodule(name) for name in ("stage1.0", "stage2.0", "stage2.2", "layer1", "layer2")]
    assert [list(dict(block.named_children())) for block in stages] == [
        ["norm", "conv", "pool"],
        ["norm", "conv"],
        ["norm", "conv", "pool"],
        ["norm", "conv"],
        ["norm", "conv"],
    ]
    convs = [module for module in model.modules() if isinstance(module, BinaryConv2d)]
    assert len(convs) == 6
    assert all(conv.bias is not None for conv in convs)


def test_weights_have_their_filters_scale_and_its_gradient():
    conv = create_model("xnornet_alexnet", **small("xnornet")).get_submodule("layer1.conv")
    x = torch.randn(1, *conv.weight.shape[1:], generator=torch.Generator().manual_seed(0))
    scale = conv.weight.detach().abs().mean(dim=(1, 2, 3), keepdim=True)
    dot = F.conv2d(sign(x), sign(conv.weight))
    result = conv(x)
    torch.testing.assert_close(result, dot * scale.view(1, -1, 1, 1) + conv.bias.view(1, -1, 1, 1))
    result.sum().backward()
    through_scale = sign(conv.weight) * dot.view(-1, 1, 1, 1) / conv.weight[0].numel()
    torch.testing.assert_close(conv.weight.grad, through_scale + scale * sign(x))


def test_layer_norm_stands_in_every_place():
    model = create_model("xnornet_alexnet", norm="layer", **small("xnornet"))
    assert sum(isinstance(module, ChannelNorm) for module in model.modules()) == 8
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 62}, r"leave nothing of 62x62 images; size must be >= 63"),
        ({"size": 60, "stem_padding": 3}, r"size must be >= 61"),
        ({"widths": (8, 8)}, r"AlexNet has 5 widths and 2 hidden ones, got \(8, 8\) and \(4096, 4096\)"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("xnornet_alexnet", **options)


def test_the_smallest_image():
    options = {**small("xnornet"), "size": 63}
    assert create_model("xnornet_alexnet", **options).eval()(torch.randn(1, 3, 63, 63)).shape == (1, 1000)
